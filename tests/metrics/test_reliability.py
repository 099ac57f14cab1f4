"""Reliability of scores: counted by hand, and what has none."""

import math

import pytest
import torch
from metric_rows import rows, tensors

from spanloc.metrics import diagnose, matches, reliability

# Two sequences, one label: right, right but taken, wrong place, right.
FOUND = [
    (0, 0, 0.0, 10.0, 0.9), (0, 0, 0.5, 10.0, 0.85), (0, 0, 30.0, 31.0, 0.25), (1, 0, 5.0, 9.0, 0.05),
]  # fmt: skip
TRUE = [(0, 0, 0.0, 10.0), (1, 0, 5.0, 9.0)]


def test_the_errors_counted_by_hand():
    found = reliability(*tensors(FOUND, TRUE), num_bins=5)
    assert found.counts == [1, 1, 0, 0, 2]
    assert found.scores == pytest.approx([0.05, 0.25, math.nan, math.nan, 0.875], nan_ok=True)
    assert found.shares == pytest.approx([1.0, 0.0, math.nan, math.nan, 0.5], nan_ok=True)
    # |0.05 - 1| + |0.25 - 0| + 2 |0.875 - 0.5|, over 4; without the first, over 3.
    assert found.error == pytest.approx((0.95 + 0.25 + 0.75) / 4)
    assert found.error_from == pytest.approx((0.25 + 0.75) / 3)
    assert found.tiou == 0.5


def test_matches_are_the_rows_of_the_targets_in_any_order():
    predictions, targets = tensors(FOUND, TRUE)
    assert matches(predictions, targets).tolist() == [0, -1, -1, 1]
    order = torch.tensor([3, 1, 0, 2])
    assert matches(predictions[order], targets[torch.tensor([1, 0])]).tolist() == [0, -1, 1, -1]
    assert matches(predictions, targets, 1.0).tolist() == [0, -1, -1, 1]
    assert matches(predictions[:0], targets).tolist() == []
    assert matches(predictions, targets[:0]).tolist() == [-1] * 4


def test_as_many_are_right_as_the_diagnosis_finds():
    for seed in range(4):
        both = tensors(*rows(seed=seed, ties=True))
        wanted = diagnose(*both, ["a", "b", "c"])["targets"]["found"]
        assert (matches(*both) >= 0).sum() == wanted > 5


def test_a_score_of_1_is_in_the_last_bin_and_nothing_has_no_error():
    predictions, targets = tensors([(0, 0, 0.0, 10.0, 1.0)], TRUE)
    assert reliability(predictions, targets).counts == [0] * 9 + [1]
    assert reliability(predictions[:0], targets).error == 0.0


@pytest.mark.parametrize("score", [-0.1, 1.5, math.nan])
def test_scores_that_are_no_probabilities_have_no_reliability(score):
    assert reliability(*tensors([(0, 0, 0.0, 10.0, score)], TRUE)) is None
