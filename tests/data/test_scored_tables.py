"""Tables to evaluate as spreadsheets and other tools write them."""

import csv
import json
import re

import pandas as pd
import pytest

from spanloc.data.annotations.scored import read_scored
from spanloc.reports import notes

SPANS = [[1.5, 2.25], [63.0, 64.0]]
ANNOTATIONS = "sequence,start,end,label\na,1,2,walk\na,63,64,sit\n"


def score(folder, predictions, annotations=ANNOTATIONS, name="p.csv", **options):
    (folder / name).write_text(predictions, encoding="utf-8")
    (folder / "a.csv").write_text(annotations, encoding="utf-8")
    return read_scored(folder / name, folder / "a.csv", **options)


def read(folder, text, name="p.csv", **options):
    return score(folder, text, name=name, **options).predictions


def of_predictions(**columns):
    return {"columns": {"predictions": columns}}


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("p.csv", "sequence;start;end;label;score\na;1,5;2,25;walk;0,5\na;63;64;sit;1\n", {}),
        ("p.csv", "sep=;\nsequence;start;end;label;score\na;1,5;2,25;walk;0,5\na;63;64;sit;1\n", {}),
        ("p.csv", "sep=\nsequence;start;end;label;score\na;1,5;2,25;walk;0,5\na;63;64;sit;1\n", {}),
        ("p.csv", "sequence;start;end;label;score\na;1.5;2.25;walk;.5\na;63;64;sit;1\n", {}),
        ("p.csv", "\ufeffsequence\tstart\tend\tlabel\tscore\na\t1,5\t2,25\twalk\t5,0e-1\na\t63\t64\tsit\t1\n", {}),
        ("p.tsv", "sequence\tstart\tend\tlabel\tscore,\tscore\na\t1,5\t2,25\twalk\t\t0,5\na\t63\t64\tsit\t\t1\n", {}),
        ("p.csv", "sequence,start,end,label,score\na,00:01.5,0:2.25,walk,.5\na,00:01:03,01:04,sit,1\n", {}),
        ("p.csv", "Sequence,START,End, Label ,score\na,1.5,2.25, walk ,.5\na,63,64,sit,1\n", {}),
        ("p.csv", "sequence,start,duration,label,score\na,1.5,.75,walk,.5\na,63,1,sit,1\n", {}),
        ("p.csv", "file,onset,len,end,label,score\na,1.5,.75,9,walk,.5\na,63,1,9,sit,1\n",
         of_predictions(sequence="file", start="onset", duration="len")),
        ("p.csv", "sequence,start,end,label,score\na,1500,0:02.25,walk,.5\na,63000,64000,sit,1\n",
         {"unit": {"predictions": "milliseconds"}}),
        ("p.csv", '\ufeffend,sequence,note,score,start,label\r\n2.25,a,x,.5,1.5,walk\r\n\r\n 64 ,a,"y\nz",1,63,sit\r\n', {}),
        ("p.jsonl", '{"Sequence": "a", "start": 1.5, "duration": 0.75, "label": "walk", "score": 0.5}\n'
         '{"Sequence": "a", "start": 63, "duration": 1, "label": "sit", "score": 1}\n', {}),
        ("p.jsonl", '{"file": "a", "start": "0:01.5", "end": 2.25, "label": "walk", "score": 0.5}\n'
         '{"file": "a", "start": "1:03", "end": 64, "label": "sit", "score": 1}\n', of_predictions(sequence="file")),
        ("p.json", '{"results": {"a": [{"segment": [1500, 2250], "label": "walk", "score": 0.5},'
         '{"segment": [63000, 64000], "label": "sit", "score": 1}]}}', {"unit": {"predictions": "milliseconds"}}),
    ],
)  # fmt: skip
def test_what_other_programs_write_is_the_same_table(tmp_path, name, text, options):
    found = read(tmp_path, text, name, **options)
    assert found.spans.tolist() == SPANS
    assert found.scores.tolist() == [0.5, 1]
    assert found.labels.tolist() == [0, 1]


def test_times_of_a_parquet_table_may_be_texts_under_other_names(tmp_path):
    table = {"file": ["a", "a"], "onset": ["0:01.5", "63"], "Duration": ["0.75", "1"]}
    pd.DataFrame(table | {"label": ["walk", "sit"]}).to_parquet(tmp_path / "p.parquet")
    (tmp_path / "a.csv").write_text(ANNOTATIONS)
    options = of_predictions(sequence="file", start="onset")
    found = read_scored(tmp_path / "p.parquet", tmp_path / "a.csv", **options).predictions
    assert found.spans.tolist() == SPANS


def test_annotations_have_columns_and_a_unit_of_their_own(tmp_path):
    scored = score(
        tmp_path,
        "sequence,start,end,label,score\na,1,2,walk,0.5\n",
        "file;from;to;label\na;1000;2000;walk\nb;;;\n",
        columns={"annotations": {"sequence": "file", "start": "from", "end": "to"}},
        unit={"annotations": "milliseconds"},
    )
    assert scored.targets.spans.tolist() == scored.predictions.spans.tolist() == [[1, 2]]
    assert scored.targets.ids == ("a", "b")


@pytest.mark.parametrize("suffixes", [("", ".csv"), (".WAV", "")])
def test_a_sequence_may_be_named_by_its_id_or_its_file(tmp_path, suffixes):
    for name, suffix in zip(("p.csv", "a.csv"), suffixes, strict=True):
        rows = f"x.1{suffix},1,2,walk\ny{suffix},3,4,walk\n"
        (tmp_path / name).write_text(f"sequence,start,end,label\n{rows}")
    scored = read_scored(tmp_path / "p.csv", tmp_path / "a.csv")
    assert scored.predictions.places.tolist() == scored.targets.places.tolist() == [0, 1]
    # Not where an id may be of two files.
    with (tmp_path / "a.csv").open("a") as file:
        file.write("y.flac,1,2,walk\n")
    if suffixes[1]:
        with pytest.raises(ValueError, match="2 predictions with an unknown sequence, first 'x.1'"):
            read_scored(tmp_path / "p.csv", tmp_path / "a.csv")


def test_a_file_without_a_row_to_score_is_refused_although_others_are_skipped(tmp_path):
    text = "sequence,start,end,label\nb,1,2,walk\nc,1,2,walk\n"
    message = r"2 predictions with an unknown .*There are no other rows"
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text, invalid="skip")
    assert len(read(tmp_path, f"{text}a,1,2,walk\n", invalid="skip")) == 1


def test_one_unit_may_be_that_of_both_files(tmp_path):
    text = "sequence,start,end\na,1000,2000\n"
    scored = score(tmp_path, text, text, unit="milliseconds")
    assert scored.targets.spans.tolist() == scored.predictions.spans.tolist() == [[1, 2]]


def test_the_stretches_looked_at_are_in_the_unit_of_the_rows(tmp_path):
    (tmp_path / "p.csv").write_text("sequence,start,end\na,1,2\n")
    (tmp_path / "a.json").write_text(
        '{"database": {"a": {"duration": 9, "annotated": [[0, 5000]], "annotations": '
        '[{"segment": [1000, 2000], "label": "span"}]}}}'
    )
    unit = {"annotations": "milliseconds"}
    targets = read_scored(tmp_path / "p.csv", tmp_path / "a.json", unit=unit).targets
    assert targets.spans.tolist() == [[1, 2]]
    assert targets.ignored[0].tolist() == [[5, 9]]


LABELLED = "sequence,start,end,label\na,0,10,walk\na,20,30,artefact\na,28,33,artefact\nb,5,9,rest\n"
OTHERS = "sequence,start,end,label\na,1,10,Walk\na,2,9,artefact\na,21,29,Walk\nb,5,9,Walk\n"


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_labels_are_ignored_left_out_and_renamed_in_both_files(tmp_path, suffix):
    labels = {"label_map": {"Walk": "walk"}, "ignore": ["artefact"], "background": ["rest"]}
    (tmp_path / "p.csv").write_text(OTHERS)
    rows = list(csv.DictReader(LABELLED.splitlines()))
    entries = {
        name: [
            {"segment": [float(row["start"]), float(row["end"])], "label": row["label"]}
            for row in rows
            if row["sequence"] == name
        ]
        for name in "ab"
    }
    database = {name: {"annotations": entry} for name, entry in entries.items()}
    database["b"] |= {"annotated": [[0, 7]], "duration": 9}
    texts = {".csv": LABELLED, ".json": json.dumps({"database": database})}
    (tmp_path / f"a{suffix}").write_text(texts[suffix])
    scored = read_scored(tmp_path / "p.csv", tmp_path / f"a{suffix}", **labels)
    assert scored.classes == ["walk"]
    assert scored.targets.spans.tolist() == [[0, 10]]
    assert scored.predictions.spans.tolist() == [[1, 10], [21, 29], [5, 9]]
    unseen = [[7, 9]] if suffix == ".json" else []
    assert [some.tolist() for some in scored.targets.ignored] == [[[20, 33]], unseen]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ignore": ["artifact"]}, "no span has the label 'artifact'; did you mean 'artefact'?"),
        ({"label_map": {"wakl": "walk"}}, "no span has the label 'wakl'; did you mean 'walk'?"),
        ({"label_map": {"walk": ""}}, "label_map: 'walk' becomes ''; wanted a name"),
        ({"ignore": "art"}, "ignore is 'art'; wanted a list of labels"),
        (
            {"ignore": ["rest"], "background": ["rest"]},
            "'rest' is both in ignore and in background",
        ),
    ],
)
def test_a_setting_names_labels_that_there_are(tmp_path, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        score(tmp_path, LABELLED, LABELLED, **options)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("file,onset,offset,class,score\n", {},
         "p.csv: line 1: there are no columns 'sequence', 'start' and 'end'; found 'file', 'onset', 'offset', "
         "'class', 'score'; set 'columns.predictions={sequence: file, start: onset, end: offset, label: class}'"),
        ("sequence,start,end\n", of_predictions(start="t"), "there is no column 't'; found 'sequence', 'start', 'end'"),
        ("sequence,start,end\n", of_predictions(subset="s"), "columns.predictions: no field 'subset'; wanted some"),
        ("sequence,start,end\n", {"unit": {"predictions": "steps"}},
         "unit.predictions is 'steps'; wanted seconds or milliseconds"),
        ("sequence;start;end;label\na;1,5;2;sit\na;2.5;3;sit\n", {},
         "p.csv: line 3: start is '2.5', and '1,5' in line 2; wanted decimal commas or points, not both"),
        ('sequence,start,end,label\na,"1,5",2,sit\n', {}, "no finite number, first [1,5, 2] (line 2)"),
        ("sequence;start;end;label\na;1.234,5;2;sit\n", {}, "no finite number, first [1.234,5, 2] (line 2)"),
        ("sequence,start,end,label\na,1:75,2,sit\n", {}, "no finite number, first [1:75, 2] (line 2)"),
        (f"sequence,start,end,label\na,{'1' * 5000}:00,2,sit\n", {}, "no finite number, first ['1111"),
        ("sequence,start,end,label,score\na,1,2,sit,0:30\n", {}, "a score that is no finite number, first 0:30"),
    ],
)  # fmt: skip
def test_a_mistake_comes_with_its_remedy_or_place(tmp_path, text, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path, text, **options)


def test_columns_of_json_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"columns.predictions is set; .*p.json is no table"):
        read(tmp_path, "{}", "p.json", **of_predictions(start="t"))


def test_labels_may_be_numbers(tmp_path):
    text = "sequence,start,end,label\na,0,1,1\na,2,3,3\na,4,5,2\n"
    scored = score(tmp_path, text, text, ignore=[3], label_map={1: 2})
    assert (scored.classes, len(scored.predictions)) == (["2"], 2)


def test_the_command_takes_columns_and_units(tmp_path, cli):
    (tmp_path / "p.csv").write_text("sequence,start,end,label,score\na,1,2,walk,0.5\n")
    (tmp_path / "a.csv").write_text("file,start,end,label\na,1000,2000,walk\n")
    given = [f"predictions={tmp_path / 'p.csv'}", f"annotations={tmp_path / 'a.csv'}"]
    given += ["columns.annotations={sequence: file}", "unit.annotations=milliseconds"]
    assert not isinstance(out := cli("score", *given, "hydra.run.dir=run"), str), out
    assert '"mAP@0.50": 1' in (out / "run" / "scores.json").read_text()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_column_of_labels_that_is_empty_is_none_and_a_label_that_some_lack_is_a_mistake(
    tmp_path, suffix
):
    def written(labels):
        rows = [{"sequence": "b"}]  # there is nothing in it
        rows += [
            {"sequence": "a", "start": i, "end": i + 1, "label": n} for i, n in enumerate(labels)
        ]
        path, table = tmp_path / f"a{suffix}", pd.DataFrame(rows)
        if suffix == ".csv":
            table.to_csv(path, index=False)
        elif suffix == ".parquet":
            table.to_parquet(path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    path = written([None, None])
    scored = read_scored(path, path)
    assert scored.classes == ["span"]
    assert scored.predictions.scores.tolist() == [1, 1]
    path = written(["walk", "sit"])
    assert read_scored(path, path).classes == ["walk", "sit"]
    for labels, message in (
        (["walk", None], "1 annotation with an unknown label"),
        ([None, "walk"], "has a label, and the rows before have none"),
    ):
        path = written(labels)
        with pytest.raises(ValueError, match=message):
            read_scored(path, path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_columns_that_may_be_labels_are_named_where_no_file_has_labels(tmp_path, suffix):
    row = {"sequence": "a", "start": 1, "end": 2, "behaviour": "rest", "animal": "m1"}
    table, path = pd.DataFrame([row]), tmp_path / f"a{suffix}"
    if suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        path.write_text(json.dumps(row))
    plain = tmp_path / "p.csv"
    plain.write_text("sequence,start,end\na,1,2\n")
    (note,) = notes(read_scored(plain, path))
    assert note == (
        f"there is no column 'label' in {path}: labels are not compared; not read: 'behaviour'"
    )
    columns = {"annotations": {"label": "behaviour"}}
    plain.write_text("sequence,start,end,label\na,1,2,rest\n")
    assert notes(read_scored(plain, path, columns=columns)) == []


@pytest.mark.parametrize(
    ("times", "units", "remedy"),
    [
        ((1000, 1), {}, "unit.annotations=milliseconds"),
        ((1, 1000), {}, "unit.predictions=milliseconds"),
        ((1, 1), {"predictions": "milliseconds"}, "unit.predictions=seconds"),
        ((1, 1), {"annotations": "milliseconds"}, "unit.annotations=seconds"),
        ((1, 1), {}, None),
        ((1000, 1000), {}, None),  # any unit, if both files have it
        ((500, 1), {}, None),  # steps
    ],
)
def test_another_unit_in_one_of_the_files_is_a_note(tmp_path, times, units, remedy):
    texts = []
    # Of one sequence only what is far too early was predicted.
    for factor, late, end in ((times[1], 3, 0.5), (times[0], 0, 9)):
        rows = [f"{s},{factor * t},{factor * (t + 2 + late)},walk" for s in "xyz" for t in (1, 20)]
        texts.append("\n".join(["sequence,start,end,label", *rows, f"w,0,{factor * end},walk"]))
    found = notes(score(tmp_path, *texts, unit=units))
    found = [note for note in found if "1000 times later" in note]
    assert [note.rpartition(" ")[2] for note in found] == ([remedy] if remedy else [])


def test_a_mapping_of_columns_may_name_the_subjects_as_for_training(tmp_path):
    files = "sequence,start,end\na,1,2\n", "sequence,from,end,who\na,1,2,P1\n"
    scored = score(tmp_path, *files, columns={"annotations": {"start": "from", "subject": "who"}})
    assert scored.targets.spans.tolist() == [[1, 2]]


def test_a_folder_with_label_files_is_for_another_command(tmp_path):
    (tmp_path / "p.csv").write_text("sequence,start,end\na,1,2\n")
    with pytest.raises(FileNotFoundError, match=r"a folder; .*spanloc-evaluate data.root=FOLDER"):
        read_scored(tmp_path / "p.csv", tmp_path)
