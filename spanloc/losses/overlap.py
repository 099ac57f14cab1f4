"""Losses of the overlap of paired spans alone."""

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.losses.options import above_zero, between_0_and_1
from spanloc.losses.pair import compare, drawn, end_errors, overlap_loss, scaled
from spanloc.losses.properties import Properties, states
from spanloc.losses.scalar import at_most_one, log1p


@states(
    Properties(
        "Yu et al. 2016, arXiv:1608.01471, for intervals",
        upper=1, slope=1, steepest=2**0.5, apart=False, names=("Jaccard",),
    )
)  # fmt: skip
def iou_loss(
    pred: Float[Tensor, "*n 2"], target: Float[Tensor, "*n 2"], *, eps: float = 1e-6
) -> Float[Tensor, "*n"]:
    """``1 - IoU`` of paired spans, in ``[0, 1]``; flat, without a gradient, where they are disjoint.

    Sharp at the match: in each end the slope jumps from ``-1/length`` to ``+1/length``. Exactly at
    the match the gradient given is 0, the middle of the two. Spans that just touch get the gradient
    of the overlapping side, which pulls them together.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs 1.
        eps: A target shorter than that, in the unit of the spans, counts as that long. Keep it well
            below the shortest.

    >>> iou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.6667, 1.0000])
    """
    return at_most_one(giou_loss(pred, target, eps=eps))


@states(
    Properties(
        "Yu et al. 2016, arXiv:1608.01471 (UnitBox), for intervals",
        upper=7.908, slope=1, steepest=1000 * 2**0.5, apart=False, names=("UnitBox",),
    )
)  # fmt: skip
def log_iou_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    floor: float = 1e-3,
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
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


@states(
    Properties(
        "He et al. 2021, arXiv:2110.13675",
        upper=1, slope=3, steepest=3 * 2**0.5, apart=False, touching=False,
    )
)  # fmt: skip
def alpha_iou_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    alpha: float = 3.0,
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
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


@states(
    Properties(
        "Rezatofighi et al. 2019, arXiv:1902.09630, Algorithm 1, for intervals",
        upper=2, slope=1, steepest=2**0.5,
    )
)  # fmt: skip
def giou_loss(
    pred: Float[Tensor, "*n 2"], target: Float[Tensor, "*n 2"], *, eps: float = 1e-6
) -> Float[Tensor, "*n"]:
    """``1 - GIoU`` of paired spans, in ``[0, 2)``: :func:`iou_loss` until they part, then it grows.

    Sharp at the match, as :func:`iou_loss` is. It keeps full precision down to a loss of zero. For
    disjoint spans the near end is pulled in and the far end is pushed *out*: the hull counts.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs at least 1, and each of
            its ends is pulled to where it belongs.
        eps: A target shorter than that, in the unit of the spans, counts as that long. Keep it well
            below the shortest.

    >>> giou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.6667, 1.5000])
    """
    pair = compare(pred, target, eps)
    return overlap_loss(pair, end_errors(pair))


@states(
    Properties(
        "Zhang et al. 2023, arXiv:2311.02877",
        upper=1, slope=4 / 3, steepest=4 / 3 * 2**0.5, apart=False, touching=False,
    )
)  # fmt: skip
def inner_iou_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    ratio: float = 0.75,
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
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
    inner = scaled(compare(pred, target, eps), ratio)
    return at_most_one(overlap_loss(inner, end_errors(inner)))


@states(
    Properties(
        "Liu and Watanabe 2025, arXiv:2507.12420",
        upper=2, slope=1.02, steepest=1.02 * 2**0.5,
    )
)  # fmt: skip
def interp_iou_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    alpha: float = 0.98,
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
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
    between = drawn(pair, alpha)
    return at_most_one(overlap_loss(pair, end_errors(pair))) + at_most_one(
        overlap_loss(between, end_errors(between))
    )
