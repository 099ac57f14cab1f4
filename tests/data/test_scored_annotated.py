"""Stretches of a sequence that were looked at, in files that are scored: the rest counts neither way."""

import json
import re

import pytest
import torch
from recordings import edit

from spanloc.data import read_annotations
from spanloc.data.annotations.scored import read_scored
from spanloc.data.annotations.written.one_file import one_file
from spanloc.files import write_json
from spanloc.metrics import average_precision
from spanloc.metrics.assessable import assessable

TRUE = [[10.0, 20.0], [30.0, 40.0]]
FOUND = [([60.0, 70.0], 0.9), ([10.0, 20.0], 0.8), ([80.0, 95.0], 0.7), ([30.0, 40.0], 0.6)]


def test_annotations_of_a_folder_in_one_file_are_read_as_the_folder_is(annotated):
    def add_third(rows):
        rows.append({"segment": [6.0, 6.3], "label": "odd"})

    edit(annotated, lambda content: content.pop("classes"))
    edit(annotated, lambda content: add_third(content["database"]["s2"]["annotations"]))
    edit(annotated, lambda content: add_third(content["database"]["s3"]["annotations"]))
    edit(
        annotated, lambda content: content["database"]["s4"].update(annotated=[[0, 5.5]], weight=2)
    )
    settings = {"ignore": ["odd"], "label_map": {"sit": "rest"}}
    read = read_annotations(annotated, **settings)
    content = one_file(read)
    assert content["classes"] == ["rest", "walk"]
    assert content["database"]["s2"] == {
        "subset": "training",
        "duration": 7.0,
        "subject": "p1",
        "annotated": [(0.0, 6.0), (6.3, 7.0)],
        "annotations": [
            {"segment": (1.0, 3.0), "label": "walk"}, {"segment": (4.0, 5.5), "label": "rest"},
        ],
    }  # fmt: skip
    write_json(annotated / "annotations.json", content)
    again = read_annotations(annotated, fps=10)
    assert list(again.subsets) == list(read.subsets)
    for subset, records in read.subsets.items():
        for old, new in zip(records, again.subsets[subset], strict=True):
            assert (old.id, old.subject, old.weight) == (new.id, new.subject, new.weight)
            for name in ("spans", "labels", "ignored"):
                torch.testing.assert_close(getattr(old, name), getattr(new, name))
    held_out = one_file(read, {"testing": read.subsets["training"][:1]})["database"]
    assert [held_out[name]["subset"] for name in ("s0", "s1")] == ["testing", "training"]
    odd = one_file(read_annotations(annotated, fps=10, unknown=["rest"]))["database"]["s0"]
    assert odd["annotated"] == [(0.0, 4.0), (5.5, 6.0)]
    assert len(odd["annotations"]) == 1


def write(folder, **fields):
    """Two targets and four predictions of one sequence, and what else is said of it."""
    truths = [{"segment": segment, "label": "a"} for segment in TRUE]
    database = {"one": {"subset": "testing", "annotations": truths} | fields}
    database["two"] = {"subset": "training", "annotations": []}
    found = [{"segment": segment, "label": "a", "score": score} for segment, score in FOUND]
    (folder / "a.json").write_text(json.dumps({"database": database}))
    (folder / "p.json").write_text(json.dumps({"results": {"one": found}}))
    return folder / "p.json", folder / "a.json"


def test_what_either_annotator_did_not_look_at_is_ignored(tmp_path):
    _, annotations = write(tmp_path)
    rows = [{"segment": TRUE[0], "label": "a"}]
    other = {"one": {"annotated": [[0, 25]], "annotations": rows}}
    (tmp_path / "b.json").write_text(json.dumps({"database": other}))
    for pair in ((tmp_path / "b.json", annotations), (annotations, tmp_path / "b.json")):
        scored = read_scored(*pair, invalid="skip")
        found, true = assessable(scored.predictions, scored.targets)
        assert found.spans.tolist() == true.spans.tolist() == [TRUE[0]]


def mean_ap(paths):
    scored = read_scored(*paths)
    _, table = average_precision(*assessable(scored.predictions, scored.targets), [0.5])
    return float(table.mean())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # Right at ranks 2 and 4, of 2 targets: precision is 1/2 at both.
        ({}, 0.5),
        ({"annotated": [[0, 100]], "duration": 100}, 0.5),
        # Ranks 1 and 3 go: all that stay are right.
        ({"annotated": [[0, 50]], "duration": 100}, 1.0),
        ({"annotated": [[0, 50]]}, 1.0),
        ({"annotated": [[5, 50]], "duration": 100.0}, 1.0),
        # In two stretches that overlap, in no order.
        ({"annotated": [[25, 50], [0, 30.5]]}, 1.0),
        # Only the first prediction goes: right at ranks 1 and 3, precision 1 and 2/3.
        ({"annotated": [[0, 50], [75, 100]], "duration": 100}, (1 + 2 / 3) / 2),
        # A prediction is left out where more than half of it was not looked at: [80, 95] from 87.5 on.
        ({"annotated": [[0, 50], [87.5, 100]]}, (1 + 2 / 3) / 2),
        ({"annotated": [[0, 50], [87.6, 100]]}, 1.0),
        # The second target goes, and the prediction of it: the one that stays is right at rank 1.
        ({"annotated": [[0, 25]], "duration": 100}, 1.0),
        # It alone was looked at, and the wrong one of rank 1 was too: rank 2 of 2.
        ({"annotated": [[0, 25], [55, 75]]}, 0.5),
        # Past the end of a sequence nothing is ignored: the last two of rank 1 and 3 are wrong.
        ({"annotated": [[0, 45]], "duration": 45}, 0.5),
    ],
)
def test_map_by_hand(tmp_path, fields, expected):
    assert mean_ap(write(tmp_path, **fields)) == pytest.approx(expected)


def ignored(folder, **fields):
    targets = read_scored(*write(folder, **fields)).targets
    assert all(stretches.dtype == torch.float64 for stretches in targets.ignored)
    return [stretches.tolist() for stretches in targets.ignored]


def test_what_was_not_looked_at_is_the_rest_of_the_duration(tmp_path):
    assert ignored(tmp_path) == []
    # By place of the sequence; one that says nothing was looked at as a whole.
    assert ignored(tmp_path, annotated=[[-5, 3], [50, 60], [60, 70], [90, 200]], duration=100) == [
        [[3, 50], [70, 90]], [],
    ]  # fmt: skip
    # In any order, one inside another too.
    assert ignored(tmp_path, annotated=[[60, 80], [0, 50], [10, 20]], duration=100) == [
        [[50, 60], [80, 100]], [],
    ]  # fmt: skip
    assert ignored(tmp_path, annotated=[], duration=100) == [[[0, 100]], []]
    assert ignored(tmp_path, annotated=[[1, 2]]) == [[[-1e100, 1], [2, 1e100]], []]
    assert ignored(tmp_path, annotated=[]) == [[[-1e100, 1e100]], []]
    # A duration that is none is unknown.
    assert ignored(tmp_path, annotated=[[1, 2]], duration="long")[0][1] == [2, 1e100]


def test_a_subset_keeps_its_own(tmp_path):
    paths = write(tmp_path, annotated=[[0, 50]], duration=100)
    targets = read_scored(*paths, subset="Test").targets
    assert targets.ids == ("one",)
    assert [stretches.tolist() for stretches in targets.ignored] == [[[50, 100]]]


@pytest.mark.parametrize(
    ("annotated", "message"),
    [
        (None, "annotated is None; wanted a list of stretches [start, end]"),
        ({"start": 1}, "annotated is {'start': 1}; wanted a list of stretches"),
        ([1, 2], "annotated[0] is 1; wanted [start, end] in seconds"),
        ([[0, 1], [2, 3, 4]], "annotated[1] is [2, 3, 4]; wanted [start, end]"),
        ([[0, "1"]], "annotated[0] is [0, '1']; wanted [start, end]"),
        ([[0, True]], "annotated[0] is [0, True]; wanted"),
        ([[5, 3]], "annotated[0] is [5, 3]; wanted [start, end] in seconds, with start <= end"),
        ([[0, float("nan")]], "annotated[0] is [0, nan]; wanted"),
        ([[0, float("inf")]], "annotated[0] is [0, inf]; wanted"),
        ([[-1e101, 0]], "annotated[0] is [-1e+101, 0]; wanted"),
    ],
)
@pytest.mark.parametrize("invalid", ["error", "skip"])
def test_a_bad_stretch_is_one_line(tmp_path, annotated, message, invalid):
    paths = write(tmp_path, annotated=annotated)
    with pytest.raises(ValueError, match=re.escape(f"a.json: sequence 'one': {message}")) as error:
        read_scored(*paths, invalid=invalid)
    assert "\n" not in str(error.value)


def test_the_command_counts_what_was_looked_at(tmp_path, cli):
    predictions, annotations = write(tmp_path, annotated=[[0, 50]], duration=100)
    given = (f"predictions={predictions}", f"annotations={annotations}", "hydra.run.dir=run")
    scores = json.loads((cli("score", *given, "tiou=[0.5]") / "run" / "scores.json").read_text())
    assert scores["metrics"]["mAP@0.50"] == 1
    assert scores["diagnosis"]["num_predictions"] == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'{"classes": ["x", "x"], "database": {}}', "classes holds a name twice"),
        ("a.csv", b"\xff\xfe" + "sequence,start,end,label\na,0,1,x\n".encode("utf-16-le") + b"\0", "text"),
    ],
)  # fmt: skip
def test_annotations_that_cannot_be_read_are_an_error_that_names_the_file(
    tmp_path, name, content, message
):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "p.csv").write_text("sequence,start,end,label,score\na,0,1,x,0.5\n")
    with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
        read_scored(tmp_path / "p.csv", tmp_path / name)
