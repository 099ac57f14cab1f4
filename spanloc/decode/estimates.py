"""Options of the decoding, estimated from predictions that are known to be right or wrong."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from spanloc.metrics.calibration import matches
from spanloc.structures import Predictions, Targets

#: A label has a value of its own from so many matched predictions on.
LEAST_MATCHED = 20
#: Into how many groups sequences, or their predictions, are divided at most to fit an option on the others.
MOST_GROUPS = 10
# That a gain is not by chance: two standard errors of a normal distribution.
_SURE = 0.977


def boundary_bias(
    predictions: Predictions, targets: Targets, num_labels: int, seconds_per_step: torch.Tensor
) -> list[list[float]]:
    """Steps to add to starts and ends, ``(K, 2)``: minus the median error of each label.

    The median is that of predictions that are matched at tIoU 0.5. A boundary has 0 with fewer than 20 of them,
    or where the median is within two of its standard errors (1.2533 times that of a mean, from the median
    absolute deviation).

    Args:
        predictions, targets: In seconds.
        num_labels: How many labels there are.
        seconds_per_step: Of each sequence, by place.
    """
    match = matches(predictions, targets)
    right = match >= 0
    found = predictions[torch.from_numpy(right)]
    true = targets[torch.from_numpy(match[right])]
    away = found.spans.double() - true.spans.double()
    errors = (away / seconds_per_step[found.places][:, None]).numpy()
    bias = np.zeros((num_labels, 2))
    for label in range(num_labels):
        mine = errors[found.labels.numpy() == label]
        if len(mine) >= LEAST_MATCHED:
            median = np.median(mine, 0)
            spread = 1.4826 * np.median(np.abs(mine - median), 0)
            sure = np.abs(median) > 2 * 1.2533 * spread / math.sqrt(len(mine))
            bias[label] = np.where(sure, -median, 0.0)
    # No -0.0 in a file.
    return (bias + 0.0).tolist()


def best_thresholds(
    scores: np.ndarray, right: np.ndarray, labels: np.ndarray, num_targets: np.ndarray
) -> list[float]:
    """By label, the score from which on the predictions have the highest F1, ``(K,)``.

    A label with fewer than 20 right predictions gets that of all labels together.

    Args:
        scores, right, labels: ``(n,)`` each.
        num_targets: Of each label, ``(K,)``.
    """
    whole = _threshold(scores, right, int(num_targets.sum()))
    return [
        _threshold(scores[mine], right[mine], int(count))
        if right[mine := labels == label].sum() >= LEAST_MATCHED
        else whole
        for label, count in enumerate(num_targets)
    ]


def _threshold(scores: np.ndarray, right: np.ndarray, num_targets: int) -> float:
    if not right.any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    f1 = 2 * np.cumsum(right[order]) / (np.arange(1, len(order) + 1) + num_targets)
    # Equal scores are kept or dropped together.
    f1[:-1][ranked[:-1] == ranked[1:]] = -1
    last = int(f1.argmax())
    # Halfway to the first that is dropped, which another run gives another score.
    return float((ranked[last] + ranked[last + 1]) / 2) if last + 1 < len(ranked) else 0.0


def share_overlapping(targets: Targets) -> float:
    """The share of the targets that begin before the one before them in their sequence has ended."""
    order = np.lexsort((targets.spans[:, 0].numpy(), targets.places.numpy()))
    spans, places = targets.spans[order].numpy(), targets.places[order].numpy()
    over = (spans[1:, 0] < spans[:-1, 1]) & (places[1:] == places[:-1])
    return float(over.mean()) if len(over) else 0.0


def shortest_gap(targets: Targets) -> float:
    """The shortest gap between neighbouring targets of one label, in their unit; infinite without any."""
    keys = (targets.spans[:, 0].numpy(), targets.labels.numpy(), targets.places.numpy())
    order = np.lexsort(keys)
    spans, labels, places = (
        f[order].numpy() for f in (targets.spans, targets.labels, targets.places)
    )
    same = (labels[1:] == labels[:-1]) & (places[1:] == places[:-1])
    gaps = (spans[1:, 0] - spans[:-1, 1])[same]
    return float(gaps[gaps > 0].min()) if (gaps > 0).any() else math.inf


def errors_beyond_chance(groups: int) -> float:
    """Number of standard errors that a gain over so many groups has to exceed: about 2 for many, 0 for one."""
    from scipy import stats  # its import takes longer than all others of this file

    return float(stats.t.ppf(_SURE, groups - 1)) if groups > 1 else 0.0


def jackknife(left: Sequence[float] | np.ndarray) -> float:
    """The standard error of a value, from what it is without each group."""
    values, count = np.asarray(left), len(left)
    return float(math.sqrt((count - 1) / count * ((values - values.mean()) ** 2).sum()))


def groups_in_time(found: Predictions, num_sequences: int) -> np.ndarray:
    """A group for each prediction, ``(n,)``: of its sequence; fewer than ten sequences are divided into parts."""
    parts = -(-MOST_GROUPS // num_sequences)
    places, groups = found.places.numpy(), np.zeros(len(found), np.int64)
    for place in np.unique(places):
        mine = np.flatnonzero(places == place)
        order = mine[np.argsort(found.spans[mine, 0].numpy(), kind="stable")]
        groups[order] = place * parts + np.arange(len(order)) * parts // len(order)
    return groups % MOST_GROUPS
