"""Events against events: pairs within collars, and segments in which both are active. Compiled."""

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
            first = _first_near(spans, firsts[g], firsts[g + 1], targets[root, 0], onset)
            free = _first_free(
                spans, first, firsts[g + 1], targets[root], owner, onset, offset, share
            )
            if free >= 0:
                owner[free] = root
                counts[g] += 1
                continue
            depth, stack[0], place[0] = 0, root, first
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
                first = _first_near(spans, firsts[g], firsts[g + 1], targets[j, 0], onset)
                # Looking for a free one first keeps dense groups from being searched in depth.
                free = _first_free(
                    spans, first, firsts[g + 1], targets[j], owner, onset, offset, share
                )
                place[depth] = first if free < 0 else free
    return counts


@numba.njit(cache=True)
@no_type_check
def active_segments(spans, firsts, targets, target_firsts, size):
    """Number of grid segments that each group touches: with spans, with targets, with both.

    Segment ``k`` covers ``[k * size, (k + 1) * size)``, and a span makes active all that it touches.

    Args:
        spans, firsts, targets, target_firsts: As in :func:`match_collars`.
        size: Of a segment, above 0, in the unit of the spans.

    Returns:
        ``(number of groups, 3)`` int64.

    >>> active_segments(np.array([[0.0, 2.5]]), np.array([0, 1]),
    ...                 np.array([[1.0, 4.0], [3.5, 3.9]]), np.array([0, 2]), 1.0)
    array([[3, 3, 2]])
    """
    groups = len(firsts) - 1
    counts = np.zeros((groups, 3), np.int64)
    for g in range(groups):
        i, last_i = firsts[g], firsts[g + 1]
        j, last_j = target_firsts[g], target_firsts[g + 1]
        # How far each kind reaches. Both come by their starts, so what is new in one kind is in the
        # other too up to where that reaches.
        reach, target_reach = -(2**62), -(2**62)
        while i < last_i or j < last_j:
            if j == last_j or (i < last_i and spans[i, 0] <= targets[j, 0]):
                new = max(int(np.floor(spans[i, 0] / size)), reach)
                reach = max(reach, int(np.ceil(spans[i, 1] / size)))
                counts[g, 0] += max(reach - new, 0)
                i += 1
            else:
                new = max(int(np.floor(targets[j, 0] / size)), target_reach)
                target_reach = max(target_reach, int(np.ceil(targets[j, 1] / size)))
                counts[g, 1] += max(target_reach - new, 0)
                j += 1
            counts[g, 2] += max(min(reach, target_reach) - new, 0)
    return counts


@numba.njit(cache=True)
@no_type_check
def _first_near(spans, low, high, start, onset):
    # The first span that does not start too early: the spans come by their starts.
    while low < high:
        middle = (low + high) // 2
        if start - spans[middle, 0] > onset:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True)
@no_type_check
def _first_free(spans, low, high, target, owner, onset, offset, share):
    reach = max(offset, share * (target[1] - target[0]))
    for i in range(low, high):
        if spans[i, 0] - target[0] > onset:
            break
        if owner[i] < 0 and abs(spans[i, 1] - target[1]) <= reach:
            return i
    return -1
