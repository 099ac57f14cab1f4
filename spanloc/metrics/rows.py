"""Rows of spans as metrics sort and compare them: in numpy, by sequence and label."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spanloc.metrics.kernels.ranked import match_ranked, nearest
from spanloc.structures import Predictions, Targets


class Grouped(NamedTuple):
    """Targets of one sequence (and label) side by side, as the compiled loops take them.

    ``spans (m, 2)`` float64, by group, then by start, then by end; group ``g`` begins at ``firsts[g]``;
    ``keys`` are the groups' sequences and labels, ``(number of groups, 2)``, sorted; ``order (m,)``
    says which target each row was.
    """

    spans: np.ndarray
    firsts: np.ndarray
    keys: np.ndarray
    order: np.ndarray


class Arrays(NamedTuple):
    """Rows in the main memory: what the compiled loops take.

    ``sequences (n,)`` int64 are the places of the ids among the sorted ids, so that what depends on the
    order of the sequences does not depend on the order in which they come.
    """

    spans: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    sequences: np.ndarray


def arrays(rows: Predictions | Targets) -> Arrays:
    """Rows as arrays; targets have scores of 1.

    Raises:
        ValueError: A span is reversed or not finite, or a score is NaN.
    """
    places = np.empty(len(rows.ids), np.int64)
    places[sorted(range(len(places)), key=rows.ids.__getitem__)] = np.arange(len(places))
    sequences = torch.from_numpy(places)[rows.places.cpu()]
    scores = rows.scores if isinstance(rows, Predictions) else torch.ones(len(rows))
    fields = (_plain(f) for f in (rows.spans, scores, rows.labels, sequences))
    found = Arrays(*(field.detach().cpu().numpy() for field in fields))
    start, end = found.spans.T
    ordered = (start > -np.inf) & (start <= end) & (end < np.inf)
    if len(broken := np.flatnonzero(~ordered | np.isnan(found.scores))):
        first = broken[0]
        raise ValueError(
            f"sequence {rows.ids[rows.places[first]]!r}: {type(rows).__name__} has the span "
            f"{found.spans[first].tolist()} with the score {found.scores[first]:g}; wanted finite "
            f"numbers, start <= end ({len(broken)} such of {len(rows)})"
        )
    return found


def _plain(values: Tensor) -> Tensor:
    # numpy and the loops know less of the half types.
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def split(labels: np.ndarray, names: np.ndarray) -> list[np.ndarray]:
    """The places of each name (sorted) in the labels, in their order.

    >>> split(np.array([5, 2, 5]), np.array([2, 5]))
    [array([1]), array([0, 2])]
    """
    order = np.argsort(labels, kind="stable")
    firsts, lasts = (np.searchsorted(labels[order], names, side) for side in ("left", "right"))
    return [order[first:last] for first, last in zip(firsts, lasts, strict=True)]


def group(spans: np.ndarray, labels: np.ndarray, sequences: np.ndarray) -> Grouped:
    """Sort spans by sequence, label, start and end; ``labels`` of zeros make a group of a sequence.

    >>> group(np.array([[3.0, 4.0], [0.0, 2.0]]), np.zeros(2, np.int64), np.ones(2, np.int64)).firsts
    array([0, 2])
    """
    spans = spans.astype(np.float64)
    order = np.lexsort((spans[:, 1], spans[:, 0], labels, sequences))
    keys = np.stack([sequences[order], labels[order]], 1)
    new = np.ones(len(keys), bool)
    new[1:] = (keys[1:] != keys[:-1]).any(1)
    firsts = np.append(np.flatnonzero(new), len(keys)).astype(np.int64)
    return Grouped(spans[order], firsts, keys[new], order)


def find_groups(grouped: Grouped, labels: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """The group of each label and sequence, ``(n,)`` int64; -1 where there is none."""
    names = np.unique(grouped.keys[:, 0])
    kinds = np.unique(grouped.keys[:, 1])
    if not len(names):
        return np.full(len(labels), -1)
    sequence, known = _place(names, sequences)
    label, named = _place(kinds, labels)
    codes = np.searchsorted(names, grouped.keys[:, 0]) * len(kinds)
    codes += np.searchsorted(kinds, grouped.keys[:, 1])
    place, there = _place(codes, sequence * len(kinds) + label)
    return np.where(known & named & there, place, -1)


def _place(names: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    place = np.searchsorted(names, values)
    place[place == len(names)] = 0
    return place, names[place] == values


def rank(scores: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """Best first; equal scores by sequence, within one as they are listed.

    >>> rank(np.array([0.5, 0.9, 0.5]), np.array([7, 7, 3]))
    array([1, 2, 0])
    """
    return np.lexsort((sequences, -scores.astype(np.float64)))


def matched_rows(
    predictions: Predictions, targets: Targets, thresholds: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions matched as for average precision: each, by rank, with the best free target of its label.

    Returns:
        The rows of the predictions, best first, ``(n,)``; and the row of the target that each of these is
        matched to at each tIoU, or -1, ``(n, thresholds)``.
    """
    spans, scores, labels, sequences = arrays(predictions)
    order, true = rank(scores, sequences), arrays(targets)
    grouped = group(true.spans, true.labels, true.sequences)
    groups = find_groups(grouped, labels[order], sequences[order])
    ranked, limits = spans[order].astype(np.float64), np.asarray(thresholds, np.float64)
    found = match_ranked(ranked, groups, grouped.spans, grouped.firsts, grouped.order, limits)
    return order, np.append(grouped.order, -1)[found]


def bands(labels: np.ndarray, true_labels: np.ndarray) -> np.ndarray:
    """Which multiple of its label's number of targets each ranked prediction is in, from 0; -1 without any.

    >>> bands(np.array([5, 5, 5, 2]), np.array([5, 5]))
    array([ 0,  0,  1, -1])
    """
    names, counts = np.unique(true_labels, return_counts=True)
    band = np.full(len(labels), -1)
    for mine, count in zip(split(labels, names), counts, strict=True):
        band[mine] = np.arange(len(mine)) // count
    return band


class Overlaps(NamedTuple):
    """The row of the target that each span overlaps most, or -1, and the tIoU with it; ``(n,)`` each.

    ``reached (m, 2)``: the best tIoU of each target with a span of its label, and with one of another.
    """

    target: np.ndarray
    tiou: np.ndarray
    reached: np.ndarray


def overlaps(rows: Arrays, true: Arrays, *, of_label: bool = False) -> Overlaps:
    """Find the target that each span overlaps most: in its sequence, or of its label too.

    Of equal ones it is that with the label of the span, or else the first by start and end.
    """
    labels, true_labels = rows.labels * of_label, true.labels * of_label
    grouped = group(true.spans, true_labels, true.sequences)
    groups = find_groups(grouped, labels, rows.sequences)
    found, tiou = np.full(len(groups), -1), np.zeros(len(groups))
    best = np.zeros((len(grouped.spans), 2))
    spans, true_labels = rows.spans.astype(np.float64), true.labels[grouped.order]
    nearest(
        spans, rows.labels, groups, grouped.spans, true_labels, grouped.firsts, found, tiou, best
    )
    reached = np.empty_like(best)
    reached[grouped.order] = best
    return Overlaps(np.append(grouped.order, -1)[found], tiou, reached)


def outside(rows: Arrays, true: Arrays) -> np.ndarray:
    """Which rows lie before the first or after the last target of their sequence; all of one without targets."""
    count = 1 + max(rows.sequences.max(initial=0), true.sequences.max(initial=0))
    first, last = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first, true.sequences, true.spans[:, 0])
    np.maximum.at(last, true.sequences, true.spans[:, 1])
    starts, ends = rows.spans.T
    found: np.ndarray = (ends <= first[rows.sequences]) | (starts >= last[rows.sequences])
    return found


def require_names(rows: Predictions | Targets, classes: Sequence[str]) -> None:
    """Raise a ``ValueError`` if a label has no name in ``classes``."""
    most = int(rows.labels.max()) if len(rows) else -1
    if most >= len(classes):
        raise ValueError(
            f"{type(rows).__name__} has the label {most}; classes has {len(classes)} names, and "
            "labels count from 0"
        )


def checked_thresholds(thresholds: Sequence[float]) -> list[float]:
    """The thresholds; a ``ValueError`` unless they are some numbers above 0 and up to 1."""
    if isinstance(thresholds, int | float):
        raise ValueError(f"thresholds is {thresholds}; wanted a list, such as [{thresholds}]")
    thresholds = list(thresholds)
    if not thresholds or not all(0 < t <= 1 for t in thresholds):
        raise ValueError(f"thresholds are {thresholds}; wanted decimals in (0, 1]")
    if len({decimal(t) for t in thresholds}) < len(thresholds):
        raise ValueError(f"thresholds are {thresholds}; two of them are the same, or nearly")
    return thresholds


def checked_numbers(numbers: Sequence[int]) -> list[int]:
    """The numbers of predictions to look at; a ``ValueError`` unless they are some, each at least 1."""
    numbers = list(numbers)
    if not numbers or not all(isinstance(number, int) and number >= 1 for number in numbers):
        raise ValueError(f"numbers are {numbers}; wanted whole numbers, at least 1")
    return numbers


def decimal(threshold: float) -> str:
    """A threshold as it appears in names: two decimals, more where it has more.

    >>> decimal(0.5), decimal(0.525)
    ('0.50', '0.525')
    """
    short = f"{threshold:.2f}"
    return short if float(short) == threshold else f"{threshold:g}"
