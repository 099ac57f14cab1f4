"""Losses of the overlap and of a penalty: how far the centres are apart, how much lengths differ.

In fractions of the hull, with ``d`` between the centres and ``g`` between the lengths, DIoU adds
``d^2``, EIoU ``d^2 + g^2``, and the squared end errors of MPDIoU are ``2 d^2 + g^2 / 2``.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.losses.options import above_zero
from spanloc.losses.pair import compare, end_errors, growth, hull, shift
from spanloc.losses.properties import Properties, states
from spanloc.losses.scalar import at_most_one


@states(
    Properties(
        "Zheng et al. 2020, arXiv:1911.08287, for intervals",
        upper=2, slope=1, steepest=2.5**0.5, names=("CIoU",),
    )
)  # fmt: skip
def diou_loss(
    pred: Float[Tensor, "*n 2"], target: Float[Tensor, "*n 2"], *, eps: float = 1e-6
) -> Float[Tensor, "*n"]:
    """:func:`iou_loss` plus the squared distance of the centres over the squared hull, in ``[0, 2)``.

    Sharp at the match: the added term is smooth there. Where spans are disjoint, on a line, it is
    ``1 + GIoU's loss^2 / 4``: they are pulled together as by :func:`~spanloc.losses.giou_loss`, the
    far end outward too. There is no aspect ratio on a line, so this is CIoU too.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs at least 1.
        eps: A target shorter than that, in the unit of the spans, counts as that long. Keep it well
            below the shortest.

    >>> diou_loss(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([0.7778, 1.5625])
    """
    pair = compare(pred, target, eps)
    error = end_errors(pair)
    length = hull(pair, error)
    return at_most_one(error / length) + (shift(pair) / length).square()


@states(
    Properties(
        "Zhang et al. 2021, arXiv:2101.08158, for intervals",
        upper=2.25, slope=1, steepest=28.25**0.5, apart=False,
    )
)  # fmt: skip
def eiou_loss(
    pred: Float[Tensor, "*n 2"], target: Float[Tensor, "*n 2"], *, eps: float = 1e-6
) -> Float[Tensor, "*n"]:
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


@states(
    Properties(
        "Ma and Xu 2023, arXiv:2307.07662, for intervals",
        upper=3, slope=1, steepest=13**0.5,
    )
)  # fmt: skip
def mpdiou_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    extent: float | None = None,
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
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


@states(
    Properties(
        "Tong et al. 2023, arXiv:2301.10051",
        upper=math.e, slope=1, steepest=2.031, exact=False, names=("Wise-IoU v1", "WIoU"),
    )
)  # fmt: skip
def wise_iou_loss(
    pred: Float[Tensor, "*n 2"], target: Float[Tensor, "*n 2"], *, eps: float = 1e-6
) -> Float[Tensor, "*n"]:
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
