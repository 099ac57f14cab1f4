"""Folders in which recordings and their annotations may lie, and what the names of recordings say."""

import logging
import os
import shutil
import time

import numpy as np
import pytest
from recordings import RATE, edf, error_of, recording, table

from spanloc.data import AnnotatedData, read_annotations
from spanloc.data.survey import survey_records

IDS = ["s1/a", "s1/b", "s2/a"]


def ids(root, **options):
    found = read_annotations(root, fps=RATE, **options)
    return {record.id: record for records in found.subsets.values() for record in records}


@pytest.fixture
def by_subject(tmp_path):
    """Recordings in a folder for each subject, with a label track beside each."""
    for name in IDS:
        folder = tmp_path / name.partition("/")[0]
        recording(folder, name[-1])
        table(folder, f"{IDS.index(name)},0\t4,5\twalk\n", f"{name[-1]}.txt")
    return tmp_path


@pytest.mark.parametrize("parent", ["data", "."])
def test_labels_in_the_folders_of_subjects_are_those_of_the_recordings_beside_them(
    by_subject, parent
):
    if parent == "data":
        (by_subject / "data").mkdir()
        for name in ("s1", "s2"):
            shutil.move(by_subject / name, by_subject / "data" / name)
    found = ids(by_subject)
    assert [*found] == IDS
    starts = [round(found[name].spans[0, 0].item() / RATE) for name in IDS]
    assert starts == [0, 1, 2]


@pytest.mark.parametrize("run", ["runs/train", "s1"])
def test_hidden_files_and_results_of_runs_are_no_recordings(by_subject, run):
    (by_subject / run / ".hydra").mkdir(parents=True)
    now = time.time()
    os.utime(by_subject / run / ".hydra", (now + 10, now + 10))
    for name in ("features", "figures/x"):
        path = by_subject / run / name
        recording(path.parent, path.name)
        os.utime(path.with_suffix(".npy"), (now + 20, now + 20))
    table(by_subject / "s1", "0\t1\twalk\n", "._a.txt")
    assert [*ids(by_subject)] == IDS


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_recordings_and_labels_may_lie_in_two_folders(tmp_path, suffix):
    recording(tmp_path / "audio", "a", "b")
    if suffix == ".csv":
        for path in (tmp_path / "audio").glob("*.npy"):
            table(path.parent, "x\n" + "1\n" * 500, f"{path.stem}.csv")
            path.unlink()
    (tmp_path / "labels").mkdir()
    for start, name in enumerate("ab"):
        table(tmp_path / "labels", f"{start}\t4\twalk\n", f"{name}.txt")
    found = ids(tmp_path)
    assert [*found] == ["audio/a", "audio/b"]
    assert [record.spans[0, 0].item() / RATE for record in found.values()] == [0, 1]
    for path in (tmp_path / "labels").iterdir():
        path.unlink()
    table(tmp_path, "sequence,start,end\na,1,2\naudio/b,1,2\n", "annotations.csv")
    assert [*ids(tmp_path)] == ["audio/a", "audio/b"]


def test_labels_beside_other_recordings_are_not_those_of_a_namesake(tmp_path, caplog):
    recording(tmp_path / "s1", "a", "b")
    (tmp_path / "s2").mkdir()
    for name in ("s1/a", "s2/b"):
        table(tmp_path, "1\t4\twalk\n", f"{name}.txt")
    assert [*ids(tmp_path)] == ["s1/a"]
    assert "no recording has these names: 's2/b.txt'" in caplog.text
    recording(tmp_path / "s2", "c")
    (tmp_path / "s1" / "a.txt").rename(tmp_path / "s2" / "a.txt")
    assert "there are no annotations" in error_of(tmp_path, fps=RATE, format="audacity")


@pytest.mark.parametrize("other", ["old/a.txt", "a.extra/note.txt", "praat/a.TextGrid"])
def test_other_files_in_folders_of_data_are_no_annotations(tmp_path, other):
    recording(tmp_path / "data", "a", "b")
    table(tmp_path / "data", "1\t4\twalk\n", "b.txt")
    (tmp_path / "data" / other).parent.mkdir()
    table(tmp_path / "data", "2\t3\twalk\n", other)
    assert [*ids(tmp_path)] == ["b"]


@pytest.mark.parametrize("parent", ["data", "."])
def test_subsets_may_be_folders_with_folders_inside(tmp_path, parent):
    for name in ("training/p1/a", "testing/p2/b"):
        path = tmp_path / parent / name
        recording(path.parent, path.name)
        table(path.parent, "1\t4\twalk\n", f"{path.name}.txt")
    found = ids(tmp_path)
    assert {name: record.subset for name, record in found.items()} == {
        "training/p1/a": "training",
        "testing/p2/b": "testing",
    }


def test_a_label_for_each_step_may_lie_beside_its_recording_in_a_folder(tmp_path):
    for name in ("s1/a", "s2/a"):
        path = tmp_path / name
        recording(path.parent, path.name)
        table(path.parent, "0\n" * 400 + "walk\n" * 100, f"{path.name}.txt")
    assert [*ids(tmp_path, format="lines")] == ["s1/a", "s2/a"]


def test_a_table_names_recordings_by_the_folders_they_are_in(by_subject):
    for path in by_subject.rglob("*.txt"):
        path.unlink()
    table(by_subject, "sequence,start,end\ns1/a,1,2\ns1/b.npy,1,2\ns2/a,1,2\n", "annotations.csv")
    assert [*ids(by_subject)] == IDS


@pytest.mark.parametrize("place", [".", "training"])
def test_folders_below_are_read_where_there_are_no_recordings_but_tables_of_another_kind(
    by_subject, place
):
    table(by_subject, "patient,age\n1,30\n2,40\n", "patients.csv")
    assert [*ids(by_subject)] == IDS
    recording(by_subject / place, "a")
    table(by_subject / place, "1\t4\twalk\n", "a.txt")
    assert [*ids(by_subject)] == ["a"]


def test_tables_like_those_below_or_with_labels_beside_them_are_recordings(tmp_path):
    for name in ("a", "raw/a", "raw/b", "raw/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        table(tmp_path, "x,label\n" + "1,walk\n" * 9, f"{name}.csv")
    assert [*ids(tmp_path)] == ["a"]
    for name in ("x", "y", "z"):
        (tmp_path / "raw" / f"{'abc'['xyz'.index(name)]}.csv").rename(
            tmp_path / "raw" / f"{name}.csv"
        )
    assert [*ids(tmp_path)] == ["a"]


@pytest.mark.parametrize("parent", ["data", "."])
@pytest.mark.parametrize("subset", ["", ",training"])
def test_tables_of_another_kind_than_the_recordings_are_not_named_as_left_out(
    tmp_path, caplog, parent, subset
):
    (tmp_path / parent).mkdir(exist_ok=True)
    for name in ("a", "b"):
        table(tmp_path / parent, "time,x\n0,1\n1,2\n2,1\n", f"{name}.csv")
    table(tmp_path, "id,age,sex\na,30,f\nb,40,m\n", "patients.csv")
    rows = f"sequence,start,end{',subset' * bool(subset)}\na,0,1{subset}\n"
    table(tmp_path, rows + f"b,0,1{subset}\n", "annotations.csv")
    assert [*ids(tmp_path)] == ["a", "b"]
    assert "left out" not in caplog.text
    table(tmp_path, "x,time\n1,0\n2,1\n3,2\n", "c.csv")
    if parent == "." and subset:
        assert "there is no row of 'c'" in error_of(tmp_path)
    else:
        assert [*ids(tmp_path)] == ["a", "b"]
        assert ("no row names them: 'c'. " in caplog.text) == (parent == ".")


@pytest.mark.parametrize("parent", ["data", "."])
def test_tables_of_spans_for_each_person_are_read_as_one(tmp_path, caplog, parent):
    recording(tmp_path / parent, "p1_a", "p1_b", "p2_a")
    table(tmp_path, "id,age\np1,30\np2,40\n", "patients.csv")
    first = table(tmp_path, "file,onset,duration,label\np1_a.npy,1,2,x\np1_b,2,3,y\n", "p1 x.csv")
    said = error_of(tmp_path, fps=RATE)
    assert said.endswith(f"; there is {first}: if it is such a table, rename it to annotations.csv")
    second = table(tmp_path, "file\tonset\tduration\tlabel\np2_a\t1\t2\ty\n", "p2 x.tsv")
    said = error_of(tmp_path, fps=RATE)
    assert "p1 x.csv: line 1: there are no columns 'sequence' and 'start'; found 'file', " in said
    columns = {"sequence": "file", "start": "onset"}
    found = read_annotations(tmp_path, fps=RATE, columns=columns)
    said = "there is no annotations.csv; read as one table, and each as a subject: 'p1 x.csv', 'p2 x.tsv'"
    assert said in caplog.text
    assert {r.id: r.subject for r in found.subsets["training"]}["p1_b"] == "p1 x"
    assert "left out" not in caplog.text
    assert (found.classes, found.files) == (["x", "y"], (first, second))
    spans = {r.id: (r.spans / RATE).tolist() for r in found.subsets["training"]}
    assert spans == {"p1_a": [[1, 3]], "p1_b": [[2, 5]], "p2_a": [[1, 3]]}
    # Predictions, subsets and what is called as a recording are none of them.
    row = "file,onset,duration,label\np1_a,3,1,x\n"
    others = {
        "p1_a labels.csv": row,
        "test.csv": row,
        "found.csv": row.replace("label", "label,score"),
    }
    for name, text in others.items():
        table(tmp_path, text, name)
    assert read_annotations(tmp_path, fps=RATE, columns=columns).files == (first, second)
    for name in others:
        (tmp_path / name).unlink()
    second.write_text("file\tonset\tduration\tlabel\np1_b\t1\t2\ty\n")
    said = error_of(tmp_path, fps=RATE, columns=columns)
    assert said == f"{second}: sequence 'p1_b' has rows in {first} too"


def test_an_error_says_that_recordings_hold_annotations_themselves(tmp_path):
    (tmp_path / "data").mkdir()
    for name in "ab":
        edf(tmp_path / "data" / f"{name}.edf", {"x": (10, np.zeros(100))})
    assert "data.format=edf" not in error_of(tmp_path)
    path = edf(tmp_path / "data" / "b.edf", {"x": (10, np.zeros(100))}, [(1, 2, "N2")])
    assert error_of(tmp_path).endswith(f"; {path} holds annotations itself: data.format=edf")


def test_a_table_without_rows_is_an_error_and_no_recording_is_left_out(tmp_path, caplog):
    recording(tmp_path / "data", "a")
    file = table(tmp_path, "sequence,start,end\n", "annotations.csv")
    assert error_of(tmp_path, fps=RATE) == f"{file}: the table has a header but no rows"
    assert not caplog.text


def test_an_id_with_a_path_is_the_recording_at_this_path(tmp_path):
    for name in ("s1/a", "s1/s1/a", "s2/a"):
        path = tmp_path / name
        recording(path.parent, path.name)
    for name in ("s1/a", "s2/a"):
        table(tmp_path, "1\t4\twalk\n", f"{name}.txt")
    assert ids(tmp_path)["s1/a"].signal.path == tmp_path / "s1" / "a.npy"


def test_recordings_without_a_file_are_left_out_where_that_is_asked_for(tmp_path, caplog):
    recording(tmp_path / "data", "a")
    table(tmp_path, "sequence,start,end\na,1,2\nb,1,2\nc,1,2\n", "annotations.csv")
    assert "or leave out all such recordings: data.absent=skip; 2 are missing" in error_of(
        tmp_path, fps=RATE
    )
    with caplog.at_level(logging.WARNING):
        assert [*ids(tmp_path, absent="skip")] == ["a"]
    assert "recordings left out, as they have no file: 'b', 'c'" in caplog.text
    assert "data.absent is 'no'; wanted error or skip" in error_of(tmp_path, absent="no")
    table(tmp_path, "sequence,start,end,label\na,1,2,x\nb,1,2,y\n", "annotations.csv")
    assert read_annotations(tmp_path, fps=RATE, absent="skip").classes == ["x"]
    (tmp_path / "data" / "a.npy").unlink()
    assert "there is no such recording" in error_of(tmp_path, fps=RATE, absent="skip")


def test_a_pattern_finds_the_subjects_in_the_names(by_subject, caplog):
    found = ids(by_subject, subject_pattern="^s([0-9])/")
    assert [found[name].subject for name in IDS] == ["1", "1", "2"]
    table(by_subject, "sequence,subject\ns1/a,anna\ns1/b,\ns2/a,\n", "subsets.csv")
    with caplog.at_level(logging.WARNING):
        found = ids(by_subject, subject_pattern="^s1")
    assert [found[name].subject for name in IDS] == ["anna", "s1", None]
    assert "finds no subject in 's2/a', so each counts as a subject of its own: one " in caplog.text
    assert "data.subject_pattern is '(s'; wanted a regular expression: " in error_of(
        by_subject, fps=RATE, subject_pattern="(s"
    )


@pytest.mark.parametrize("pattern", [None, "^(s.)/"])
def test_training_says_that_subjects_are_not_named_where_names_seem_to_have_them(
    by_subject, pattern
):
    recording(by_subject / "s2", "b")
    table(by_subject / "s2", "1\t4\twalk\n", "b.txt")
    data = AnnotatedData(by_subject, fps=RATE, subject_pattern=pattern)
    data.setup()
    said = [note for note in data.notes if note.startswith("no subjects are named")]
    assert len(said) == (pattern is None)
    assert all("""'data.subject_pattern="^([^/]+)/"'""" in note for note in said)


@pytest.mark.parametrize(
    ("names", "suggested"),
    [
        (["s1/a", "s1/b", "s2/a", "s2/b"], """'data.subject_pattern="^([^/]+)/"' (2 subjects: 's1', 's2')"""),
        (["s1_a", "s1_b", "s2-a", "s2_b"], """'data.subject_pattern="^([^/_-]+)[_-]"' (2 subjects: 's1', 's2')"""),
        (["rec_1", "rec_2", "rec_3"], ""),
        (["testing/a", "testing/b", "training/a", "training/b"], ""),
        (["a_1", "b_1", "c_1"], ""),
        (["s1_a", "s1_b", "s2_a", "other"], ""),
    ],
)  # fmt: skip
def test_a_check_suggests_the_pattern_that_divides_the_names(tmp_path, names, suggested):
    for name in names:
        place = tmp_path / "data" / name
        recording(place.parent, place.name)
    rows = "".join(f"{name},1,2\n" for name in names)
    table(tmp_path, f"sequence,start,end\n{rows}", "annotations.csv")
    found = read_annotations(tmp_path, fps=RATE)
    records = [record for part in found.subsets.values() for record in part]
    (note,) = [
        one for one in survey_records(records, found.classes).findings if one.kind == "no subjects"
    ]
    assert note.advice.endswith(suggested or "whole subjects.")
