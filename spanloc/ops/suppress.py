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
    # The indices that are kept and their new scores, best first. The loop takes label by label.
    groups = np.zeros(len(scores), np.int64) if labels is None else to_array(labels)
    order = np.argsort(groups, kind="stable")
    changes = np.flatnonzero(np.diff(groups[order])) + 1
    firsts = np.concatenate(([0], changes, [len(groups)])).astype(np.int64)
    # Whole numbers could not fall by a part.
    parts = spans[:, 0], spans[:, 1], scores.double()
    starts, ends, values = (to_array(part)[order] for part in parts)
    limits = float(sigma), float(threshold), float(min_score)
    cap = len(scores) if max_per_label is None else max_per_label
    kept = _loop(starts, ends, values, firsts, rule, *limits, cap)
    kept, values = order[kept], values[kept]
    best = np.lexsort((kept, -values))[:max_total]
    index = torch.from_numpy(kept[best]).to(scores.device)
    return index, torch.from_numpy(values[best]).to(scores)


# The loop gives back one array and writes the rest in place: where a signal interrupts numba while it makes
# Python objects of several arrays, it crashes.


@numba.njit(cache=True)
@no_type_check
def _loop(starts, ends, scores, firsts, rule, sigma, threshold, min_score, cap):
    kept, kinds = np.empty(len(starts), np.int64), _kinds(starts, ends)
    near, total = np.empty(len(starts), np.int64), 0
    applied = np.zeros(len(starts), np.int64)
    for group in range(len(firsts) - 1):
        begin = total
        grid = _grid(firsts[group + 1] - firsts[group])
        heap = [
            (-scores[i], i)
            for i in range(firsts[group], firsts[group + 1])
            if scores[i] >= min_score
        ]
        heapify(heap)
        # Scores only fall, so the top of the heap is an upper bound: a span is brought up to date
        # with what has been kept only when it comes to the top.
        while len(heap) > 0 and total - begin < cap:
            best, i = heappop(heap)
            for n in range(_near(grid, starts, ends, kinds, kept, begin, i, applied[i], near)):
                j = kept[begin + near[n]]
                shared = tiou(starts[i], ends[i], starts[j], ends[j])
                if rule == _GAUSSIAN:
                    scores[i] *= np.exp(-shared * shared / sigma)
                elif shared > threshold:
                    scores[i] *= 1.0 - shared if rule == _LINEAR else np.nan
                    if rule == _DROP:
                        break
            if scores[i] == -best:
                kept[total] = i
                _add(grid, starts, kinds, i, total - begin)
                total += 1
                continue
            applied[i] = total - begin
            if scores[i] >= min_score:
                heappush(heap, (-scores[i], i))
    return kept[:total]


# What has been kept, in cells: a span of length 2^k lies in a cell of width 2^(k + 1) by its start, so that
# spans that overlap another lie in few cells of each kind k. Without, ten times as long a recording would
# take a hundred times as long.
_NUM_KINDS = 64


@numba.njit(cache=True)
@no_type_check
def _kinds(starts, ends):
    kinds = np.full(len(starts), -1, np.int64)  # what has no length overlaps nothing
    for i in range(len(starts)):
        if ends[i] > starts[i]:
            kinds[i] = min(max(int(np.floor(np.log2(ends[i] - starts[i]))) + 32, 0), _NUM_KINDS - 1)
    return kinds


@numba.njit(cache=True)
@no_type_check
def _grid(size):
    # Slots of a hash table of cells, each with its newest span; and for each span the next one of its slot
    # and of its kind, its cell and its kind.
    num_slots = 4
    while num_slots < 2 * size:
        num_slots *= 2
    slots = np.full(num_slots, -1, np.int64)
    newest = np.full(_NUM_KINDS, -1, np.int64)
    counts = np.zeros(_NUM_KINDS, np.int64)
    return slots, newest, counts, np.empty((4, size), np.int64)


@numba.njit(cache=True)
@no_type_check
def _cell(place, kind):
    return np.int64(np.floor(min(max(place / 2.0 ** (kind - 31), -1e18), 1e18)))


@numba.njit(cache=True)
@no_type_check
def _slot(cell, kind, num_slots):
    return (cell * 64 + kind) * 2654435761 & (num_slots - 1)


@numba.njit(cache=True)
@no_type_check
def _add(grid, starts, kinds, i, number):
    slots, newest, counts, spans = grid
    kind = kinds[i]
    if kind < 0:
        return
    cell = _cell(starts[i], kind)
    slot = _slot(cell, kind, len(slots))
    spans[0, number], spans[1, number] = slots[slot], newest[kind]
    spans[2, number], spans[3, number] = cell, kind
    slots[slot] = newest[kind] = number
    counts[kind] += 1


@numba.njit(cache=True)
@no_type_check
def _near(grid, starts, ends, kinds, kept, begin, i, first, near):
    """The kept spans from number ``first`` on that overlap span ``i``, into ``near``, in their order."""
    slots, newest, counts, spans = grid
    count = 0
    if kinds[i] < 0:
        return 0
    for kind in range(_NUM_KINDS):
        if newest[kind] < first:
            continue
        # The start of a span that overlaps lies no further before than its length.
        low, high = _cell(starts[i], kind) - 1, _cell(ends[i], kind)
        # Of the last kind there is no longest.
        whole = high - low >= counts[kind] or kind == _NUM_KINDS - 1
        for cell in range(0 if whole else low, 1 if whole else high + 1):
            number = newest[kind] if whole else slots[_slot(cell, kind, len(slots))]
            while number >= first:
                j = kept[begin + number]
                same = whole or (spans[2, number] == cell and spans[3, number] == kind)
                if same and starts[j] < ends[i] and starts[i] < ends[j]:
                    near[count] = number
                    count += 1
                number = spans[1, number] if whole else spans[0, number]
    near[:count].sort()
    return count
