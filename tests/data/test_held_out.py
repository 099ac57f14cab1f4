"""Recordings that are held out where no file says so."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spanloc.data.annotations.records import Record
from spanloc.data.held_out import hold_out, lacking_notes
from spanloc.data.signals import ArraySignal
from spanloc.structures import Timeline


def recording(name, labels, subject=None):
    count = len(labels)
    spans = torch.tensor([[10.0 * i, 10.0 * i + 5] for i in range(count)]).reshape(count, 2)
    signal, numbers = ArraySignal(np.zeros((100, 1))), torch.tensor(labels, dtype=torch.int64)
    return Record(name, signal, "training", subject, Timeline(0.1), spans, numbers, 1.0)


def labels_of(records):
    return {label for record in records for label in record.labels.tolist()}


@pytest.mark.parametrize("seed", range(10))
def test_a_label_of_few_subjects_is_both_trained_on_and_evaluated(seed):
    records = [recording(f"r{i}", [0, 1] if i in (3, 17) else [0]) for i in range(24)]
    rest, held = hold_out(records, 0.2, seed, "testing", 2)
    assert labels_of(rest) == labels_of(held) == {0, 1}
    assert len(held) == pytest.approx(5, abs=1)


@pytest.mark.parametrize("seed", range(10))
def test_a_label_of_three_subjects_is_in_all_three_subsets(seed):
    records = [recording(f"r{i}", [0, 1] if i < 3 else [0]) for i in range(20)]
    rest, test = hold_out(records, 0.2, seed, "testing", 2)
    train, val = hold_out(rest, 0.15, seed, "validation")
    assert labels_of(train) == labels_of(val) == labels_of(test) == {0, 1}


@pytest.mark.parametrize("seed", range(10))
def test_a_label_of_one_subject_stays_in_training(seed):
    records = [recording(f"r{i}", [0, 1] if i == 7 else [0]) for i in range(20)]
    rest, _ = hold_out(records, 0.2, seed, "testing", 2)
    assert labels_of(rest) == {0, 1}


@pytest.mark.parametrize("seed", range(10))
def test_spans_are_held_out_where_most_recordings_have_none(seed):
    records = [recording(f"r{i}", [0] if i < 4 else []) for i in range(30)]
    rest, test = hold_out(records, 0.2, seed, "testing", 2)
    train, val = hold_out(rest, 0.15, seed, "validation")
    assert all(labels_of(part) == {0} for part in (train, val, test))


def test_a_draw_that_lacks_nothing_is_the_first_one():
    records = [recording(f"r{i}", [0, 1], f"p{i // 2}") for i in range(20)]
    draws = {seed: {r.id for r in hold_out(records, 0.2, seed, "testing")[1]} for seed in range(5)}
    assert len(set(map(frozenset, draws.values()))) > 1
    # Labels that nobody trains on or evaluates do not move a draw.
    unknown = [replace(record, labels=record.labels - 2) for record in records[:1]] + records[1:]
    for seed, ids in draws.items():
        assert {r.id for r in hold_out(unknown, 0.2, seed, "testing")[1]} == ids


@pytest.mark.parametrize(
    ("subjects", "what", "remedy"),
    [
        (["ann", "ben"], "testing", "or train without a test: data.test_share=0 test=false"),
        (["ann", "ann"], "testing", "a test: data.val_share=0 data.test_share=0 test=false"),
        (["ann", "ann"], "validation", "the last epoch\\): data.val_share=0$"),
    ],
)
def test_the_remedy_for_too_few_subjects_is_enough(subjects, what, remedy):
    records = [recording(f"r{i}", [0], subject) for i, subject in enumerate(subjects)]
    with pytest.raises(ValueError, match=remedy) as error:
        hold_out(records, 0.2, 0, what, 2 if what == "testing" else 1)
    assert "without a subject" not in str(error.value)


def test_recordings_without_a_subject_are_said_to_count_as_one_each():
    with pytest.raises(ValueError, match=r"1 subject \(a recording without a subject counts as"):
        hold_out([recording("r", [0])], 0.2, 0, "testing")


def test_a_label_that_is_not_trained_on_and_a_subset_without_spans_are_noted():
    a, b, empty = recording("a", [0]), recording("b", [1]), recording("c", [])
    assert lacking_notes(["x", "y"], [a, b], [a], [b]) == []
    assert lacking_notes(["x", "y"], [a], [], []) == ["no span to train on: 'y'"]
    assert lacking_notes(["x"], [a], [empty], [empty]) == [
        "no span in the recordings for validation: val/mAP says nothing",
        "no span in the recordings for testing: test/mAP says nothing",
    ]
