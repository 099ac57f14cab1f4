"""Reliability of scores: the share of right predictions among those with a score."""

from typing import NamedTuple

import numpy as np

from spanloc.metrics.rows import matched_rows
from spanloc.structures import Predictions, Targets

# Predictions that score lower are many and nearly all wrong: they hide what the others are like.
_LEAST = 0.1


class Reliability(NamedTuple):
    """Scores against the share of predictions that are right, in bins of equal width over ``[0, 1]``.

    Args:
        tiou: At which a prediction is right.
        counts: Predictions of each bin.
        scores, shares: Their mean score, and the share of them that is right; NaN where there are none.
        error: Expected calibration error, in ``[0, 1]``: the mean of ``|score - share|`` over all
            predictions, by bins.
        error_from: The same over the predictions from a score of 0.1 on.
    """

    tiou: float
    counts: list[int]
    scores: list[float]
    shares: list[float]
    error: float
    error_from: float


def matches(predictions: Predictions, targets: Targets, tiou: float = 0.5) -> np.ndarray:
    """The target that each prediction is matched to, as for average precision, or -1: ``(n,)`` int64.

    Rows of ``targets`` are counted from 0. A prediction is *right* where it is matched: its label is, its
    tIoU with the target is at least ``tiou``, and no better-scored one has taken it.
    """
    order, found = matched_rows(predictions, targets, [tiou])
    rows = np.empty(len(order), np.int64)
    rows[order] = found[:, 0]
    return rows


def reliability(
    predictions: Predictions, targets: Targets, *, tiou: float = 0.5, num_bins: int = 10
) -> Reliability | None:
    """Calibration error of scores as probabilities of being right; None if one is outside ``[0, 1]``.

    Args:
        predictions, targets: Rows of whole sequences, in one unit.
        tiou: At which a prediction is right, in ``(0, 1]``.
        num_bins: At least 1. Fewer bins, a smaller error.

    References:
        Expected calibration error: Naeini et al. 2015; of detections: Küppers et al. 2020, arXiv:2004.13546.

    >>> import torch
    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 4.0]]), zero, zero, ("a",), scores=torch.tensor([0.75]))
    >>> true = Targets(torch.tensor([[0.0, 5.0]]), zero, zero, ("a",))
    >>> reliability(found, true).error
    0.25
    """
    scores = predictions.scores.detach().double().cpu().numpy()
    if not ((scores >= 0) & (scores <= 1)).all():
        return None
    right = matches(predictions, targets, tiou) >= 0
    place = np.minimum((scores * num_bins).astype(np.int64), num_bins - 1)
    counts = np.bincount(place, minlength=num_bins)
    with np.errstate(invalid="ignore"):  # of an empty bin: 0 / 0
        shares, means = (np.bincount(place, v, num_bins) / counts for v in (right, scores))
    high = scores >= _LEAST
    return Reliability(
        tiou,
        counts.tolist(),
        means.tolist(),
        shares.tolist(),
        _error(scores, right, place, num_bins),
        _error(scores[high], right[high], place[high], num_bins),
    )


def _error(scores: np.ndarray, right: np.ndarray, place: np.ndarray, num_bins: int) -> float:
    if not len(scores):
        return 0.0
    return float(np.abs(np.bincount(place, scores - right, num_bins)).sum() / len(scores))
