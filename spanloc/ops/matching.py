"""Which scored spans hit a target, at several tIoU thresholds: a compiled loop, on the CPU."""

from typing import no_type_check

import numba
import numpy as np


def match_ranked(
    spans: np.ndarray,
    groups: np.ndarray,
    target_spans: np.ndarray,
    target_groups: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """Greedy matching by rank: each prediction takes the best free target of its group.

    At each threshold on its own, a prediction takes the target with the highest tIoU among those of
    its group that no better-ranked prediction took and that reach the threshold (``>=``); at equal
    tIoU the first. Two empty spans do not match.

    Args:
        spans: ``(n, 2)`` float64, **by descending score**.
        groups: ``(n,)`` int64; only spans of one group (one sequence and label) may match.
        target_spans: ``(m, 2)`` float64.
        target_groups: ``(m,)`` int64.
        thresholds: ``(t,)`` float64, above 0.

    Returns:
        ``(n, t)`` bool: whether the prediction hit a target.

    >>> match_ranked(np.array([[0.0, 9.0], [0.0, 10.0]]), np.zeros(2, np.int64),
    ...              np.array([[0.0, 10.0]]), np.zeros(1, np.int64), np.array([0.5, 0.95]))
    array([[ True, False],
           [False,  True]])
    """
    order = np.argsort(target_groups, kind="stable")
    names, firsts = np.unique(target_groups[order], return_index=True)
    firsts = np.append(firsts, len(order)).astype(np.int64)
    place = np.searchsorted(names, groups)
    known = (place < len(names)) & (np.append(names, 0)[place] == groups)
    place = np.where(known, place, -1)
    return _match_loop(
        np.ascontiguousarray(spans, np.float64),
        place.astype(np.int64),
        np.ascontiguousarray(target_spans[order], np.float64),
        firsts,
        np.ascontiguousarray(thresholds, np.float64),
    )


@numba.njit(cache=True)
@no_type_check
def _match_loop(spans, groups, targets, firsts, thresholds):
    hits = np.zeros((len(spans), len(thresholds)), np.bool_)
    taken = np.zeros((len(targets), len(thresholds)), np.bool_)
    best = np.empty(len(thresholds), np.int64)
    best_tiou = np.empty(len(thresholds))
    for i in range(len(spans)):
        if groups[i] < 0:
            continue
        best[:] = -1
        best_tiou[:] = 0.0
        for j in range(firsts[groups[i]], firsts[groups[i] + 1]):
            shared = min(spans[i, 1], targets[j, 1]) - max(spans[i, 0], targets[j, 0])
            if shared <= 0.0:
                continue
            union = spans[i, 1] - spans[i, 0] + targets[j, 1] - targets[j, 0] - shared
            tiou = shared / union
            for t in range(len(thresholds)):
                if tiou >= thresholds[t] and tiou > best_tiou[t] and not taken[j, t]:
                    best[t] = j
                    best_tiou[t] = tiou
        for t in range(len(thresholds)):
            if best[t] >= 0:
                hits[i, t] = True
                taken[best[t], t] = True
    return hits
