"""A folder in the annotation format with any mistake in it is read, or refused in one line."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from mutated import at_length, harmless, json_files
from recordings import error_of

from spanloc.data import read_annotations

ROWS = 30
CONTENT = {
    "classes": ["sit", "walk"],
    "database": {
        f"s{i}": {
            "subset": ("training", "validation", "testing")[i],
            "subject": f"p{i}",
            "duration": ROWS / 10,
            "fps": 10,
            "weight": 0.5,
            "annotated": [[0, 1.6], [1.8, 3]],
            "annotations": [
                {"segment": [0.5, 1.5], "label": "walk"},
                {"segment": [2, 3], "label": "sit"},
            ][: i + 1],
        }
        for i in range(3)
    },
}
ARRAY = np.arange(2.0 * ROWS, dtype=np.float32).reshape(ROWS, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    around = tmp_path_factory.mktemp("around")
    np.save(around / "outside.npy", ARRAY)
    (around / "set" / "data").mkdir(parents=True)
    for name in CONTENT["database"]:
        np.save(around / "set" / "data" / f"{name}.npy", ARRAY)
    return around / "set"


def check(folder):
    with harmless(folder.parent, str(folder)):
        found = read_annotations(folder)
        classes = found.classes
        assert all(isinstance(name, str) and name for name in classes)
        assert len(set(classes)) == len(classes)
        assert 0 < found.seconds_per_step < float("inf")
        assert found.num_channels > 0
        for records in found.subsets.values():
            for record in records:
                start, end = record.spans.unbind(1)
                assert ((start >= 0) & (start < end) & (end <= record.num_steps)).all()
                assert len(record.labels) == len(record.spans)
                assert all(0 <= label < len(classes) for label in record.labels.tolist())
                assert 0 <= record.weight <= 1e6
                whole = record.signal.read(0, record.num_steps)
                assert whole.shape == (record.num_steps, found.num_channels)


@at_length(40, 10_000)  # three minutes
def test_annotations_with_a_mistake_are_read_or_refused_in_one_line(folder, often):
    @often
    @given(json_files(CONTENT))
    def run(content):
        (folder / "annotations.json").write_bytes(content)
        check(folder)

    run()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"s3": {', '"s2": {', "annotations.json: not valid JSON: 's2' is there twice in one object"),
        ('"fps": 10', '"fps": 10, "fps": 20', "not valid JSON: 'fps' is there twice in one object"),
        ('"fps": 10', '"fps": 1e-308', "sequence 's0': fps is 1e-308; wanted a number above 0"),
        ('"fps": 10', '"fps": 1e12', "s0.npy: 60 rows; wanted 6000000000000"),
        ('"duration": 6.0', '"duration": Infinity', "'s0': duration is inf; wanted a number"),
        ('[1.0, 3.0]', '[true, 3.0]', "annotations[0]: segment is [True, 3.0]; wanted [start, end]"),
        ('[1.0, 3.0]', '[-0.05, -0.01]', "segment is [-0.05, -0.01]; wanted 0 <= start < end"),
        ('[1.0, 3.0]', '[1.0, 1.00000001]', "[1.0, 1.00000001], which has no length in steps of"),
        ('"label": "walk"', '"name": "walk"', "annotations[0]: label is missing; wanted one of"),
        ('"label": "walk"', '"label": "\\ud800"', 'not valid JSON: near \'.0, 3.0], "label": "\\ud800"}'),
        ('"sit", "walk"', '"sit", "walk", "\\udc00"', "is half a surrogate pair"),
        ('"s2": {', '"": {', "'' is not the name of a recording"),
        ('"s2": {', '"\\ud800": {', "is half a surrogate pair, which is no character"),
        ('"s2": {', f'"a/{"x" * 5000}": {{', "there is no such recording in"),
        ('"s2": {', '"x\\ny": {', r"sequence 'x\ny': there is no such recording"),
        ('"s2": {', '"s2": null, "s9": {', "sequence 's2': the entry is None; wanted an object"),
        ('"subject": "p0"', '"subject": [[]]', "sequence 's0': subject is [[]]; wanted a name"),
        ('"subject": "p0"', '"weight": NaN', "'s0': weight is nan; wanted a number from 0 to 1e6"),
        ('"subject": "p0"', f'"weight": {"[" * 100_000}', "not valid JSON: it is nested too deeply"),
        ('"subset": "training"', '"subset": ["a"]', "'s0': subset is ['a']; wanted one of training"),
        ('"subset": "training"', f'"subset": {json.dumps(["x" * 9_999, *range(9_999)])}', "subset is ['xxx"),
        ('{"classes"', '\udcff{"classes"', "not valid JSON: 'utf-8' codec can't decode byte 0xff"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_text_is_named_in_one_line(annotated, old, new, message):
    path = annotated / "annotations.json"
    text = path.read_text()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode(errors="surrogateescape"))
    found = error_of(annotated)
    assert message in found
    assert str(annotated) in found
    assert len(found) < 500


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_any_encoding_that_json_may_have_is_read(annotated, encoding):
    path = annotated / "annotations.json"
    path.write_bytes(path.read_text().replace("walk", "läuft").encode(encoding))
    assert read_annotations(annotated).classes == ["sit", "läuft"]


def test_annotations_that_are_no_regular_file_are_refused(annotated):
    path = annotated / "annotations.json"
    path.write_text("")
    assert "annotations.json: the file is empty; wanted JSON" in error_of(annotated)
    path.unlink()
    os.mkfifo(path)
    assert "annotations.json: not a regular file; wanted a file" in error_of(annotated)
    path.unlink()
    path.mkdir()
    assert "annotations.json: a folder; wanted a file" in error_of(annotated)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
@pytest.mark.parametrize("name", ["annotations.json", "data/s3.npy"])
def test_a_file_that_may_not_be_read_is_named(annotated, name):
    (annotated / name).chmod(0)
    with pytest.raises(OSError, match=f"{name}.*Permission denied|Permission denied.*{name}"):
        read_annotations(annotated)


def test_a_pipe_is_no_array(annotated):
    path = annotated / "data" / "s3.npy"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="'s3': there is no such recording"):
        read_annotations(annotated)
