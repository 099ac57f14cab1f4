"""Training on a share of the recordings: nested, with all else as it is."""

import itertools
from dataclasses import replace

import pytest
import torch

from spanloc.config.training_facts import TrainingFacts
from spanloc.data import AnnotatedData
from spanloc.data.held_out import training_notes


def read(root, **options):
    data = AnnotatedData(root, **options)
    data.setup()
    return data


def ids(records):
    return [record.id for record in records]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_larger_share_contains_a_smaller_one(annotated, seed):
    found = [
        read(annotated, train_share=share, seed=seed) for share in (0.01, 0.25, 0.5, 0.75, 1.0)
    ]
    assert [data.num_trained for data in found] == [1, 1, 2, 3, 4]
    for small, large in itertools.pairwise(found):
        assert set(ids(small._train)) <= set(ids(large._train))
    # There is nothing to learn from s1, which has no spans.
    assert ids(found[0]._train) != ["s1"]
    whole = read(annotated, seed=seed)
    assert ids(found[-1]._train) == ids(whole._train)
    assert found[-1].notes == whole.notes
    assert found[2].notes[-1] == "trained on 2 of 4 recordings"


def test_other_seeds_draw_other_recordings(annotated):
    drawn = {tuple(ids(read(annotated, train_share=0.5, seed=seed)._train)) for seed in range(8)}
    assert len(drawn) > 2


def test_all_else_is_as_with_all_recordings(annotated):
    part, whole = read(annotated, train_share=0.3, seed=1), read(annotated, seed=1)
    assert len(part._train) == 1
    for name in ("_val", "_test"):
        assert ids(getattr(part, name)) == ids(getattr(whole, name))
    # So that the recipe chooses the same model and the same number of steps.
    assert TrainingFacts.of(part) == TrainingFacts.of(whole)
    assert part.classes == whole.classes
    (record,) = part._train
    assert part.train_set[0].id.startswith(record.id)
    assert len(part.train_set) == 1
    # What is learned from signals is from those of the share.
    assert not torch.equal(part.statistics()[0], whole.statistics()[0])


@pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan")])
def test_a_share_out_of_range_is_named(annotated, share):
    with pytest.raises(ValueError, match=r"data.train_share is .*; it must lie in \(0, 1\]"):
        AnnotatedData(annotated, train_share=share)


def test_it_is_said_that_one_subject_is_all_that_is_left(annotated):
    records = read(annotated)._train
    names = ("anna", "anna", "ben", None)
    of = [replace(record, subject=name) for record, name in zip(records, names, strict=True)]
    text = "only one subject to train on: 'anna'. To train on more subjects: data.val_share=0, or data.test_share=0 test=false"
    assert training_notes(of[:2], 2, of[2:3], of[3:]) == [text]
    assert training_notes(of[:2], 4, of[2:3], of[3:]) == ["trained on 2 of 4 recordings", text]
    assert training_notes(of[:3], 3, [], of[3:]) == training_notes(of[3:], 1, [], of[:3]) == []
    # What was set already is not advised, and nothing where there is no other subject.
    (note,) = training_notes(of[:2], 2, of[2:3], [])
    assert note.endswith("'anna'. To train on more subjects: data.val_share=0")
    (note,) = training_notes(of[:1], 1, of[1:2], [])
    assert note.endswith("There is no other, so no result says how good the model is for others")
