"""Rows that cannot be read: noted one by one where errors are collected, an error where not."""

import pandas as pd
import pytest
from recordings import RATE, error_of, recording

from spanloc.data import read_annotations
from spanloc.data.survey import survey_records

# What is broken is at the places that are said; the rest is one span, from 1 to 2 s.
TEXTS = {
    "annotations.csv": (
        "sequence,start,end,label\na,x,2,w\na,1,2,w\na,1\n,1,2,w\na,1,inf,w\n",
        ["line 2", "line 4", "line 5", "line 6"],
        {},
    ),
    "annotations.tsv": ("sequence\tstart\tend\na\t1\t2\na\t\t3\n", ["line 3"], {}),
    "annotations.jsonl": (
        '{"sequence": "a", "start": 1, "end": 2}\n{\n3\n{"sequence": "a", "start": 1}\n'
        '{"sequence": "a", "start": 1, "end": 2, "label": "w"}\n{"sequence": {}, "start": 1, "end": 2}',
        ["line 2", "line 3", "line 4", "line 5", "line 6"],
        {},
    ),
    "data/a.txt": ("1\t2\tw\nnothing\n3\tx\tw\n", ["line 2", "line 3"], {}),
    "data/a.selections.txt": (
        "Selection\tBegin Time (s)\tEnd Time (s)\tAnnotation\n1\t1\t2\tw\n2\t?\t3\tw\n3\t4\n",
        ["line 3", "line 4"],
        {},
    ),
    "data/a.csv": ("start,end,label\n1,2,w\n2,y,w\n4\n", ["line 3", "line 4"], {"format": "csv"}),
    "data/a.csv ": (
        "Time,Behavior,Status\n1,w,START\n2,w,STOP\n3,w,STOP\nx,w,START\n4,w,START\n5,w,START\n",
        ["line 4", "line 5", "line 7", "line 6"],
        {"format": "boris"},
    ),
    "all.rttm": (
        "SPEAKER a 1 1 1 <NA> <NA> w <NA> <NA>\nSPEAKER a 1 x 1 <NA> <NA> w\nSPEAKER a\n",
        ["line 2", "line 3"],
        {},
    ),
    "data/a.TextGrid": (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n0 3 <exists> 1 "IntervalTier" "t" 0 3 2\n'
        '1 2 "w" 2 1e13 "w"\n',
        ["tier 't', interval 2"],
        {},
    ),
    "annotations.json": (
        '{"database": {"a": {"annotations": [{"segment": [1, 2], "label": "w"}, '
        '{"segment": [1], "label": "w"}, 4]}}}',
        ["annotations[1]", "annotations[2]"],
        {},
    ),
    "export.json": (
        '[{"data": {"csv": "a.npy"}, "annotations": [{"result": ['
        '{"value": {"start": 1, "end": 2, "labels": ["w"]}}, '
        '{"value": {"start": 1, "end": "x", "labels": ["w"]}}, 3]}]}, '
        '{"data": {"csv": "z.npy"}, "annotations": []}]',
        ["task 0: result[1]", "task 0: result[2]", "task 1"],
        {"format": "labelstudio"},
    ),
}


def read(folder, refused, **options):
    found = read_annotations(folder, fps=RATE, refused=refused, **options)
    return [
        (record.id, record.source.rows, (record.spans / RATE).tolist())
        for records in found.subsets.values()
        for record in records
    ]


@pytest.mark.parametrize("name", TEXTS)
def test_every_broken_row_is_noted_and_the_others_are_read(tmp_path, name):
    text, places, options = TEXTS[name]
    recording(tmp_path / "data", "a")
    file = tmp_path / name.strip()
    file.write_text(text)
    refused = []
    (record,) = read(tmp_path, refused, **options)
    assert [case.row for case in refused] == places
    assert {case.file for case in refused} == {str(file)}
    for case in refused:
        assert case.text.isprintable()
        assert str(tmp_path) not in case.text
        assert not case.text.startswith((case.row, ":"))
    assert record[0] == "a"
    assert record[2] == [[1, 2]]
    assert len(record[1]) == 1
    assert record[1][0] not in places
    # In training, the first of them stops the reading.
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        read_annotations(tmp_path, fps=RATE, **options)
    assert str(file) in str(caught.value)
    assert places[0] in str(caught.value)


def test_rows_of_a_parquet_file_are_noted_too(tmp_path):
    recording(tmp_path, "a")
    columns = {"sequence": ["a", None, "a"], "start": ["1", "1", "x"], "end": ["2", "2", "3"]}
    pd.DataFrame(columns).to_parquet(tmp_path / "annotations.parquet")
    refused = []
    assert read(tmp_path, refused) == [("a", ["row 0"], [[1, 2]])]
    assert [case.line.rpartition("parquet, ")[2] for case in refused] == [
        "row 1: sequence is empty; wanted the id of a sequence",
        "a, row 2: start is 'x'; wanted a number",
    ]


def test_a_quote_that_is_not_closed_does_not_take_what_follows(tmp_path):
    recording(tmp_path, "a")
    rows = ["sequence,start,end,label", "a,1,2,w", 'a,2,3,"w', *["a,3,4,w"] * 9]
    (tmp_path / "annotations.csv").write_text("\n".join(rows))
    assert error_of(tmp_path, fps=RATE).endswith("annotations.csv: line 3: a quote is not closed")
    (tmp_path / "annotations.csv").write_text("\n".join([*rows, 'a,5,6,"w"']))
    with pytest.raises(ValueError, match=r"annotations.csv: line 3: ',' expected after '\"'$"):
        read_annotations(tmp_path, fps=RATE)
    refused = []
    (tmp_path / "annotations.csv").write_text("\n".join([*rows, 'a,5,6","w"', "a,6,7,w"]))
    assert [ends for _, _, ends in read(tmp_path, refused)] == [[[1, 2], [6, 7]]]
    text = "5 fields; the header has 4 (a quote that is open goes on to line 13)"
    assert [(case.row, case.text) for case in refused] == [("line 3", text)]


@pytest.mark.parametrize("suffix", ["txt", "csv"])
def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path, suffix):
    recording(tmp_path, "a", "b", "c")
    whole = {"txt": "1\t2\tw\n", "csv": "start,end,label\n1,2,w\n"}[suffix]
    for name, text in (("a", whole), ("b", "\0"), ("c", whole.replace("2", "?"))):
        (tmp_path / f"{name}.{suffix}").write_text(text)
    refused = []
    kind = {"txt": "audacity", "csv": "csv"}[suffix]
    assert [name for name, _, _ in read(tmp_path, refused, format=kind)] == ["a", "c"]
    assert [case.file for case in refused] == [str(tmp_path / f"{name}.{suffix}") for name in "bc"]
    with pytest.raises(ValueError, match=rf"b.{suffix}: binary data"):
        read_annotations(tmp_path, fps=RATE, format=kind)


def test_mistakes_of_subsets_are_noted_by_recording(tmp_path):
    recording(tmp_path, "a", "b", "c", "d")
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text("1\t2\tw\n")
    lines = ["sequence,subset", "a,training", "b,dev", "a,testing", "d"]
    (tmp_path / "subsets.csv").write_text("\n".join(lines))
    refused = []
    read(tmp_path, refused)
    found = [(case.sequence, case.row) for case in refused]
    assert found == [("b", "line 3"), ("a", "line 4"), ("", "line 5"), ("c", ""), ("d", "")]


def test_every_recording_without_a_row_is_noted_where_rows_say_the_subset(tmp_path):
    recording(tmp_path, "a", "b", "c")
    (tmp_path / "annotations.csv").write_text("sequence,start,end,subset\na,1,2,training\n")
    refused = []
    read(tmp_path, refused)
    assert [case.sequence for case in refused] == ["b", "c"]
    assert all("there is no row of" in case.text for case in refused)


def test_a_column_that_is_missing_is_one_error_not_one_of_every_row(tmp_path):
    recording(tmp_path, "a")
    (tmp_path / "annotations.csv").write_text("sequence,start,end\na,1,2\na,2,3\n")
    with pytest.raises(ValueError, match=r"there is no column 'what'; found 'sequence'"):
        read(tmp_path, [], columns={"label": "what"})


def test_training_does_not_carry_where_spans_are_written(tmp_path):
    recording(tmp_path, "a")
    (tmp_path / "annotations.csv").write_text("sequence,start,end\na,1,2\n")
    (record,) = read_annotations(tmp_path, fps=RATE).subsets["training"]
    assert record.source is None


def test_tiers_of_one_name_are_no_choice(tmp_path):
    recording(tmp_path, "a")
    tier = '"IntervalTier" "t" 0 3 1 1 2 "w"'
    text = f'File type = "ooTextFile"\nObject class = "TextGrid"\n0 3 <exists> 2 {tier} {tier}'
    (tmp_path / "a.TextGrid").write_text(text)
    assert error_of(tmp_path, fps=RATE).endswith("a.TextGrid: 2 tiers are called 't'; wanted one")


@pytest.mark.parametrize("policy", ["clip", "drop"])
@pytest.mark.parametrize(("good", "bad", "refused"), [(3, 10, True), (4, 10, False), (0, 9, False)])
def test_spans_are_not_left_out_where_most_are_outside_of_their_recording(
    tmp_path, policy, good, bad, refused
):
    # Six that stick out are no sign of a wrong setting.
    times = [*((i, i + 1) for i in range(good)), *((9, i + 11) for i in range(6))]
    times += [(i + 11, i + 12) for i in range(bad)]
    recording(tmp_path / "data", "a")
    rows = [f"a,{start},{end},x" for start, end in times]
    (tmp_path / "annotations.csv").write_text("\n".join(["sequence,start,end,label", *rows]))
    found, late = [], []
    options = {"fps": RATE, "bad_spans": policy, "found": found}
    if refused:
        text = f"{bad} of {len(times)} spans are reversed or outside of their recording: probably the unit"
        assert f"annotations.csv: {text}" in (message := error_of(tmp_path, **options))
        assert "; the first: " in message
        assert "sequence 'a': line 11: span is [11.0, 12.0]" in message
    else:
        read_annotations(tmp_path, **options)
    # The check reads on, and says the same.
    read = read_annotations(tmp_path, fps=RATE, bad_spans="drop", found=late, refused=[])
    records = read.subsets["training"]
    result = survey_records(records, read.classes, found=late, bad_spans=policy)
    errors = [one.text for one in result.findings if one.severity == "error"]
    assert len(errors) == refused
    assert all(text in one for one in errors)
