"""Losses of the overlap: transformed, taken of changed spans, or with a penalty.

In fractions of the hull, with ``d`` between the centres and ``g`` between the lengths, DIoU adds
``d^2``, EIoU ``d^2 + g^2``, and the squared end errors of MPDIoU are ``2 d^2 + g^2 / 2``.
"""

import math

import torch

from spanloc.losses.overlap import iou_loss
from spanloc.losses.pair import (
    Pair,
    Spans,
    Values,
    above_zero,
    between_0_and_1,
    compare,
    end_errors,
    growth,
    hull,
    overlap_loss,
    shift,
)
from spanloc.losses.properties import Properties
from spanloc.losses.scalar import at_most_one, log1p


@Properties(
    "Yu et al. 2016, arXiv:1608.01471 (UnitBox), for intervals",
    upper=7.908, slope=1, steepest=1000 * 2**0.5, apart=False, names=("UnitBox",),
)  # fmt: skip
def log_iou_loss(pred: Spans, target: Spans, *, floor: float = 1e-3, eps: float = 1e-6) -> Values:
    """``-ln IoU`` of paired spans, in ``[0, 1 - ln floor]``; flat where they are disjoint.

    The less two spans overlap the steeper it is: where the IoU is below ``floor``, the logarithm
    goes on as its tangent, so that no slope is above ``1 / (floor * length)``. Sharp at the match.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs as much as a disjoint one.
        floor: IoU, in ``(0, 1)``, below which the logarithm is replaced.
        eps: As in :func:`iou_loss`.

    Raises:
        ValueError: ``floor`` is out of range.

    >>> log_iou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([1.0986, 7.9078])
    """
    between_0_and_1("floor", floor)
    return -log1p(-iou_loss(pred, target, eps=eps), floor)


@Properties(
    "He et al. 2021, arXiv:2110.13675",
    upper=1, slope=3, steepest=3 * 2**0.5, apart=False, touching=False,
)  # fmt: skip
def alpha_iou_loss(pred: Spans, target: Spans, *, alpha: float = 3.0, eps: float = 1e-6) -> Values:
    """``1 - IoU^alpha`` of paired spans, in ``[0, 1]``; flat where they are disjoint.

    Above 1, ``alpha`` counts predictions that are already good for more: the slope at the match,
    where it is sharp, is ``alpha / length``. It falls to 0 where the spans begin to part.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs 1.
        alpha: Above 0. Below 1 the loss is ever steeper towards where the spans part.
        eps: As in :func:`iou_loss`.

    Raises:
        ValueError: ``alpha`` is not above 0.

    >>> alpha_iou_loss(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 3.0]]))
    tensor([0.9630])
    """
    above_zero("alpha", alpha)
    loss = iou_loss(pred, target, eps=eps)
    # 1 - (1 - loss)^alpha has no digits near the match; what it has instead is infinite at 1.
    apart = loss >= 1
    power = -torch.expm1(alpha * torch.log1p(-torch.where(apart, 0.0, loss)))
    return torch.where(apart, 1.0, power)


@Properties(
    "Zhang et al. 2023, arXiv:2311.02877",
    upper=1, slope=4 / 3, steepest=4 / 3 * 2**0.5, apart=False, touching=False,
)  # fmt: skip
def inner_iou_loss(pred: Spans, target: Spans, *, ratio: float = 0.75, eps: float = 1e-6) -> Values:
    """:func:`iou_loss` of both spans made ``ratio`` times as long about their centres, in ``[0, 1]``.

    Below 1 it is steeper at the match (``1 / (ratio * length)``), where it is sharp, and flat before
    the spans part; above 1 it reaches further out than they do.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs 1.
        ratio: Above 0; the source takes 0.5 to 1.5.
        eps: As in :func:`iou_loss`.

    Raises:
        ValueError: ``ratio`` is not above 0.

    >>> inner_iou_loss(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 3.0]]))
    tensor([0.8000])
    """
    above_zero("ratio", ratio)
    inner = _scaled(compare(pred, target, eps), ratio)
    return at_most_one(overlap_loss(inner, end_errors(inner)))


@Properties(
    "Liu and Watanabe 2025, arXiv:2507.12420",
    upper=2, slope=1.02, steepest=1.02 * 2**0.5,
)  # fmt: skip
def interp_iou_loss(
    pred: Spans, target: Spans, *, alpha: float = 0.98, eps: float = 1e-6
) -> Values:
    """:func:`iou_loss` of the prediction, plus that of a span ``alpha`` of the way to the target.

    In ``[0, 2]``. The second overlaps the target long after the first has ceased to, and pulls
    both ends in, but weakly: by ``1 - alpha``. It is flat in its turn where the gap is about
    ``1 / (1 - alpha)`` lengths. Sharp at the match.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs at least 1.
        alpha: In ``[0, 1)``: 0 is twice the IoU loss.
        eps: As in :func:`iou_loss`.

    Raises:
        ValueError: ``alpha`` is out of range.

    >>> interp_iou_loss(torch.tensor([[0.0, 2.0]]), torch.tensor([[3.0, 5.0]]), alpha=0.8)
    tensor([1.4615])
    """
    if not 0 <= alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie in [0, 1)")
    pair = compare(pred, target, eps)
    between = _drawn(pair, alpha)
    return at_most_one(overlap_loss(pair, end_errors(pair))) + at_most_one(
        overlap_loss(between, end_errors(between))
    )


@Properties(
    "Zhang et al. 2021, arXiv:2101.08158, for intervals",
    upper=2.25, slope=1, steepest=28.25**0.5, apart=False,
)  # fmt: skip
def eiou_loss(pred: Spans, target: Spans, *, eps: float = 1e-6) -> Values:
    """:func:`diou_loss` plus the squared difference of the lengths over the squared hull.

    In ``[0, 2.25]``. Sharp at the match. Disjoint spans are pulled together only where their lengths
    differ by less than threefold: beyond that the penalty falls faster with a longer hull, and a
    prediction close by is pushed *away*.

    Args:
        pred, target, eps: As in :func:`diou_loss`.

    >>> eiou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [2.0, 4.0]]))
    tensor([0.7778, 1.4531])
    """
    pair = compare(pred, target, eps)
    error = end_errors(pair)
    length = hull(pair, error)
    center, size = shift(pair) / length, growth(pair) / length
    return at_most_one(error / length) + center.square() + size.square()


@Properties(
    "Ma and Xu 2023, arXiv:2307.07662, for intervals",
    upper=3, slope=1, steepest=13**0.5,
)  # fmt: skip
def mpdiou_loss(
    pred: Spans, target: Spans, *, extent: float | None = None, eps: float = 1e-6
) -> Values:
    """:func:`iou_loss` plus both squared end errors over the squared hull, in ``[0, 3)``.

    Sharp at the match. A reversed prediction may cost more.

    Args:
        pred, target, eps: As in :func:`diou_loss`.
        extent: Divides the end errors in place of the hull, in the unit of the spans. The source
            takes the size of the image: on a line, the length of the sequences. The loss then
            depends on the unit.

    Raises:
        ValueError: ``extent`` is not above 0.

    >>> mpdiou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.8889, 2.1250])
    """
    if extent is not None:
        above_zero("extent", extent)
    pair = compare(pred, target, eps)
    error = end_errors(pair)
    length = hull(pair, error)
    unit = length if extent is None else extent
    corners = (pair.start / unit).square() + (pair.end / unit).square()
    return at_most_one(error / length) + corners


@Properties(
    "Tong et al. 2023, arXiv:2301.10051",
    upper=math.e, slope=1, steepest=2.031, exact=False, names=("Wise-IoU v1", "WIoU"),
)  # fmt: skip
def wise_iou_loss(pred: Spans, target: Spans, *, eps: float = 1e-6) -> Values:
    """:func:`iou_loss` times ``exp`` of the squared distance of the centres over the squared hull.

    In ``[0, e)``. The hull in the factor gets no gradient, as in the source, so that it is not made
    longer; the gradient is therefore not the derivative of the value. Sharp at the match.

    Args:
        pred, target, eps: As in :func:`diou_loss`.

    >>> wise_iou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.7450, 1.7551])
    """
    pair = compare(pred, target, eps)
    error = end_errors(pair)
    length = hull(pair, error)
    distance = (shift(pair) / length.detach()).square()
    return torch.exp(distance) * at_most_one(error / length)


def _scaled(pair: Pair, ratio: float) -> Pair:
    """Both spans ``ratio`` times as long about their own centres."""
    center, half = shift(pair), ratio * growth(pair) / 2
    return Pair(center - half, center + half, ratio * pair.length, ratio * pair.wanted)


def _drawn(pair: Pair, alpha: float) -> Pair:
    """The prediction moved towards its target: all the way at ``alpha`` 1."""
    rest = 1 - alpha
    length = rest * pair.length + alpha * pair.wanted
    return Pair(rest * pair.start, rest * pair.end, length, pair.wanted)
