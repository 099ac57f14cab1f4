"""Data sets in the annotation format, and what is said of mistakes in them."""

import json
from unicodedata import normalize

import numpy as np
import pytest
import torch
from recordings import edit, error_of, set_field
from surveyed import survey

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
        (set_field("wieght", 2), "'s2': there is no field 'wieght'; did you mean 'weight'?"),
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
    message = error_of(annotated)
    assert "sequence 's3': there is no such recording" in message
    assert "are missing" not in message
    path.with_name("s5.npy").unlink()
    message = error_of(annotated)
    assert "sequence 's3': there is no such" in message
    assert message.endswith("; 2 are missing: 's3', 's5'")


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


def features(folder, *, short=0, **fields):
    """Three videos of 25 frames per second with 20, 30 and 40 features of 16 frames, and a part of another."""
    (folder / "data").mkdir(exist_ok=True)
    database = {}
    for steps in (20, 30, 40):
        seconds = (steps + 0.6) * 16 / 25
        np.save(folder / "data" / f"v{steps}.npy", np.zeros((steps - short, 128), np.float32))
        rows = [
            {"segment": [place * seconds, place * seconds + 1.5], "label": "x"}
            for place in (0.1, 0.4, 0.6)
        ]
        rows.append({"segment": [seconds - 2.5, seconds], "label": "x"})
        given = {name: seconds if name == "duration" else value for name, value in fields.items()}
        database[f"v{steps}"] = {"annotations": rows, **given}
    (folder / "annotations.json").write_text(json.dumps({"database": database}))


def test_a_forgotten_stride_of_features_is_asked_about_not_the_unit(tmp_path):
    question = "; features of a video? data.feature_stride=16"
    for given, message in (
        ({}, "wanted 0 <= start < end <= duration (0.8)"),
        ({"duration": 0}, "v20.npy has 20 rows, which are 0.8 s at 25 per second"),
        (
            {"duration": 0, "fps": 25},
            "20 rows; wanted 330, which is duration * fps (13.184 * 25, of annotations.json)",
        ),
    ):
        features(tmp_path, **given)
        fps = None if "fps" in given else 25
        assert error_of(tmp_path, fps=fps).endswith(message + question)
        assert len(read_annotations(tmp_path, fps=fps, feature_stride=16).subsets["training"]) == 3
    features(tmp_path)
    advice = survey(tmp_path, fps=25).findings[0].advice
    assert advice == "F" + question[3:] + "; then the spans fit in their recordings."
    # A rate that is a little wrong is no stride.
    assert "feature_stride" not in error_of(tmp_path, fps=1.7)


def test_ends_past_the_features_but_in_the_duration_are_a_warning_and_starts_an_error(
    tmp_path, caplog
):
    options = {"fps": 25, "feature_stride": 16}
    features(tmp_path, duration=0)
    read_annotations(tmp_path, **options)
    assert not caplog.messages
    features(tmp_path, duration=0, short=2)
    read_annotations(tmp_path, **options)
    assert "3 spans cut at the end of the recording, by up to 1.66 s (v" in caplog.text
    features(tmp_path, duration=0, short=6)
    message = error_of(tmp_path, **options)
    assert "sequence 'v20': annotations[3]: segment is [10.68" in message
    assert "]; the features end at 8.96 s; " in message
