"""Losses of the overlap of paired spans.

With ``error = |start error| + |end error|``, twice the signed overlap of two spans is
``length(pred) + length(target) - error`` and twice their hull is ``... + error``. GIoU is the ratio
of the two, on a line without a case for disjoint spans, and wherever the spans overlap it *is* IoU.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.ops import length


def iou_loss(
    pred: Float[Tensor, "*n 2"], target: Float[Tensor, "*n 2"], *, eps: float = 1e-6
) -> Float[Tensor, "*n"]:
    """``1 - IoU`` of paired spans, in ``[0, 1]``; flat, without a gradient, where they are disjoint.

    Sharp at the match: in each end the slope jumps from ``-1/length`` to ``+1/length``. Exactly at
    the match the gradient given is 0, the middle of the two. Spans that just touch get the gradient
    of the overlapping side, which pulls them together.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs 1.
        eps: Floor of twice the hull, in that unit. Keep it well below the shortest span.

    Source:
        Yu et al. 2016, arXiv:1608.01471, for intervals.

    >>> iou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.6667, 1.0000])
    """
    loss = giou_loss(pred, target, eps=eps)
    return torch.where(loss > 1, torch.ones_like(loss), loss)


def giou_loss(
    pred: Float[Tensor, "*n 2"], target: Float[Tensor, "*n 2"], *, eps: float = 1e-6
) -> Float[Tensor, "*n"]:
    """``1 - GIoU`` of paired spans, in ``[0, 2)``: :func:`iou_loss` until they part, then it grows.

    Sharp at the match, as :func:`iou_loss` is. It keeps full precision down to a loss of zero. For
    disjoint spans the near end is pulled in and the far end is pushed *out*: the hull counts.

    Args:
        pred, target: Spans in one unit. Reversed spans are not checked; they cost more than 1.
        eps: Floor of twice the hull, in that unit. Keep it well below the shortest span.

    Source:
        Rezatofighi et al. 2019, arXiv:1902.09630, Algorithm 1, for intervals.

    >>> giou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.6667, 1.5000])
    """
    error = (pred - target).abs().sum(-1)
    return 2 * error / (length(pred) + length(target) + error).clamp(min=eps)


def diou_loss(
    pred: Float[Tensor, "*n 2"], target: Float[Tensor, "*n 2"], *, eps: float = 1e-6
) -> Float[Tensor, "*n"]:
    """:func:`iou_loss` plus the squared distance of the centres over the squared hull, in ``[0, 2)``.

    Sharp at the match: the added term is smooth there. Disjoint spans are pulled together by it
    alone. On a line there is no aspect ratio, so this is CIoU too.

    Args:
        pred, target: Spans in one unit. Reversed spans are not checked.
        eps: Floor of twice the hull, in that unit. Keep it well below the shortest span.

    Source:
        Zheng et al. 2020, arXiv:1911.08287, for intervals.

    >>> diou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.7778, 1.5625])
    """
    error = pred - target
    distance = error.abs().sum(-1)
    hull = (length(pred) + length(target) + distance).clamp(min=eps)
    iou = 2 * distance / hull
    return torch.where(iou > 1, torch.ones_like(iou), iou) + (error.sum(-1) / hull).square()
