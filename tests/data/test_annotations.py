"""Data sets in the annotation format, and what is said of mistakes in them."""

import json

import numpy as np
import pytest
import torch

from spanloc.data import AnnotatedData, AnnotatedSequences, SyntheticData, read_annotations


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
    assert sample.timeline.to_seconds(sample.spans)[0].tolist() == pytest.approx([1.0, 3.0])


def test_crops_keep_spans_of_which_enough_is_left(annotated):
    records = read_annotations(annotated).subsets["training"][:1]
    crops = AnnotatedSequences(records, crop=20, min_kept=0.6)
    whole = AnnotatedSequences(records)[0]
    seen = set()
    for i in range(60):
        crop = crops[i]
        first = round(crop.timeline.offset * 10)
        assert torch.equal(crop.features, whole.features[:, first : first + 20])
        expected = []
        for start, end in whole.spans.tolist():
            left, right = max(start - first, 0), min(end - first, 20)
            if right - left >= 0.6 * (end - start):
                expected.append([left, right])
        assert crop.spans.tolist() == expected
        seen.add((first, len(expected)))
    assert len(seen) > 10
    assert len({count for _, count in seen}) > 1


def test_crops_depend_on_the_seed_and_evaluation_drops_nothing(annotated):
    one, two = (AnnotatedData(annotated, crop_seconds=2, seed=s).train_set for s in (0, 1))
    records = one.records
    a, b = (AnnotatedSequences(records, crop=20, seed=s) for s in (0, 1))
    assert [a[i].timeline.offset for i in range(9)] != [b[i].timeline.offset for i in range(9)]
    assert one.crop == two.crop == 20
    data = SyntheticData(num_train=10, num_val=7, num_test=5, batch_size=4)
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert [sum(len(batch) for batch in loader) for loader in loaders] == [8, 7, 5]
    few = SyntheticData(num_train=3, num_val=1, num_test=1, batch_size=4)
    assert [len(batch) for batch in few.train_dataloader()] == [3]


def test_validation_keeps_subjects_apart_and_testing_out(annotated):
    for seed in range(5):
        data = AnnotatedData(annotated, val_share=0.3, seed=seed)
        train = {record.subject for record in data.train_set.records}
        val = {record.subject for record in data.val_set.records}
        assert len(data.train_set) + len(data.val_set) == 6
        assert not train & val
        assert {record.id for record in data.test_set.records} == {"s6", "s7"}
    splits = {
        tuple(r.id for r in AnnotatedData(annotated, seed=s).val_set.records) for s in range(9)
    }
    assert len(splits) > 1


def test_statistics_are_of_the_training_sequences_alone(annotated):
    data = AnnotatedData(annotated, val_share=0.3)
    rows = np.concatenate(
        [np.load(record.path) for record in data.train_set.records], dtype=np.float64
    )
    mean, std = data.statistics()
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, rows.std(0), rtol=1e-5)
    for name in ("s6", "s7"):
        np.save(annotated / "data" / f"{name}.npy", 1e6 + np.load(annotated / f"data/{name}.npy"))
    assert torch.equal(AnnotatedData(annotated, val_share=0.3).statistics()[0], mean)


def test_a_constant_channel_is_left_as_it_is(annotated):
    for path in (annotated / "data").glob("*.npy"):
        values = np.load(path)
        values[:, 1] = 7
        np.save(path, values)
    assert AnnotatedData(annotated).statistics()[1][1] == 1


def edit(root, change):
    path = root / "annotations.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def set_field(field, value):
    return lambda content: content["database"]["s2"].__setitem__(field, value)


def set_annotation(**fields):
    return lambda content: content["database"]["s2"]["annotations"][1].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_field("fps", 0), "sequence 's2': fps is 0; wanted a number above 0"),
        (set_field("duration", "long"), "'s2': duration is 'long'"),
        (set_field("weight", -1), "'s2': weight is -1; wanted a number from 0 to 1e6"),
        (set_field("wieght", 2), "'s2': there is no field 'wieght'; 'weight'?"),
        (set_field("weight", "high"), "weight is 'high'; wanted a number from 0"),
        (set_field("subset", "train"), "subset is 'train'; wanted one of training"),
        (set_field("annotations", None), "'s2': annotations is None; wanted a list"),
        (set_annotation(segment=[3.0, 2.0]), r"annotations\[1\]: segment is \[3.0, 2.0\]"),
        (set_annotation(segment=[3.0, 99.0]), r"segment is \[3.0, 99.0\]; wanted 0 <= start"),
        (set_annotation(segment=["a", 2]), r"segment is \['a', 2\]; wanted \[start, end\]"),
        (set_annotation(label="run"), "label is 'run'; wanted one of classes: sit, walk"),
        (set_field("fps", 20), r"s2.npy: shape is \(70, 2\); wanted \(140, channels\)"),
        (
            lambda content: content["database"]["s2"].update(fps=5, duration=14.0),
            "sequence 's2': fps is 5; the sequences before have 10",
        ),
        (set_field("duration", 9.0), r"s2.npy: shape is \(70, 2\); wanted \(90, channels\)"),
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
        (good.T, r"shape is \(2, 75\); wanted \(75, channels\)"),
        (good[:, :1], r"1 channels; .*s0.npy has 2"),
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
    with pytest.raises(FileNotFoundError, match=r"s3.npy: no such file"):
        read_annotations(annotated)


def test_a_folder_that_is_not_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        read_annotations(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"must hold annotations.json"):
        read_annotations(tmp_path)
    (tmp_path / "annotations.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        read_annotations(tmp_path)


def test_without_classes_the_labels_are_the_classes(annotated):
    edit(annotated, lambda content: content.pop("classes"))
    assert read_annotations(annotated).classes == ["sit", "walk"]


def test_one_subject_alone_cannot_validate(annotated):
    edit(
        annotated,
        lambda content: [record.update(subject="one") for record in content["database"].values()],
    )
    with pytest.raises(ValueError, match="sequences of one subject"):
        AnnotatedData(annotated)


def test_a_validation_subset_is_taken_as_it_is(annotated):
    edit(annotated, set_field("subset", "validation"))
    data = AnnotatedData(annotated)
    assert [record.id for record in data.val_set.records] == ["s2"]
    assert len(data.train_set) == 5
