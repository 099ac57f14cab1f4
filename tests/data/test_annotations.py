"""Data sets in the annotation format, and what is said of mistakes in them."""

from unicodedata import normalize

import numpy as np
import pytest
import torch
from recordings import edit, error_of, set_field

from spanloc.data import AnnotatedSequences, read_annotations
from spanloc.structures import to_seconds


def test_annotations_are_read_as_written(annotated):
    content = read_annotations(annotated)
    assert content.classes == ["sit", "walk"]
    assert content.num_channels == 2
    record = content.subsets["training"][0]
    assert record.spans.tolist() == [[10, 30], [40, 55]]
    assert record.labels.tolist() == [1, 0]
    sample = AnnotatedSequences([record])[0]
    stored = np.load(annotated / "data" / "s0.npy")
    assert torch.equal(sample.features, torch.from_numpy(stored.T.copy()))
    seconds = to_seconds(sample.spans, torch.zeros(2, dtype=torch.int64), [sample.timeline])
    assert seconds[0].tolist() == pytest.approx([1.0, 3.0])


def set_annotation(**fields):
    return lambda content: content["database"]["s2"]["annotations"][1].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_field("fps", 0), "sequence 's2': fps is 0; wanted a number above 0"),
        (set_field("duration", "long"), "'s2': duration is 'long'"),
        (set_field("weight", -1), "'s2': weight is -1; wanted a number from 0 to 1e6"),
        (set_field("wieght", 2), "'s2': there is no field 'wieght'; 'weight'?"),
        (set_field("annotations", None), "'s2': annotations is None; wanted a list"),
        (set_annotation(segment=[3.0, 2.0]), r"annotations\[1\]: segment is \[3.0, 2.0\]"),
        (set_annotation(segment=[3.0, 99.0]), r"segment is \[3.0, 99.0\]; wanted 0 <= start"),
        (set_annotation(segment=["a", 2]), r"segment is \['a', 2\]; wanted \[start, end\]"),
        (set_annotation(label="run"), "label is 'run'; wanted one of classes: 'sit', 'walk'"),
        (set_field("fps", 20), r"s2.npy: 70 rows; wanted 140"),
        (set_field("duration", 9.0), r"s2.npy: 70 rows; wanted 90, which is duration \* fps"),
        (lambda content: content.pop("database"), "the field 'database'"),
        (lambda content: content.update(classes=["a", "a"]), "holds a name twice"),
        (lambda content: content.update(database={}), "database is empty"),
    ],
)
def test_a_mistake_in_the_annotations_is_named(annotated, change, message):
    edit(annotated, change)
    with pytest.raises(ValueError, match=message) as caught:
        read_annotations(annotated)
    assert str(annotated) in str(caught.value)


def test_a_mistake_in_the_arrays_is_named(annotated):
    path = annotated / "data" / "s3.npy"
    good = np.load(path)
    for bad, message in (
        (good.T, r"2 rows; wanted 75"),
        (good.astype(complex), "dtype is complex128"),
        (np.array([{"a": 1}]), "not a plain .npy array"),
    ):
        np.save(path, bad, allow_pickle=True)
        with pytest.raises(ValueError, match=message) as caught:
            read_annotations(annotated)
        assert "s3.npy" in str(caught.value)
    good[5, 0] = np.nan
    np.save(path, good)
    records = read_annotations(annotated).subsets["training"]
    with pytest.raises(ValueError, match=r"s3.npy: row 5, column 0 is nan"):
        AnnotatedSequences(records)[3]
    with pytest.raises(ValueError, match=r"s3.npy: row 5, column 0 is nan"):
        AnnotatedSequences(records).statistics()
    path.unlink()
    assert "sequence 's3': there is no such recording" in error_of(annotated)


@pytest.mark.parametrize(
    "name", ["a/b", "a/./b/c", "été", "e\u0301te\u0301", "动作 1", "..", "x\ny"]
)
def test_an_id_names_an_array_in_the_data_folder_whatever_its_characters(annotated, name):
    edit(annotated, rename("s2", name))
    path = annotated / "data" / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    (annotated / "data" / "s2.npy").rename(path)
    record = read_annotations(annotated).subsets["training"][2]
    assert record.id == AnnotatedSequences([record])[0].id == normalize("NFC", name)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "../data2/x", "..//x", "a\0b"])
def test_an_id_that_leads_out_of_the_data_folder_is_refused(annotated, name):
    edit(annotated, rename("s2", name))
    # Though the array may be there.
    np.save(annotated / "x.npy", np.zeros((70, 2), np.float32))
    (annotated / "data2").mkdir()
    np.save(annotated / "data2" / "x.npy", np.zeros((70, 2), np.float32))
    with pytest.raises(ValueError, match="its array would lie outside") as caught:
        read_annotations(annotated)
    assert f"annotations.json: sequence {name!r}: " in str(caught.value)


def rename(old, new):
    def change(content):
        records = content["database"].items()
        content["database"] = {new if name == old else name: record for name, record in records}

    return change


def test_a_folder_that_is_not_one(tmp_path):
    assert "nowhere: no such folder" in error_of(tmp_path / "nowhere")
    assert "must hold annotations.json" in error_of(tmp_path)
    (tmp_path / "annotations.json").write_text("{")
    assert "not valid JSON" in error_of(tmp_path)


def test_without_classes_the_labels_are_the_classes_and_one_that_is_no_text_is_named(annotated):
    edit(annotated, lambda content: content.pop("classes"))
    assert read_annotations(annotated).classes == ["sit", "walk"]
    edit(annotated, set_annotation(label=["a"]))
    assert "sequence 's2': annotations[1]: label is ['a']" in error_of(annotated)
