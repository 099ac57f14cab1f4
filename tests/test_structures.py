"""Samples, batches, predictions and targets."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_batch, unchecked

from spanloc.structures import Predictions, Sample, Timeline, collate, to_seconds

FLAWED = torch.zeros(2, 5).index_put((torch.tensor(1), torch.tensor(3)), torch.tensor(torch.nan))
LINES = (Timeline(0.5, 10.0), Timeline(0.02, 3.0), Timeline())


# Of the third sequence below.
TWO = {"spans": [[1.0, 2.0], [4.0, 6.5]], "labels": [0, 2], "scores": [0.25, 1.0]}


def predictions():
    """One span of the first sequence, none of the second, two of the third."""
    spans = torch.tensor([[0.0, 3.0], *TWO["spans"]])
    labels, places = torch.tensor([1, *TWO["labels"]]), torch.tensor([0, 2, 2])
    scores = torch.tensor([0.5, *TWO["scores"]])
    return Predictions(spans, labels, places, ("a", "b", "c"), "steps", scores=scores)


def columns(found):
    return {name: getattr(found, name).tolist() for name in (*TWO, "places")}


def test_a_batch_moves_and_survives_a_process():
    batch = make_batch()
    assert batch.to("meta").features.device.type == "meta"
    assert batch.to("cpu").ids == batch.ids
    assert torch.equal(pickle.loads(pickle.dumps(batch)).spans, batch.spans)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": torch.zeros(2, 0)}, r"features is \(2, 0, "),
        ({"features": torch.zeros(2, 5, dtype=torch.float64)}, r"features is \(2, 5, torch.float64"),
        ({"features": np.zeros((2, 5), np.float32)}, "features is ndarray; wanted Tensor"),
        ({"features": FLAWED}, r"features is nan at \(1, 3\); wanted finite values"),
        ({"spans": torch.zeros(3)}, r"spans is \(3, torch.float32\)"),
        ({"spans": torch.tensor([])}, r"spans is \(0, torch.float32\); wanted \(0 or more, 2\), floats"),
        ({"spans": torch.zeros(1, 2, dtype=torch.int64)}, r"int64\); wanted \(0 or more, 2\), floats"),
        ({"labels": torch.zeros(2, dtype=torch.int64)}, r"labels is \(2, .*\(1, torch.int64\)"),
        ({"labels": torch.zeros(1)}, r"labels is \(1, torch.float32\); wanted \(1, torch.int64\)"),
        ({"labels": ["walk"]}, "labels is list; wanted Tensor"),
        ({"spans": torch.tensor([[4.0, 1.0]])}, "start <= end <= 5 steps"),
        ({"spans": torch.tensor([[0.0, torch.nan]])}, "start <= end"),
        ({"spans": torch.tensor([[-1.0, 2.0]])}, "0 <= start"),
        ({"spans": torch.tensor([[1.0, 5.5]])}, "end <= 5 steps"),
        ({"labels": torch.tensor([-2])}, r"labels is \[-2\]; wanted numbers from 0, or -1"),
        ({"id": 7}, "id is int; wanted str"),
        ({"ignored": torch.tensor([[1.0, 5.5]])}, "ignored is .* end <= 5 steps"),
    ],
)  # fmt: skip
def test_a_bad_sample_is_refused_by_name(change, message):
    fields = {
        "id": "mine",
        "features": torch.zeros(2, 5),
        "spans": torch.zeros(1, 2),
        "labels": torch.zeros(1, dtype=torch.int64),
    } | change
    with unchecked(), pytest.raises(ValueError, match=f"sequence {fields['id']!r}: .*{message}"):
        Sample(**fields)


def test_large_finite_features_are_accepted_though_their_sum_overflows():
    none = torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)
    assert Sample("a", torch.full((2, 5), 3e38), *none).features.isfinite().all()


def test_channels_must_agree_within_a_batch():
    one, two = make_batch(num_channels=2).split()[0], make_batch(num_channels=3).split()[1]
    with pytest.raises(ValueError, match="'sequence-1' has 3 channels; 'sequence-0' has 2"):
        collate([one, two])


def test_predictions_in_seconds_lie_where_their_own_sequence_lies():
    before = predictions()
    found = before.in_seconds(LINES)
    assert (found.unit, found.ids) == ("seconds", before.ids)
    assert found.spans.dtype == torch.float64
    spans = [[10.0, 11.5], [1.0, 2.0], [4.0, 6.5]]
    assert columns(found) == columns(before) | {"spans": spans}
    # Those in seconds, and none at all, stay as they are.
    assert found.in_seconds(LINES) is found
    assert before[:0].in_seconds(LINES).spans.shape == (0, 2)


def test_seconds_are_exact_far_into_a_sequence():
    # In float32 a step of 0.02 s is lost after a few hours.
    step = torch.tensor([[3_000_000.0, 3_000_001.0]])
    found = to_seconds(step, torch.tensor([0]), [Timeline(0.02, 0.5)])
    assert found.tolist() == [pytest.approx([60_000.5, 60_000.52], abs=1e-9)]


def test_targets_of_a_batch_leave_the_padding_out():
    batch = replace(make_batch((40, 23, 30), num_targets=(2, 0, 1)), timelines=LINES)
    samples = batch.split()
    steps, seconds = batch.targets(), batch.targets("seconds")
    assert (steps.unit, seconds.unit) == ("steps", "seconds")
    assert steps.ids == seconds.ids == batch.ids
    assert steps.places.tolist() == [0, 0, 2]
    assert torch.equal(steps.spans, torch.cat([sample.spans for sample in samples]))
    assert torch.equal(steps.labels, torch.cat([sample.labels for sample in samples]))
    for sample, (step, offset), i in zip(samples, LINES, range(3), strict=True):
        expected = sample.spans.double() * step + offset
        torch.testing.assert_close(seconds.of(i).spans, expected)


def test_of_one_sequence_there_is_one_id_and_its_own_spans():
    found = predictions().of(2)
    assert (found.ids, found.unit) == (("c",), "steps")
    assert columns(found) == columns(predictions().of(-1)) == TWO | {"places": [0, 0]}
    nothing = predictions().of(1)
    assert (nothing.ids, len(nothing)) == (("b",), 0)


@pytest.mark.parametrize(
    "rows",
    [slice(1, 3), torch.tensor([1, 2]), torch.tensor([False, True, True])],
    ids=["slice", "numbers", "mask"],
)
def test_some_rows_keep_their_fields_together_and_all_ids(rows):
    found = predictions()[rows]
    assert (len(found), found.ids) == (2, ("a", "b", "c"))
    assert columns(found) == TWO | {"places": [2, 2]}


def test_one_row_by_its_number_is_a_row_still():
    assert predictions()[-1].spans.tolist() == [[4.0, 6.5]]
    assert predictions()[0].to_pandas()["sequence"].tolist() == ["a"]


def test_rows_move_with_all_their_tensors():
    found = predictions().to("meta")
    assert {v.device.type for v in vars(found).values() if isinstance(v, torch.Tensor)} == {"meta"}
