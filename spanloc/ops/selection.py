"""Sets of spans without overlaps or short gaps: compiled loops, on the CPU."""

from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spanloc.ops.compiled import to_array
from spanloc.ops.suppress import nms


def exclusive(
    spans: Float[Tensor, "n 2"], scores: Float[Tensor, " n"], *, trim: float = 0.0
) -> tuple[Int64[Tensor, " kept"], Float[Tensor, "kept 2"]]:
    """Spans without overlaps, whatever their labels: the best-scored first, then those that it leaves room for.

    Spans that only touch do not overlap.

    Neighbours that share a boundary are rarely predicted without some overlap. So each span may give up a
    share ``trim`` of its length at either end: spans may be chosen together where what is then left of them
    does not overlap, and are cut between.

    Args:
        spans: In any one unit, ordered; those without length are never chosen.
        scores: Those of 0 or less are never chosen either; equal ones are taken in input order.
        trim: In ``[0, 0.5)``; 0 moves no boundary.

    Returns:
        The indices of the chosen spans in ascending order, and these spans, cut where they overlapped.

    Raises:
        ValueError: ``trim`` is out of range.

    >>> spans = torch.tensor([[0.0, 5.0], [4.0, 9.0], [9.0, 12.0]])
    >>> exclusive(spans, torch.tensor([0.6, 0.9, 0.5]))[0]
    tensor([1, 2])
    >>> exclusive(spans, torch.tensor([0.6, 0.9, 0.5]), trim=0.1)[1]
    tensor([[ 0.0000,  4.5000],
            [ 4.5000,  9.0000],
            [ 9.0000, 12.0000]])
    """
    if not 0 <= trim < 0.5:
        raise ValueError(f"trim is {trim}; it must lie in [0, 0.5)")
    values, whole = to_array(scores), to_array(spans)
    away = trim * (whole[:, 1] - whole[:, 0])
    starts = whole[:, 0] + away
    # Where rounding would turn a span round.
    ends = np.maximum(starts, whole[:, 1] - away)
    rows = np.flatnonzero((values > 0) & (whole[:, 1] > whole[:, 0]))
    cores = torch.from_numpy(np.stack([starts, ends], 1)[rows])
    best, _ = nms(cores, torch.from_numpy(values[rows]), threshold=0.0)
    chosen = rows[best.numpy()]
    if trim:
        _cut(whole, values, starts, ends, chosen[np.lexsort((ends[chosen], starts[chosen]))])
    index = torch.from_numpy(np.sort(chosen))
    return index.to(scores.device), torch.from_numpy(whole)[index].to(spans)


def fill_gaps(
    spans: Float[Tensor, "n 2"],
    scores: Float[Tensor, " n"],
    labels: Int64[Tensor, " n"],
    *,
    longest: float,
    blocked: bool = False,
) -> tuple[Int64[Tensor, " kept"], Float[Tensor, "kept 2"]]:
    """Merge spans of one label that overlap or are no more than ``longest`` apart.

    A merged span, the hull of its parts, has the index of the best-scored of them, of equal ones the first.
    Those that are left are more than ``longest`` apart, so that a second time changes nothing.

    Args:
        spans, scores, labels: In any order, with any overlaps.
        longest: The longest gap that is filled, at least 0, in the unit of the spans.
        blocked: A gap in which a span of another label begins is not filled.

    Returns:
        The indices of the kept spans in ascending order, and these spans, which may have grown.

    Raises:
        ValueError: ``longest`` is negative.

    >>> spans = torch.tensor([[0.0, 4.0], [5.0, 9.0], [9.0, 9.5]])
    >>> fill_gaps(spans, torch.tensor([0.5, 0.9, 0.8]), torch.tensor([0, 0, 1]), longest=1.0)
    (tensor([1, 2]), tensor([[0.0000, 9.0000],
            [9.0000, 9.5000]]))
    """
    if not longest >= 0:
        raise ValueError(f"the longest gap is {longest}; it must be at least 0")
    whole, values, kinds = to_array(spans), to_array(scores), to_array(labels)
    # Blocked, the spans of all labels follow one another in time; or else those of each on its own.
    keys = (whole[:, 1], whole[:, 0]) if blocked else (whole[:, 1], whole[:, 0], kinds)
    order = np.lexsort(keys)
    kept = _fill(whole, values, kinds, order, float(longest))
    index = torch.from_numpy(np.flatnonzero(kept))
    return index.to(scores.device), torch.from_numpy(whole)[index].to(spans)


@numba.njit(cache=True)
@no_type_check
def _cut(spans, scores, starts, ends, chosen):
    # In order of time; the better-scored one gives up less.
    for n in range(len(chosen) - 1):
        earlier, later = chosen[n], chosen[n + 1]
        if spans[earlier, 1] > spans[later, 0]:
            low = max(spans[later, 0], ends[earlier])
            high = min(spans[earlier, 1], starts[later])
            share = scores[earlier] / (scores[earlier] + scores[later])
            # An interval may be too short for a number between.
            place = min(max(low + (high - low) * share, low), high)
            spans[earlier, 1] = min(spans[earlier, 1], place)
            spans[later, 0] = max(spans[later, 0], place)


@numba.njit(cache=True)
@no_type_check
def _fill(spans, scores, labels, order, longest):
    kept = np.ones(len(spans), np.bool_)
    for n in range(1, len(order)):
        now, i = order[n - 1], order[n]
        if labels[i] != labels[now] or spans[i, 0] - spans[now, 1] > longest:
            continue
        # What has been joined lives on in the row of the better one, which stands where the run is.
        better = scores[i] > scores[now] or (scores[i] == scores[now] and i < now)
        stays, goes = (i, now) if better else (now, i)
        spans[stays, 0] = min(spans[i, 0], spans[now, 0])
        spans[stays, 1] = max(spans[i, 1], spans[now, 1])
        kept[goes] = False
        order[n] = stays
    return kept
