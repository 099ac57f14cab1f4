"""Events: pairs within collars, and segments in which some are active. Compiled."""

from typing import no_type_check

import numba
import numpy as np


@numba.njit(cache=True)
@no_type_check
def match_collars(spans, firsts, targets, target_firsts, onset, offset, share):
    """The largest number of pairs, in each group, whose ends differ by no more than a collar.

    A span and a target may be a pair where their starts differ by at most ``onset`` and their ends by
    at most ``offset`` or ``share`` times the target's length, whichever is more. An infinite collar
    asks nothing of its end. Every span and target is in one pair at most.

    Args:
        spans: ``(n, 2)`` float64, sorted by group, then by start.
        firsts: ``(number of groups + 1,)`` int64: where each group begins.
        targets, target_firsts: The same of the targets, ``(m, 2)``.
        onset, offset: At least 0, in the unit of the spans.
        share: At least 0.

    Returns:
        ``(number of groups,)`` int64.

    >>> match_collars(np.array([[0.0, 5.0], [0.3, 5.0]]), np.array([0, 2]),
    ...               np.array([[0.2, 5.1]]), np.array([0, 1]), 0.25, 0.25, 0.0)
    array([1])
    """
    groups = len(firsts) - 1
    counts = np.zeros(groups, np.int64)
    owner = np.full(len(spans), -1, np.int64)  # the target that a span is paired with
    seen = np.full(len(spans), -1, np.int64)  # the last target for which a span was tried
    # Depth-first search for a free span, along spans whose targets can move on to another.
    stack, place, chosen = np.empty((3, len(targets) + 1), np.int64)
    for g in range(groups):
        for root in range(target_firsts[g], target_firsts[g + 1]):
            depth, stack[0] = 0, root
            place[0] = _begin(
                spans, firsts[g], firsts[g + 1], targets[root], owner, onset, offset, share
            )
            while depth >= 0:
                j, i = stack[depth], place[depth]
                place[depth] = i + 1
                if i == firsts[g + 1] or spans[i, 0] - targets[j, 0] > onset:
                    depth -= 1
                    continue
                reach = max(offset, share * (targets[j, 1] - targets[j, 0]))
                if seen[i] == root or not abs(spans[i, 1] - targets[j, 1]) <= reach:
                    continue
                seen[i], chosen[depth] = root, i
                if owner[i] < 0:
                    for d in range(depth + 1):
                        owner[chosen[d]] = stack[d]
                    counts[g] += 1
                    break
                depth += 1
                j = stack[depth] = owner[i]
                place[depth] = _begin(
                    spans, firsts[g], firsts[g + 1], targets[j], owner, onset, offset, share
                )
    return counts


@numba.njit(cache=True)
@no_type_check
def active_segments(spans, firsts, size):
    """Number of grid segments that the spans of each group touch.

    Segment ``k`` covers ``[k * size, (k + 1) * size)``, and a span makes active all that it touches.

    Args:
        spans, firsts: As in :func:`match_collars`.
        size: Of a segment, above 0, in the unit of the spans.

    Returns:
        ``(number of groups,)`` int64.

    >>> active_segments(np.array([[1.0, 4.0], [3.5, 3.9], [7.5, 8.0]]), np.array([0, 2, 3]), 1.0)
    array([3, 1])
    """
    counts = np.zeros(len(firsts) - 1, np.int64)
    for g in range(len(counts)):
        reach = -(2**62)
        for i in range(firsts[g], firsts[g + 1]):
            new = max(int(np.floor(spans[i, 0] / size)), reach)
            reach = max(reach, int(np.ceil(spans[i, 1] / size)))
            counts[g] += max(reach - new, 0)
    return counts


@numba.njit(cache=True)
@no_type_check
def _begin(spans, first, last, target, owner, onset, offset, share):
    # The first free span that the target may be paired with, which keeps dense groups from being searched in
    # depth; without one, the first that does not start too early. The spans come by their starts.
    low, high = first, last
    while low < high:
        middle = (low + high) // 2
        if target[0] - spans[middle, 0] > onset:
            low = middle + 1
        else:
            high = middle
    reach = max(offset, share * (target[1] - target[0]))
    for i in range(low, last):
        if spans[i, 0] - target[0] > onset:
            break
        if owner[i] < 0 and abs(spans[i, 1] - target[1]) <= reach:
            return i
    return low
