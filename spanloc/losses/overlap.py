"""Losses of the overlap of paired spans; DIoU adds the distance of the centres."""

from spanloc.losses.pair import Spans, Values, compare, end_errors, hull, overlap_loss, shift
from spanloc.losses.properties import Properties
from spanloc.losses.scalar import at_most_one


@Properties(
    "Yu et al. 2016, arXiv:1608.01471, for intervals",
    upper=1, slope=1, steepest=2**0.5, apart=False, names=("Jaccard",),
)  # fmt: skip
def iou_loss(pred: Spans, target: Spans, *, eps: float = 1e-6) -> Values:
    """``1 - IoU`` of paired spans, in ``[0, 1]``; flat, without a gradient, where they are disjoint.

    Sharp at the match: in each end the slope jumps from ``-1/length`` to ``+1/length``. Exactly at
    the match the gradient given is 0, the middle of the two. Spans that just touch get the gradient
    of the overlapping side, which pulls them together.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs 1.
        eps: A target shorter than that, in the unit of the spans, counts as that long. Keep it well
            below the shortest.

    >>> import torch
    >>> iou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.6667, 1.0000])
    """
    return at_most_one(giou_loss(pred, target, eps=eps))


@Properties(
    "Rezatofighi et al. 2019, arXiv:1902.09630, Algorithm 1, for intervals",
    upper=2, slope=1, steepest=2**0.5,
)  # fmt: skip
def giou_loss(pred: Spans, target: Spans, *, eps: float = 1e-6) -> Values:
    """``1 - GIoU`` of paired spans, in ``[0, 2)``: :func:`iou_loss` plus a term for the gap between them.

    Sharp at the match, as :func:`iou_loss` is. It keeps full precision down to a loss of zero. For
    disjoint spans the near end is pulled in and the far end is pushed *out*: the hull counts.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs at least 1, and each of
            its ends is pulled to where it belongs.
        eps: As in :func:`iou_loss`.

    >>> import torch
    >>> giou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.6667, 1.5000])
    """
    pair = compare(pred, target, eps)
    return overlap_loss(pair, end_errors(pair))


@Properties(
    "Zheng et al. 2020, arXiv:1911.08287, for intervals",
    upper=2, slope=1, steepest=2.5**0.5, names=("CIoU",),
)  # fmt: skip
def diou_loss(pred: Spans, target: Spans, *, eps: float = 1e-6) -> Values:
    """:func:`iou_loss` plus the squared distance of the centres over the squared hull, in ``[0, 2)``.

    Sharp at the match: the added term is smooth there. Where spans are disjoint, on a line, it is
    ``1 + GIoU's loss^2 / 4``: they are pulled together as by :func:`~spanloc.losses.giou_loss`, the
    far end outward too. There is no aspect ratio on a line, so this is CIoU too.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs at least 1.
        eps: As in :func:`iou_loss`.

    >>> import torch
    >>> diou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.7778, 1.5625])
    """
    pair = compare(pred, target, eps)
    error = end_errors(pair)
    length = hull(pair, error)
    return at_most_one(error / length) + (shift(pair) / length).square()
