"""Recordings that are held out where no file says so."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from spanloc.config.training_facts import TrainingFacts
from spanloc.data import AnnotatedData, from_arrays, read_annotations
from spanloc.data.annotations.records import Record
from spanloc.data.ends import cut_ends
from spanloc.data.folds import fold_of
from spanloc.data.held_out import divided, held_out_note, hold_out, lacking_notes, subject_notes
from spanloc.data.signals import ArraySignal
from spanloc.data.signals.protocol import place_of_row
from spanloc.structures import Timeline


def recording(name, labels, subject=None):
    count = len(labels)
    spans = torch.tensor([[10.0 * i, 10.0 * i + 5] for i in range(count)]).reshape(count, 2)
    signal, numbers = ArraySignal(np.zeros((100, 1))), torch.tensor(labels, dtype=torch.int64)
    return Record(name, signal, "training", subject, Timeline(0.1), spans, numbers, 1.0)


def parts_of(records):
    return {"training": list(records), "validation": [], "testing": []}


def labels_of(records):
    return {label for record in records for label in record.labels.tolist()}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    ("rare", "others", "subsets"),
    [
        ([[0, 1]], [[0]] * 19, ("train",)),
        ([[0, 1]] * 2, [[0]] * 22, ("train", "test")),
        ([[0, 1]] * 3, [[0]] * 17, ("train", "val", "test")),
        ([[0]] * 4, [[]] * 26, ("train", "val", "test")),
    ],
    ids=["of one subject", "of two", "of three", "the only spans"],
)
def test_a_rare_label_is_trained_on_and_then_tested_and_validated(rare, others, subsets, seed):
    records = [recording(f"r{i}", labels) for i, labels in enumerate([*rare, *others])]
    rest, test = hold_out(records, 0.2, seed, 2)
    train, val = hold_out(rest, 0.15, seed)
    parts = {"train": train, "val": val, "test": test}
    assert all(labels_of(parts[name]) == labels_of(records) for name in subsets)
    assert len(test) == pytest.approx(0.2 * len(records), abs=1)


def test_a_draw_that_lacks_nothing_is_the_first_one():
    records = [recording(f"r{i}", [0, 1], f"p{i // 2}") for i in range(20)]
    draws = {seed: {r.id for r in hold_out(records, 0.2, seed)[1]} for seed in range(5)}
    assert len(set(map(frozenset, draws.values()))) > 1
    # Labels that nobody trains on or evaluates do not move a draw.
    unknown = [replace(record, labels=record.labels - 2) for record in records[:1]] + records[1:]
    for seed, ids in draws.items():
        assert {r.id for r in hold_out(unknown, 0.2, seed)[1]} == ids


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts there")
def test_recordings_whose_names_are_no_text_are_read_and_held_out(tmp_path):
    head = "Begin Time (s)\tEnd Time (s)\tAnnotation"
    for name in ("a\udcff", "b"):
        np.save(tmp_path / f"{name}.npy", np.zeros((100, 1)))
        (tmp_path / f"{name}.rows.selections.txt").write_text(f"{head}\n1\t2\twalk\n")
    records = read_annotations(tmp_path, fps=10).subsets["training"]
    rest, held = hold_out(records, 0.5, 0)
    assert sorted(record.id for record in (*rest, *held)) == ["a\udcff", "b"]


def test_of_two_subjects_one_is_tested_on_and_recordings_of_the_other_validate():
    records = [recording(f"{name}{i}", [0, 0], name) for name in ("ann", "ben") for i in range(5)]
    rest, test = hold_out(records, 0.2, 0, 2)
    train, val = hold_out(rest, 0.15, 0)
    assert {r.subject for r in test} != {r.subject for r in train} == {r.subject for r in val}
    assert [len(part) for part in (train, val, test)] == [4, 1, 5]


def test_of_one_subject_recordings_are_held_out():
    records = [recording(f"r{i}", [0, 1], "ann") for i in range(10)]
    rest, test = hold_out(records, 0.2, 0, 2)
    train, val = hold_out(rest, 0.15, 0)
    assert [len(part) for part in (train, val, test)] == [7, 1, 2]
    assert {r.id for part in (train, val, test) for r in part} == {r.id for r in records}


def test_of_two_recordings_that_are_left_the_ends_validate():
    records = [recording(name, [0, 1] * 5) for name in ("a", "b", "c")]
    subsets, notes = divided(parts_of(records), test_share=0.2, val_share=0.15, seed=0)
    train, val, test = subsets.values()
    assert (len(train), len(val), len(test)) == (2, 2, 1)
    assert {r.id for r in train} == {r.id for r in val} == {"a", "b", "c"} - {test[0].id}
    assert sum(r.num_steps for r in val) == pytest.approx(0.15 * 200, abs=10)
    assert f"{val[0].id!r} from 8.8 s to 10 s, " in notes[1]
    assert notes[1].endswith("; there are too few recordings to hold out whole ones")
    # Of three that are left, a whole one.
    more = [*records, recording("d", [0, 1] * 5)]
    subsets, _ = divided(parts_of(more), test_share=0.2, val_share=0.15, seed=0)
    assert [len(part) for part in subsets.values()] == [2, 1, 1]


def test_of_two_subjects_that_are_left_recordings_validate():
    records = [recording(f"{name}{i}", [0, 1], name) for name in "abc" for i in range(4)]
    subsets, notes = divided(parts_of(records), test_share=0.2, val_share=0.15, seed=0)
    train, val, test = ({r.subject for r in part} for part in subsets.values())
    assert (len(train), len(val), len(test)) == (2, 1, 1)
    assert not test & train
    assert val < train
    assert notes[1].endswith("; other recordings of the same subjects are trained on")
    assert "subject '" not in notes[1]


def test_where_each_recording_has_a_label_of_its_own_the_ends_are_held_out():
    records = [recording(name, [0] * 4 + [i + 1] * 4) for i, name in enumerate("abc")]
    subsets, notes = divided(parts_of(records), test_share=0.2, val_share=0.15, seed=0)
    train, val, test = subsets.values()
    assert [{r.id for r in part} for part in (train, val, test)] == [{"a", "b", "c"}] * 3
    assert labels_of(train) == {0, 1, 2, 3}
    assert len(notes) == 2 + bool(subject_notes(["a", "b", "c"]))
    # Recordings of which one span is left do not have one each.
    data = from_arrays(
        {name: np.zeros((90, 1)) for name in "abc"},
        {name: [(1.0, 2.0, name), (3.0, 4.0, name), (6.0, 7.0, name)] for name in "abc"},
        rate=10,
    )
    data.setup()
    assert [len(lengths) for lengths in data.span_lengths()] == [1, 1, 1]
    assert not TrainingFacts.of(data).one_each
    # A label at the end of one recording alone is not cut off.
    last = [recording("a", [0] * 8), recording("b", [0] * 7 + [1])]
    rests, ends = cut_ends(last, 0.2)
    assert labels_of(rests) == {0, 1}
    assert [end.id for end in ends] == ["a"]
    # Nor is more than half of a recording.
    late = replace(
        last[0],
        spans=torch.tensor([[0.0, 2.0], [3.0, 99.0], [4.0, 9.0]]),
        labels=torch.zeros(3, dtype=torch.int64),
    )
    assert cut_ends([late, last[0]], 0.2)[0][0] is late


def test_of_one_recording_the_end_is_held_out_and_a_part_before_it():
    whole = recording("r", [0, 1] * 5)
    values = np.arange(100.0)[:, None]
    whole = replace(whole, signal=ArraySignal(values), ignored=torch.tensor([[76.0, 79.0]]))
    (rest,), (test,) = hold_out([whole], 0.2, 0, 2)
    (train,), (val,) = hold_out([rest], 0.15, 0)
    # Spans begin at 0, 10, ... 90 and last 5 steps: two are tested on, one validates.
    assert [len(part.spans) for part in (train, val, test)] == [7, 1, 2]
    assert [part.num_steps for part in (train, val, test)] == [68, 10, 22]
    assert [part.timeline.offset for part in (train, val, test)] == pytest.approx([0, 6.8, 7.8])
    signal = test.signal
    np.testing.assert_array_equal(signal.read(0, 22), values[78:])
    assert test.spans.tolist() == [[2, 7], [12, 17]]
    assert test.labels.tolist() == [0, 1]
    assert test.ignored.tolist() == [[0, 1]]
    assert val.ignored.tolist() == [[8, 10]]
    assert place_of_row(signal, 3) == "row 81"
    note = "held out for testing: 'r' from 7.8 s to 10 s; there is no other recording"
    assert held_out_note([test], "testing") == note


def test_each_subject_is_tested_on_in_one_fold_and_the_folds_are_alike():
    # One subject in four knows the rare label; some have more recordings than others.
    records = [
        recording(f"r{i}-{k}", [0, 0, 1] if i % 4 == 0 else [0, 0], f"p{i:02}")
        for i in range(16)
        for k in range(1 + i % 3)
    ]
    parts = [fold_of(records, fold, 4, seed=3) for fold in range(4)]
    tested = [{record.id for record in test} for _, test in parts]
    assert sorted(name for names in tested for name in names) == sorted(r.id for r in records)
    for rest, test in parts:
        assert {r.id for r in rest} == {r.id for r in records} - {r.id for r in test}
        assert not {r.subject for r in rest} & {r.subject for r in test}
        assert labels_of(test) == {0, 1}
        assert len(test) == pytest.approx(len(records) / 4, abs=1)
    others = {frozenset(r.id for r in fold_of(records, 0, 4, seed)[1]) for seed in range(5)}
    assert len(others) > 1


def test_as_many_folds_as_subjects_test_on_one_each_in_the_order_of_their_names():
    records = [recording(f"r{i}", [0] * (1 + i % 3), f"p{i % 5}") for i in range(10)]
    tested = [{r.subject for r in fold_of(records, fold, 5, seed=1)[1]} for fold in range(5)]
    assert tested == [{f"p{i}"} for i in range(5)]
    with pytest.raises(
        ValueError, match=r"data.folds is 6, but there are only 5 subjects: .*data.folds=5"
    ):
        fold_of(records, 0, 6, seed=1)
    one = [replace(record, subject="ann") for record in records[:3]]
    assert [len(part) for part in fold_of(one, 0, 3, seed=0)] == [2, 1]
    with pytest.raises(ValueError, match="there are only 3 recordings"):
        fold_of(one, 0, 4, seed=0)


def test_folds_test_on_all_recordings_in_turn_whatever_their_subset(annotated):
    parts = [AnnotatedData(annotated, folds=4, fold=fold) for fold in range(4)]
    for data in parts:
        data.setup()
    tested = [record.id for data in parts for record in data.test_set.records]
    assert sorted(tested) == [f"s{i}" for i in range(8)]
    for data in parts:
        sets = (data.train_set.records, data.val_set.records, data.test_set.records)
        subjects = [{record.subject for record in records} for records in sets]
        assert all(subjects)
        assert len(set.union(*subjects)) == sum(map(len, subjects))
    assert "fold 3: held out for testing: " in parts[3].notes[0]
    for wrong in (
        {"folds": 4},
        {"fold": 0},
        {"folds": 4, "fold": 4},
        {"folds": 1, "fold": 0},
    ):
        with pytest.raises(
            ValueError, match="data.folds is .* and data.fold is .*data.folds=5 data.fold=0"
        ):
            AnnotatedData(annotated, **wrong)


@pytest.mark.parametrize(
    ("spans", "cut", "counts"),
    [
        ([[0, 50], [50, 100]], 50, (1, 1)),
        # About a share of the time and of the spans.
        ([[i, i + 0.5] for i in range(0, 40, 2)], 31, (16, 4)),
        # A span over all: what is left of it counts neither as a span nor as background.
        ([[0, 100], [40, 60], [70, 80]], 70, (2, 1)),
    ],
)
def test_one_recording_is_cut_between_its_spans_if_it_can_be(spans, cut, counts):
    whole = replace(recording("r", [0] * len(spans)), spans=torch.tensor(spans).float())
    (train,), (test,) = hold_out([whole], 0.2, 0)
    assert train.num_steps == pytest.approx(cut, abs=1)
    assert test.num_steps == 100 - train.num_steps
    assert (len(train.spans), len(test.spans)) == counts
    assert test.ignored.tolist() == ([[0, 30]] if cut == 70 else [])


@pytest.mark.parametrize("spans", [[], [[85, 95]], [[0, 3], [0, 4]]])
def test_one_recording_without_room_for_two_parts_is_an_error(spans):
    spans = torch.tensor(spans).float().reshape(-1, 2)
    whole = replace(recording("r", [0] * len(spans)), spans=spans)
    with pytest.raises(ValueError, match="no part of 'r', which has .*data.val_share=0"):
        hold_out([whole], 0.2, 0)


def test_a_label_that_is_not_trained_on_and_a_subset_without_spans_are_noted():
    a, b, empty = recording("a", [0]), recording("b", [1]), recording("c", [])
    assert lacking_notes(["x", "y"], [a, b], [a], [b]) == []
    assert lacking_notes(["x", "y"], [a], [], []) == ["no span to train on: 'y'"]
    assert lacking_notes(["x"], [a], [empty], [empty]) == [
        "no span in the recordings for validation: val/mAP says nothing",
        "no span in the recordings for testing: test/mAP says nothing",
    ]
