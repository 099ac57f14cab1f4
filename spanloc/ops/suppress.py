"""Non-maximum suppression of scored spans, within each label: compiled loops, on the CPU."""

from heapq import heapify, heappop, heappush
from typing import Literal, no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spanloc.ops.compiled import tiou, to_array


def nms(
    spans: Float[Tensor, "n 2"],
    scores: Float[Tensor, " n"],
    labels: Int64[Tensor, " n"] | None = None,
    *,
    threshold: float = 0.5,
    max_per_label: int | None = None,
    max_total: int | None = None,
) -> tuple[Int64[Tensor, " kept"], Float[Tensor, " kept"]]:
    """Keep the best-scored spans; drop those of the same label that overlap a kept one too much.

    Args:
        spans: In any one unit.
        scores: Higher is better. Equal scores are taken in input order.
        labels: Spans of different labels do not suppress each other. None: all have one label.
        threshold: A span is dropped where its tIoU with a kept span is **above** this.
        max_per_label, max_total: At most so many are kept, the best-scored ones.

    Returns:
        The indices of the kept spans by descending score, and their scores.

    >>> spans = torch.tensor([[0.0, 10.0], [1.0, 10.0], [20.0, 30.0]])
    >>> nms(spans, torch.tensor([0.8, 0.9, 0.7]), threshold=0.5)
    (tensor([1, 2]), tensor([0.9000, 0.7000]))
    """
    caps = max_per_label, max_total
    index, _ = _suppressed(spans, scores, labels, _DROP, 1.0, threshold, -np.inf, *caps)
    return index, scores[index]


def soft_nms(
    spans: Float[Tensor, "n 2"],
    scores: Float[Tensor, " n"],
    labels: Int64[Tensor, " n"] | None = None,
    *,
    decay: Literal["gaussian", "linear"] = "gaussian",
    sigma: float = 0.5,
    threshold: float = 0.5,
    min_score: float = 1e-3,
    max_per_label: int | None = None,
    max_total: int | None = None,
) -> tuple[Int64[Tensor, " kept"], Float[Tensor, " kept"]]:
    """Lower the score of spans that overlap a better one of the same label, instead of dropping them.

    The best span is taken, the scores of the rest are multiplied by ``exp(-tiou^2 / sigma)``
    (Gaussian) or by ``1 - tiou`` where tIoU is above ``threshold`` (linear), and so on.

    Args:
        spans, labels: As in :func:`nms`.
        scores: Higher is better, non-negative. Equal scores are taken in input order.
        decay: How a score falls with the overlap.
        sigma: Of the Gaussian, above 0; smaller is stricter.
        threshold: Of the linear decay; the Gaussian does not use it.
        min_score: Spans whose score falls below this are dropped.
        max_per_label, max_total: At most so many are kept, the best-scored ones.

    Returns:
        The indices of the kept spans by descending new score, and those scores.

    Source:
        Bodla et al. 2017, arXiv:1704.04503.

    >>> spans = torch.tensor([[0.0, 10.0], [0.0, 5.0], [20.0, 30.0]])
    >>> soft_nms(spans, torch.tensor([0.9, 0.8, 0.1]), decay="linear", threshold=0.3)
    (tensor([0, 1, 2]), tensor([0.9000, 0.4000, 0.1000]))
    """
    if decay not in ("gaussian", "linear"):
        raise ValueError(f"decay is {decay!r}; it may be 'gaussian' or 'linear'")
    if sigma <= 0:
        raise ValueError(f"sigma is {sigma}; it must be above 0")
    rule, caps = _DECAYS[decay], (max_per_label, max_total)
    return _suppressed(spans, scores, labels, rule, sigma, threshold, min_score, *caps)


# What becomes of the score of a span that overlaps a better one.
_GAUSSIAN, _LINEAR, _DROP = range(3)
_DECAYS = {"gaussian": _GAUSSIAN, "linear": _LINEAR}


def _suppressed(
    spans: Tensor,
    scores: Tensor,
    labels: Tensor | None,
    rule: int,
    sigma: float,
    threshold: float,
    min_score: float,
    max_per_label: int | None,
    max_total: int | None,
) -> tuple[Tensor, Tensor]:
    # The indices that are kept and their new scores, best first. Spans lie in blocks of one label and of one
    # power of four above their lengths, sorted by start: those that overlap another are few places of each block.
    # Without, ten times as long a recording would take a hundred times as long.
    starts, ends = to_array(spans[:, 0]), to_array(spans[:, 1])
    groups = np.zeros(len(scores), np.int64) if labels is None else to_array(labels.long())
    with np.errstate(invalid="ignore"):  # of infinite ends
        lengths = ends - starts
    powers = -(-np.frexp(lengths)[1] // 2) * 2  # of two; -1072 to 1024
    blocks = 4096 * groups + 2048 + powers
    order = np.lexsort((starts, blocks))
    blocks = blocks[order]
    first_of_label = np.searchsorted(blocks, blocks // 4096 * 4096)
    end_of_block = np.searchsorted(blocks, blocks, side="right")
    values = to_array(scores.double())[order]  # whole numbers could not fall by a part
    rows = starts[order], ends[order], values, np.ldexp(1.0, powers[order]), order
    limits = float(sigma), float(threshold), float(min_score)
    caps = (len(order) if cap is None else cap for cap in (max_per_label, max_total))
    kept = _loop(*rows, first_of_label, end_of_block, rule, *limits, *caps)
    index = torch.from_numpy(order[kept]).to(scores.device)
    return index, torch.from_numpy(values[kept]).to(scores)


# The loop gives back one array and writes the rest in place: where a signal interrupts numba while it makes
# Python objects of several arrays, it crashes.
@numba.njit(cache=True)
@no_type_check
def _loop(starts, ends, scores, longest, order, first_of_label, end_of_block,
          rule, sigma, threshold, min_score, cap, most):  # fmt: skip
    kept, total = np.empty(len(order), np.int64), 0
    counts = np.zeros(len(order), np.int64)  # what is kept of a label, at its first place
    waiting = scores >= min_score
    heap = [(-scores[i], order[i], i) for i in range(len(order)) if waiting[i]]
    heapify(heap)
    while len(heap) > 0 and total < most:
        best, number, i = heappop(heap)
        first = first_of_label[i]
        if not waiting[i] or counts[first] >= cap:
            continue
        if scores[i] < -best:
            # Scores only fall: it comes to the top again, when no other is better.
            heappush(heap, (-scores[i], number, i))
            continue
        waiting[i] = False
        kept[total] = i
        total += 1
        counts[first] += 1
        low = first
        while low < len(order) and first_of_label[low] == first:
            high = end_of_block[low]
            # The start of a span that overlaps lies no further before than its length.
            low += np.searchsorted(starts[low:high], starts[i] - longest[low])
            while low < high and starts[low] < ends[i]:
                if waiting[low]:
                    shared = tiou(starts[low], ends[low], starts[i], ends[i])
                    if rule == _GAUSSIAN:
                        scores[low] *= np.exp(-shared * shared / sigma)
                    elif shared > threshold:
                        scores[low] *= 1.0 - shared if rule == _LINEAR else np.nan
                    waiting[low] = scores[low] >= min_score
                low += 1
            low = high
    return kept[:total]
