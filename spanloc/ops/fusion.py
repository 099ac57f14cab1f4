"""Fusion of the candidates of several models, or of several passes of one: compiled loops, on the CPU."""

from collections.abc import Sequence
from typing import Any, no_type_check

import numba
import numpy as np
import torch
from torch import Tensor

from spanloc.ops.compiled import starts_with_tiou, tiou, to_array


def fuse(
    sets: Sequence[tuple[Tensor, Tensor, Tensor]], *, threshold: float = 0.7
) -> tuple[Tensor, Tensor, Tensor]:
    """Fuse candidates of several sets into one set, each with the mean score and boundaries of its counterparts.

    The counterpart of a candidate in another set is the one of its label with the highest tIoU, of at
    least ``threshold``. The score becomes the mean over all sets, in which a set without a counterpart
    counts 0; the boundaries become the mean of the counterparts, weighted by their scores. So what all
    sets agree on keeps its score, what one of ``n`` sees alone has an ``n``-th of it, and agreement does
    not add up. Candidates that are each other's counterparts in all sets become one, so that several equal
    sets give what one of them gives; all others are still there: suppression chooses among them.

    Args:
        sets: Spans ``(n, 2)`` in one unit, scores ``(n,)``, not negative, and labels ``(n,)`` of each.
        threshold: In ``(0, 1]``.

    Returns:
        Spans ``(m, 2)`` float64, scores and labels ``(m,)``, best first; where there is one set, as it is.

    Raises:
        ValueError: ``threshold`` is out of range, or there is no set.

    References:
        After Solovyev, Wang and Gabruseva 2021, arXiv:1910.13302, which clusters boxes of several models
        and averages them likewise.

    >>> label = torch.zeros(1, dtype=torch.int64)
    >>> one = torch.tensor([[0.0, 10.0]]), torch.tensor([0.75]), label
    >>> two = torch.tensor([[0.0, 8.0]]), torch.tensor([0.25]), label
    >>> fuse([one, two])[:2]
    (tensor([[0.0000, 9.5000]], dtype=torch.float64), tensor([0.5000]))
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"the tIoU of counterparts is {threshold}; it must lie in (0, 1]")
    if not sets:
        raise ValueError("there is no set of candidates to fuse")
    if len(sets) == 1:
        return sets[0]
    parts = [tuple(to_array(field) for field in one) for one in sets]
    fused = [_averaged(parts, place, threshold) for place in range(len(parts))]
    spans, scores, labels, groups = (np.concatenate(field) for field in zip(*fused, strict=True))
    # The candidates that are each other's counterparts have one mean.
    firsts = np.sort(np.unique(groups, axis=0, return_index=True)[1])
    order = firsts[np.argsort(-scores[firsts], kind="stable")]
    like = sets[0]
    return (
        torch.from_numpy(spans[order]).to(like[0].device),
        torch.from_numpy(scores[order]).to(like[1]),
        torch.from_numpy(labels[order]).to(like[2]),
    )


def _averaged(parts: Sequence[Any], place: int, threshold: float) -> tuple[np.ndarray, ...]:
    spans, scores, labels = parts[place]
    moved, weight, more = np.zeros_like(spans), scores.copy(), np.zeros_like(scores)
    group = np.full((len(spans), len(parts)), -1)
    group[:, place] = np.arange(len(spans))
    for other, (their_spans, their_scores, their_labels) in enumerate(parts):
        if other == place:
            continue
        order = np.lexsort((-their_scores, their_spans[:, 0], their_labels))
        theirs, groups = their_spans[order], their_labels[order]
        firsts, lasts = (np.searchsorted(groups, labels, side) for side in ("left", "right"))
        found = np.full(len(spans), -1)
        _counterparts(spans, firsts, lasts, theirs, threshold, found)
        there = found >= 0
        group[:, other] = np.append(order, -1)[found]
        # As shifts, which are exact where all agree.
        score = np.where(there, np.append(their_scores[order], 0.0)[found], 0.0)
        more += score - scores
        moved[there] += score[there, None] * (theirs[found[there]] - spans[there])
        weight += score
    moved /= np.where(weight > 0, weight, 1.0)[:, None]
    return spans + moved, scores + more / len(parts), labels, group


@numba.njit(cache=True)
@no_type_check
def _counterparts(spans, firsts, lasts, others, threshold, found):
    for i in range(len(spans)):
        start, end = spans[i, 0], spans[i, 1]
        if not end - start > 0:
            continue
        low, high = starts_with_tiou(start, end, threshold)
        most = 0.0
        first = firsts[i] + np.searchsorted(others[firsts[i] : lasts[i], 0], low)
        for j in range(first, lasts[i]):
            if others[j, 0] > high:
                break
            shared = tiou(start, end, others[j, 0], others[j, 1])
            if shared >= threshold and shared > most:
                found[i], most = j, shared
