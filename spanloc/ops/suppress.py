"""Non-maximum suppression of scored spans, within each label: compiled loops, on the CPU."""

from heapq import heapify, heappop, heappush
from typing import Literal, no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spanloc.ops.compiled import tiou

_NO_CAP = np.iinfo(np.int64).max


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
    order, firsts = _by_label(scores, labels)
    starts, ends, values = _float64(spans[:, 0]), _float64(spans[:, 1]), _float64(scores)
    cap = _NO_CAP if max_per_label is None else max_per_label
    kept = order[_nms_loop(starts[order], ends[order], firsts, float(threshold), cap)]
    kept = kept[np.lexsort((kept, -values[kept]))][:max_total]
    index = torch.from_numpy(kept).to(scores.device)
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
    groups = np.zeros(len(scores), np.int64) if labels is None else _numpy(labels)
    order = np.argsort(groups, kind="stable")
    firsts = _firsts(groups[order])
    starts, ends, values = _float64(spans[:, 0]), _float64(spans[:, 1]), _float64(scores)
    cap = _NO_CAP if max_per_label is None else max_per_label
    kept, values = _soft_nms_loop(
        starts[order],
        ends[order],
        values[order],
        firsts,
        decay == "gaussian",
        float(sigma),
        float(threshold),
        float(min_score),
        cap,
    )
    kept = order[kept]
    best = np.lexsort((kept, -values))[:max_total]
    index = torch.from_numpy(kept[best]).to(scores.device)
    return index, torch.from_numpy(values[best]).to(scores)


def _by_label(scores: Tensor, labels: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    # The order label by label, descending score within each (stable), and where each label begins.
    groups = np.zeros(len(scores), np.int64) if labels is None else _numpy(labels)
    order = np.lexsort((-_float64(scores), groups))
    return order, _firsts(groups[order])


def _firsts(groups: np.ndarray) -> np.ndarray:
    changes = np.flatnonzero(np.diff(groups)) + 1
    return np.concatenate(([0], changes, [len(groups)])).astype(np.int64)


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()


def _float64(values: Tensor) -> np.ndarray:
    # One dtype for the loops, so that they compile once; half precision has no numpy twin anyway.
    return np.ascontiguousarray(_numpy(values.double()))


@numba.njit(cache=True)
@no_type_check
def _nms_loop(starts, ends, firsts, threshold, cap):
    kept = np.empty(len(starts), np.int64)
    total = 0
    for group in range(len(firsts) - 1):
        begin = total
        for i in range(firsts[group], firsts[group + 1]):
            if total - begin >= cap:
                break
            free = True
            for k in range(begin, total):
                j = kept[k]
                if tiou(starts[i], ends[i], starts[j], ends[j]) > threshold:
                    free = False
                    break
            if free:
                kept[total] = i
                total += 1
    return kept[:total]


@numba.njit(cache=True)
@no_type_check
def _soft_nms_loop(starts, ends, scores, firsts, gaussian, sigma, threshold, min_score, cap):
    kept = np.empty(len(starts), np.int64)
    scores = scores.copy()
    applied = np.zeros(len(starts), np.int64)
    total = 0
    for group in range(len(firsts) - 1):
        begin = total
        heap = [
            (-scores[i], i)
            for i in range(firsts[group], firsts[group + 1])
            if scores[i] >= min_score
        ]
        heapify(heap)
        # Scores only fall, so the top of the heap is an upper bound: a span is brought up to date
        # with what has been kept only when it comes to the top.
        while len(heap) > 0 and total - begin < cap:
            _, i = heappop(heap)
            if applied[i] == total - begin:
                kept[total] = i
                total += 1
                continue
            for k in range(begin + applied[i], total):
                j = kept[k]
                shared = tiou(starts[i], ends[i], starts[j], ends[j])
                if gaussian:
                    scores[i] *= np.exp(-shared * shared / sigma)
                elif shared > threshold:
                    scores[i] *= 1.0 - shared
            applied[i] = total - begin
            if scores[i] >= min_score:
                heappush(heap, (-scores[i], i))
    return kept[:total], scores[kept[:total]]
