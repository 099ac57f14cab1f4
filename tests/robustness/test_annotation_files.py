"""A folder in the annotation format with any mistake in it is read, or refused in one line."""

import io
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutated import at_length, broken, harmless, json_files
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
            "annotations": [
                {"segment": [0.5, 1.5], "label": "walk"},
                {"segment": [2, 3], "label": "sit"},
            ][: i + 1],
        }
        for i in range(3)
    },
}
ARRAY = np.arange(2.0 * ROWS, dtype=np.float32).reshape(ROWS, 2)


def saved(array, save=np.save):
    file = io.BytesIO()
    save(file, array)
    return file.getvalue()


def header(shape, descr="'<f4'"):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00v\x00" + text.encode()


ARRAYS = [
    *map(saved, (ARRAY, np.asfortranarray(ARRAY), ARRAY.astype(">f2"), ARRAY.astype(np.int64))),
    *map(saved, (ARRAY.astype(complex), ARRAY > 3, ARRAY[0, 0], ARRAY[:, 0], ARRAY[:, :0])),
    *map(saved, (np.zeros(ROWS, "f4,i8"), ARRAY.astype("M8[s]"), ARRAY.astype("S4"))),
    saved(ARRAY, np.savez),
    saved(ARRAY, lambda file, array: np.save(file, array.astype(object), allow_pickle=True)),
    *(header(f"({rows}, 2)") + ARRAY.tobytes() for rows in (30, 10**12, 10**30, -1, 0, "True", "30,", "(" * 60)),
    *(header("(30, 2)", descr) + ARRAY.tobytes() for descr in ("'|O'", "'\\\\d'", "[('a', '<f4')]", "None", "'<f4000'")),
]  # fmt: skip


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


arrays = st.sampled_from(ARRAYS) | st.sampled_from(ARRAYS).flatmap(lambda a: broken(a, 128))


@at_length(100, 10_000)  # three minutes
def test_annotations_with_a_mistake_are_read_or_refused_in_one_line(folder, often):
    @often
    @given(json_files(CONTENT))
    def run(content):
        (folder / "annotations.json").write_bytes(content)
        check(folder)

    run()


@at_length(70, 5_000)  # a minute and a half
def test_an_array_with_a_mistake_is_read_or_refused_in_one_line(folder, often):
    (folder / "annotations.json").write_text(json.dumps(CONTENT))
    path = folder / "data" / "s1.npy"

    @often
    @given(arrays)
    def run(content):
        path.write_bytes(content)
        check(folder)

    try:
        run()
    finally:
        np.save(path, ARRAY)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"s3": {', '"s2": {', "annotations.json: not valid JSON: 's2' is there twice in one object"),
        ('"fps": 10', '"fps": 10, "fps": 20', "not valid JSON: 'fps' is there twice in one object"),
        ('"fps": 10', f'"fps": 1{"0" * 400}', "sequence 's0': fps is inf; wanted a number above 0"),
        ('"fps": 10', f'"fps": 1{"0" * 5000}', "sequence 's0': fps is inf; wanted a number above 0"),
        ('"fps": 10', '"fps": 1e308', "sequence 's0': fps is 1e+308; wanted a number above 0"),
        ('"fps": 10', '"fps": 1e-308', "sequence 's0': fps is 1e-308; wanted a number above 0"),
        ('"fps": 10', '"fps": true', "sequence 's0': fps is True; wanted a number above 0"),
        ('"fps": 10', '"fps": NaN', "sequence 's0': fps is nan; wanted a number above 0"),
        ('"fps": 10', '"fps": 1e12', "s0.npy: 60 rows; wanted 6000000000000"),
        ('"duration": 6.0', '"duration": Infinity', "'s0': duration is inf; wanted a number"),
        ('"duration": 6.0', '"duration": 0.01', "'s0': duration is 0.01; wanted at least one step"),
        ('"duration": 6.0', '"duration": 1e400', "sequence 's0': duration is inf; wanted a number"),
        ('[1.0, 3.0]', '[true, 3.0]', "annotations[0]: segment is [True, 3.0]; wanted [start, end]"),
        ('[1.0, 3.0]', '[1.0, NaN]', "annotations[0]: segment is [1.0, nan]; wanted [start, end]"),
        ('[1.0, 3.0]', f'[1.0, 1{"0" * 400}]', "annotations[0]: segment is [1.0, inf]; wanted"),
        ('[1.0, 3.0]', '[-0.05, -0.01]', "segment is [-0.05, -0.01]; wanted 0 <= start < end"),
        ('[1.0, 3.0]', '[6.01, 6.05]', "segment is [6.01, 6.05]; wanted 0 <= start < end"),
        ('[1.0, 3.0]', '[1.0, 1.00000001]', "[1.0, 1.00000001], which has no length in steps of"),
        ('"label": "walk"', '"label": 3', "annotations[0]: label is 3; wanted one of classes"),
        ('"label": "walk"', '"label": null', "annotations[0]: label is None; wanted one of"),
        ('"label": "walk"', '"name": "walk"', "annotations[0]: label is missing; wanted one of"),
        ('"label": "walk"', '"label": "\\ud800"', 'not valid JSON: near \'.0, 3.0], "label": "\\ud800"}'),
        ('"sit", "walk"', '"sit", "walk", "\\udc00"', "is half a surrogate pair"),
        ('"sit", "walk"', '"sit", "walk", ""', "classes is ['sit', 'walk', '']; wanted a list"),
        ('"sit", "walk"', '"sit", "walk", 3', "classes is ['sit', 'walk', 3]; wanted a list"),
        ('"s2": {', '"": {', "sequence '': the id is empty; wanted a name"),
        ('"s2": {', '"\\ud800": {', "is half a surrogate pair, which is no character"),
        ('"s2": {', f'"{"x" * 252}": {{', "xxxx': too long an id; its array is <id>.npy"),
        ('"s2": {', f'"a/{"x" * 5000}": {{', "xxxx': too long an id; its array is <id>.npy"),
        ('"s2": {', '"x\\ny": {', r"sequence 'x\ny': there is no such recording"),
        ('"s2": {', '"s2": null, "s9": {', "sequence 's2': the entry is None; wanted an object"),
        ('"subject": "p0"', '"subject": [[]]', "sequence 's0': subject is [[]]; wanted a name"),
        ('"subject": "p0"', '"weight": true', "'s0': weight is True; wanted a number from 0 to 1e6"),
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
    with pytest.raises(OSError, match=r"s3.npy is not a regular file"):
        read_annotations(annotated)


def test_the_order_of_an_array_in_its_file_does_not_matter(annotated):
    path = annotated / "data" / "s3.npy"
    array = np.load(path)
    np.save(path, np.asfortranarray(array))
    record = read_annotations(annotated).subsets["training"][3]
    np.testing.assert_array_equal(record.signal.read(0, 1000), array)
