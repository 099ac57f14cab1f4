"""Calibrated scores: a strictly rising map per label, fitted on predictions that are known right or wrong."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spanloc.structures import Predictions

#: A label has a map of its own from so many right and so many wrong predictions on.
LEAST_OWN = 20
# The ends of what a logit is taken of: a sum of scores in float32 may reach 0 and 1.
_TINY = 1e-9
# What it costs, in nats, to change the logarithm of a temperature, and an offset, by 1: of the map of all labels, from
# no change, and of that of a label, from the map of all. The first let a few dozen predictions calibrate; on
# 28 data sets, log loss and calibration error of test recordings hardly depend on them within a factor of two.
_PULL, _PULL_OF_A_LABEL = (1.0, 0.2), (5.0, 5.0)


class Temperature:
    """Maps a score ``s`` of label ``k`` to ``sigmoid(logit(s) / temperature[k] + offset[k])``.

    It keeps the order of the scores of a label. The offset is what a loss that weighs right and wrong
    differently, as the focal loss does, leaves to be corrected; with 0 it is temperature scaling.

    Args:
        temperature, offset: By label; temperatures are above 0. 1 and 0 change nothing but rounding.

    Raises:
        ValueError: They are of different lengths, or a temperature is not above 0.

    References:
        Guo et al. 2017, arXiv:1706.04599; with an offset, Platt 1999.

    >>> calibrate = Temperature([0.5], [0.0])
    >>> calibrate(torch.tensor([0.5, 0.8]), torch.tensor([0, 0]))
    tensor([0.5000, 0.9412], dtype=torch.float64)
    """

    def __init__(self, temperature: Sequence[float], offset: Sequence[float]) -> None:
        fine = all(t > 0 and math.isfinite(t) for t in temperature)
        if len(temperature) != len(offset) or not (fine and all(map(math.isfinite, offset))):
            raise ValueError(
                f"temperature is {list(temperature)!r:.80} and offset {list(offset)!r:.80}; wanted a "
                "finite number for each label, and temperatures above 0"
            )
        self.temperature, self.offset = list(temperature), list(offset)

    def __call__(
        self, scores: Float[Tensor, " n"], labels: Int64[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Calibrated scores, in float64, so that none become equal by rounding."""
        _require_labels(labels, len(self.temperature))
        logits = scores.double().clamp(_TINY, 1 - _TINY).logit()
        scale = torch.tensor(self.temperature).to(logits)[labels]
        return (logits / scale + torch.tensor(self.offset).to(logits)[labels]).sigmoid()


class Isotonic:
    """Maps scores by a line through knots, which rises from (0, 0) to (1, 1) without a level stretch.

    Args:
        knots: By label, pairs of a score and the share that is right there, in ascending order, all
            strictly between 0 and 1.

    Raises:
        ValueError: The knots do not rise.

    >>> calibrate = Isotonic([[[0.5, 0.8]]])
    >>> calibrate(torch.tensor([0.25, 0.5, 0.75]), torch.tensor([0, 0, 0]))
    tensor([0.4000, 0.8000, 0.9000], dtype=torch.float64)
    """

    def __init__(self, knots: Sequence[Sequence[Sequence[float]]]) -> None:
        for number, rows in enumerate(knots):
            line = np.array([(0.0, 0.0), *(tuple(row) for row in rows), (1.0, 1.0)])
            if not (np.diff(line, axis=0) > 0).all():
                raise ValueError(
                    f"knots[{number}] is {rows!r:.80}; wanted scores and shares that rise, in (0, 1)"
                )
        self.knots = [[list(row) for row in rows] for rows in knots]

    def __call__(
        self, scores: Float[Tensor, " n"], labels: Int64[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Calibrated scores, in float64."""
        _require_labels(labels, len(self.knots))
        found = scores.detach().double().cpu().numpy().copy()
        mine = labels.cpu().numpy()
        for label in np.unique(mine):
            x, y = np.array([(0.0, 0.0), *self.knots[label], (1.0, 1.0)]).T
            found[mine == label] = np.interp(found[mine == label], x, y)
        return torch.from_numpy(found).to(scores.device)


def fit_calibration(
    scores: np.ndarray,
    correct: np.ndarray,
    labels: np.ndarray,
    num_labels: int,
    kind: str = "temperature",
) -> Temperature | Isotonic:
    """Fit a calibration to predictions that are known to be right or wrong.

    A label with fewer than 20 right or 20 wrong predictions gets the map that fits all labels together.

    Args:
        scores, correct, labels: ``(n,)`` each; scores in ``[0, 1]``.
        num_labels: How many labels there are.
        kind: ``temperature`` minimises the log loss; ``isotonic`` the squared error among rising maps, which
            takes a few hundred predictions of a label.

    Raises:
        ValueError: All predictions are right, or all are wrong; or the kind is unknown.
    """
    if kind not in ("temperature", "isotonic"):
        raise ValueError(f"calibration is {kind!r}; it may be temperature or isotonic")
    right = np.asarray(correct, bool)
    if right.all() or not right.any():
        which = "right" if len(right) and right.all() else "wrong"
        raise ValueError(
            f"all {len(right)} predictions are {which}: nothing to calibrate scores by"
        )
    fit: Any = _temperature if kind == "temperature" else _knots
    whole = fit(scores, right)
    maps = []
    for label in range(num_labels):
        mine = labels == label
        enough = min(right[mine].sum(), (~right[mine]).sum()) >= LEAST_OWN
        maps.append(fit(scores[mine], right[mine], whole) if enough else whole)
    if kind == "isotonic":
        return Isotonic(maps)
    return Temperature([t for t, _ in maps], [b for _, b in maps])


def cross_fitted(
    found: Predictions, right: np.ndarray, groups: np.ndarray, num_labels: int, kind: str
) -> tuple[Temperature | Isotonic, Float[Tensor, " n"]]:
    """A calibration, and the scores that each group of the predictions has by the other groups.

    A group whose others are all right or all wrong keeps its scores.
    """
    scores, labels = found.scores.numpy(), found.labels.numpy()

    def fit(some: np.ndarray) -> Temperature | Isotonic:
        return fit_calibration(scores[some], right[some], labels[some], num_labels, kind)

    crossed = found.scores.clone()
    for group in np.unique(groups):
        mine = groups == group
        if right[~mine].any() and not right[~mine].all():
            crossed[mine] = fit(~mine)(found.scores[mine], found.labels[mine])
    return fit(np.ones(len(right), bool)), crossed


def brier_score(scores: np.ndarray, correct: np.ndarray) -> float:
    """Mean squared error of scores as probabilities of being right, in ``[0, 1]``; 0 without any.

    >>> brier_score(np.array([0.5, 1.0]), np.array([False, True]))
    0.125
    """
    return float(((np.asarray(scores, np.float64) - correct) ** 2).mean()) if len(scores) else 0.0


def _temperature(
    scores: np.ndarray, right: np.ndarray, whole: tuple[float, float] | None = None
) -> tuple[float, float]:
    # Least log loss, drawn towards the map of all labels, or to none: a few predictions do not move it far, and
    # those that a score separates have an optimum too.
    from scipy.optimize import minimize  # lazy: prediction does without

    p = np.clip(scores.astype(np.float64), _TINY, 1 - _TINY)
    logits = np.log(p) - np.log1p(-p)
    sign = np.where(right, 1.0, -1.0)
    start = np.array([-np.log(whole[0]), whole[1]] if whole else [0.0, 0.0])
    pull = np.array(_PULL_OF_A_LABEL if whole else _PULL)

    def loss(x: np.ndarray) -> float:
        away = float((pull * (x - start) ** 2).sum())
        return float(np.logaddexp(0, -sign * (np.exp(x[0]) * logits + x[1])).sum()) + away

    found = minimize(loss, start, method="L-BFGS-B", bounds=[(-3.0, 3.0), (-10.0, 10.0)])
    return float(np.exp(-found.x[0])), float(found.x[1])


def _knots(
    scores: np.ndarray, right: np.ndarray, whole: list[list[float]] | None = None
) -> list[list[float]]:
    from scipy.optimize import isotonic_regression

    values, place, counts = np.unique(
        scores.astype(np.float64), return_inverse=True, return_counts=True
    )
    share = np.bincount(place, right) / counts
    blocks = isotonic_regression(share, weights=counts).blocks
    total = len(scores)
    knots: list[list[float]] = []
    for first, last in pairwise(blocks):
        weight = counts[first:last]
        x = float(np.average(values[first:last], weights=weight))
        y = float(np.average(share[first:last], weights=weight))
        # No prediction is ever certain: as if one more had been of the other kind.
        y = min(max(y, 1 / (total + 2)), (total + 1) / (total + 2))
        before = knots[-1] if knots else [0.0, 0.0]
        if before[0] < x < 1 and before[1] < y < 1:
            knots.append([x, y])
    return knots


def _require_labels(labels: Tensor, count: int) -> None:
    if len(labels) and int(labels.max()) >= count:
        raise ValueError(
            f"the calibration is of {count} labels; there is a label {int(labels.max())}"
        )
