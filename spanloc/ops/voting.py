"""Boundaries voted on by all candidates around a span: compiled loops, on the CPU."""

from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spanloc.ops.compiled import starts_with_tiou, tiou, to_array


def vote(
    spans: Float[Tensor, "n 2"],
    labels: Int64[Tensor, " n"],
    voters: Float[Tensor, "m 2"],
    scores: Float[Tensor, " m"],
    voter_labels: Int64[Tensor, " m"],
    *,
    threshold: float = 0.8,
) -> Float[Tensor, "n 2"]:
    """Spans whose boundaries are the weighted mean of those of the candidates around them.

    The voters of a span are the candidates of its label with a tIoU of at least ``threshold`` with it;
    each weighs its score times that tIoU. A span without voters stays as it is. The result lies within the
    hull of its voters, and does not depend on their order but for rounding.

    Args:
        spans, labels: To be voted on, such as those that suppression has kept.
        voters, scores, voter_labels: All candidates, **before** suppression, in the same unit; scores are
            not negative. They hold the spans themselves, as a rule.
        threshold: In ``(0, 1]``. Higher: fewer voters, closer by. Equal boundaries at 1.

    Raises:
        ValueError: ``threshold`` is out of range.

    References:
        Gidaris and Komodakis 2015, arXiv:1505.01749, section 5.2, for boxes, weighted by the score alone.

    >>> candidates = torch.tensor([[0.0, 10.0], [1.0, 10.0], [30.0, 40.0]])
    >>> scores, labels = torch.tensor([0.9, 1.0, 0.8]), torch.zeros(3, dtype=torch.int64)
    >>> vote(candidates[:1], labels[:1], candidates, scores, labels)
    tensor([[ 0.5000, 10.0000]])
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"the tIoU of voters is {threshold}; it must lie in (0, 1]")
    groups, wanted = to_array(voter_labels), to_array(labels)
    starts, ends = to_array(voters[:, 0]), to_array(voters[:, 1])
    order = np.lexsort((starts, groups))
    firsts, lasts = (np.searchsorted(groups[order], wanted, side) for side in ("left", "right"))
    voted, weights = to_array(spans), to_array(scores)[order]
    _vote(voted, firsts, lasts, starts[order], ends[order], weights, float(threshold))
    return torch.from_numpy(voted).to(spans)


@numba.njit(cache=True)
@no_type_check
def _vote(spans, firsts, lasts, starts, ends, scores, threshold):
    for i in range(len(spans)):
        start, end = spans[i, 0], spans[i, 1]
        if not end - start > 0:
            continue
        low, high = starts_with_tiou(start, end, threshold)
        first = firsts[i] + np.searchsorted(starts[firsts[i] : lasts[i]], low)
        total = sum_start = sum_end = 0.0
        least_start = least_end = np.inf
        most_start = most_end = -np.inf
        for j in range(first, lasts[i]):
            if starts[j] > high:
                break
            shared = tiou(start, end, starts[j], ends[j])
            if shared >= threshold and scores[j] > 0:
                weight = scores[j] * shared
                total += weight
                # As shifts, which are exact where all agree.
                sum_start += weight * (starts[j] - start)
                sum_end += weight * (ends[j] - end)
                least_start, most_start = min(least_start, starts[j]), max(most_start, starts[j])
                least_end, most_end = min(least_end, ends[j]), max(most_end, ends[j])
        if total > 0:
            spans[i, 0] = min(max(start + sum_start / total, least_start), most_start)
            spans[i, 1] = min(max(end + sum_end / total, least_end), most_end)
