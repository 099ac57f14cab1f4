"""Scored spans against targets by rank, at several tIoU thresholds: compiled loops, on the CPU."""

from typing import no_type_check

import numba
import numpy as np

from spanloc.ops import compiled


@numba.njit(cache=True)
@no_type_check
def match_ranked(spans, groups, targets, target_firsts, target_order, thresholds):
    """Greedy matching by rank: each span takes the best free target of its group.

    At each threshold on its own, a span takes the target with the highest tIoU among those of its
    group that no better-ranked span took and that reach the threshold (``>=``); at equal tIoU the one
    that is listed last. Two empty spans do not match.

    Args:
        spans: ``(n, 2)``, **best first**; tIoU is taken in float64.
        groups: ``(n,)`` int64; a span may match the targets ``target_firsts[g]`` up to
            ``target_firsts[g + 1]`` of its group ``g``, none where that is negative.
        targets: ``(m, 2)`` float64, **sorted by group, then by start**.
        target_firsts: ``(number of groups + 1,)`` int64.
        target_order: ``(m,)`` int64: the place at which each is listed.
        thresholds: ``(t,)`` float64, above 0.

    Returns:
        ``(n, t)`` int64: the number of the target that the span took, -1 for none.

    >>> match_ranked(np.array([[0.0, 9.0], [0.0, 10.0]]), np.zeros(2, np.int64),
    ...              np.array([[0.0, 10.0]]), np.array([0, 1]), np.array([0]), np.array([0.5, 0.95]))
    array([[ 0, -1],
           [-1,  0]])
    """
    count = len(thresholds)
    found = np.full((len(spans), count), -1, np.int64)
    taken = np.zeros((len(targets), count), np.bool_)
    best, best_tiou = np.empty(count, np.int64), np.empty(count)
    for i in range(len(spans)):
        group = groups[i]
        if group < 0:
            continue
        first, last = target_firsts[group], target_firsts[group + 1]
        _find(spans[i], targets, target_order, first, last, thresholds, taken, best, best_tiou)
        for t in range(count):
            found[i, t] = best[t]
            if best[t] >= 0:
                taken[best[t], t] = True
    return found


@numba.njit(cache=True)
@no_type_check
def ranked_areas(
    spans, order, groups, firsts, targets, target_firsts, target_order, counts, thresholds
):
    """Areas under interpolated precision over recall, of many rankings, matched as above.

    Recall moves at hits alone, by one over the number of targets, so an area is the mean of the
    precision's envelope (its running maximum from the right) over the targets, 0 for those not hit.

    Args:
        spans: ``(n, 2)``, in any order.
        order: ``(k,)`` int64: the spans that are ranked, best first, one ranking after the other.
        groups: ``(k,)`` int64, in that order; as in :func:`match_ranked`.
        firsts: ``(number of rankings + 1,)`` int64: where each begins. No target may be of two.
        targets, target_firsts, target_order, thresholds: As in :func:`match_ranked`.
        counts: ``(number of rankings,)`` int64: how many targets each is to find, at least 1.

    Returns:
        ``(number of rankings, t)`` float64.

    >>> ranked_areas(np.array([[0.0, 9.0], [0.0, 10.0]]), np.arange(2), np.zeros(2, np.int64),
    ...              np.array([0, 2]), np.array([[0.0, 10.0]]), np.array([0, 1]), np.array([0]),
    ...              np.array([1]), np.array([0.5, 0.95]))
    array([[1. , 0.5]])
    """
    count = len(thresholds)
    areas = np.zeros((len(counts), count))
    taken = np.zeros((len(targets), count), np.bool_)
    best, best_tiou = np.empty(count, np.int64), np.empty(count)
    for r in range(len(counts)):
        precision, hits = np.empty((count, counts[r])), np.zeros(count, np.int64)
        for i in range(firsts[r], firsts[r + 1]):
            group = groups[i]
            if group < 0:
                continue
            first, last = target_firsts[group], target_firsts[group + 1]
            span = spans[order[i]]
            _find(span, targets, target_order, first, last, thresholds, taken, best, best_tiou)
            for t in range(count):
                if best[t] >= 0:
                    taken[best[t], t] = True
                    precision[t, hits[t]] = (hits[t] + 1) / (i - firsts[r] + 1)
                    hits[t] += 1
        for t in range(count):
            envelope, total = 0.0, 0.0
            for hit in range(hits[t] - 1, -1, -1):
                envelope = max(envelope, precision[t, hit])
                total += envelope
            areas[r, t] = total / counts[r]
    return areas


@numba.njit(cache=True)
@no_type_check
def best_reached(spans, groups, columns, targets, target_firsts, num_columns, hull=False):
    """The highest tIoU of each target with the spans of its group, by columns of the spans.

    Args:
        spans, groups, targets, target_firsts: As in :func:`match_ranked`, in any order.
        columns: ``(n,)`` int64, from 0: where each span counts.
        num_columns: How many columns there are.
        hull: Take the hull for the union. Where spans overlap it is the same, but for the last digit.

    Returns:
        ``(m, num_columns)`` float64, 0 where nothing overlaps.

    >>> best_reached(np.array([[0.0, 8.0]]), np.array([0]), np.array([1]),
    ...              np.array([[0.0, 10.0]]), np.array([0, 1]), 2)
    array([[0. , 0.8]])
    """
    # A flag, since a compiled function as an argument would be part of the key in numba's cache on
    # disk, and a later process can fail to read such a key.
    reached = np.zeros((len(targets), num_columns))
    for i in range(len(spans)):
        if groups[i] < 0:
            continue
        for j in range(target_firsts[groups[i]], target_firsts[groups[i] + 1]):
            if targets[j, 0] >= spans[i, 1]:
                break
            if hull:
                tiou = compiled.tiou_by_hull(spans[i, 0], spans[i, 1], targets[j, 0], targets[j, 1])
            else:
                tiou = compiled.tiou(spans[i, 0], spans[i, 1], targets[j, 0], targets[j, 1])
            reached[j, columns[i]] = max(reached[j, columns[i]], tiou)
    return reached


@numba.njit(cache=True)
@no_type_check
def nearest(spans, labels, groups, targets, target_labels, target_firsts, found, most, reached):
    """Best tIoU between spans and targets, in both directions and whatever the labels.

    The last three are filled in place: where a signal interrupts numba while it makes Python objects of several
    arrays, it crashes.

    Args:
        spans, groups, targets, target_firsts: As in :func:`match_ranked`, in any order.
        labels, target_labels: ``(n,)`` and ``(m,)`` int64.
        found: ``(n,)`` int64 of -1: for each span the number of the target with the highest tIoU (of equal ones
            that with its label, or else the first); -1 stays where none overlaps.
        most: ``(n,)`` float64 of 0: that tIoU.
        reached: ``(m, 2)`` float64 of 0: for each target the highest tIoU with a span of its label and with one of
            another.

    >>> found, most, reached = np.array([-1]), np.zeros(1), np.zeros((1, 2))
    >>> nearest(np.array([[0.0, 9.0]]), np.array([1]), np.array([0]),
    ...         np.array([[0.0, 10.0]]), np.array([0]), np.array([0, 1]), found, most, reached)
    >>> found, most, reached
    (array([0]), array([0.9]), array([[0. , 0.9]]))
    """
    for i in range(len(spans)):
        if groups[i] < 0:
            continue
        for j in range(target_firsts[groups[i]], target_firsts[groups[i] + 1]):
            if targets[j, 0] >= spans[i, 1]:
                break
            tiou = compiled.tiou(spans[i, 0], spans[i, 1], targets[j, 0], targets[j, 1])
            same = labels[i] == target_labels[j]
            other = 0 if same else 1
            reached[j, other] = max(reached[j, other], tiou)
            if tiou > most[i] or (
                tiou == most[i] > 0.0 and same and labels[i] != target_labels[found[i]]
            ):
                found[i], most[i] = j, tiou


@numba.njit(cache=True)
@no_type_check
def _find(span, targets, listed, first, last, thresholds, taken, best, best_tiou):
    # The best free target at each threshold, into ``best``.
    best[:] = -1
    best_tiou[:] = 0.0
    for j in range(first, last):
        if targets[j, 0] >= span[1]:
            break
        tiou = compiled.tiou(span[0], span[1], targets[j, 0], targets[j, 1])
        for t in range(len(thresholds)):
            if tiou < thresholds[t] or tiou < best_tiou[t] or taken[j, t]:
                continue
            if tiou > best_tiou[t] or (tiou > 0.0 and listed[j] > listed[best[t]]):
                best[t] = j
                best_tiou[t] = tiou
