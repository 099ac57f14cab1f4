"""Smooth losses of the overlap, without a kink: zero loss *and* zero gradient at the match.

On a line every kink of the overlap is one of ``|x|`` in an end's error. With a smooth ``phi(x)`` in
its place, zero at 0 as its slope is, the sharp loss becomes the smooth one.
"""

from typing import Literal

from torch import Tensor

from spanloc.losses.pair import Pair, Spans, Values, compare, hull, overlap_loss, shift
from spanloc.losses.properties import Properties
from spanloc.losses.scalar import at_most_one, huber, pseudo_huber

Phi = Literal["pseudo_huber", "huber"]

_PHI = {"pseudo_huber": pseudo_huber, "huber": huber}


@Properties(
    "spanloc; pseudo-Huber: Charbonnier et al. 1997, doi:10.1109/83.551699",
    upper=1, slope=0, steepest=1.642, apart=False,
)  # fmt: skip
def smooth_iou_loss(
    pred: Spans,
    target: Spans,
    *,
    smoothing: float = 0.3,
    phi: Phi = "pseudo_huber",
    eps: float = 1e-6,
) -> Values:
    """:func:`smooth_giou_loss` cut off at 1: in ``[0, 1]``, and flat beyond.

    It tends to :func:`~spanloc.losses.iou_loss` as ``smoothing`` goes to 0, and reaches a little
    beyond where the spans part.

    Args:
        pred, target, smoothing, phi, eps: As in :func:`smooth_giou_loss`.

    Raises:
        ValueError: ``smoothing`` or ``phi`` is out of range.

    >>> import torch
    >>> smooth_iou_loss(torch.tensor([[3.0, 10.0]]), torch.tensor([[0.0, 10.0]]), smoothing=0.4)
    tensor([0.1111])
    """
    return at_most_one(smooth_giou_loss(pred, target, smoothing=smoothing, phi=phi, eps=eps))


@Properties(
    "spanloc; pseudo-Huber: Charbonnier et al. 1997, doi:10.1109/83.551699",
    upper=2, slope=0, steepest=1.642,
)  # fmt: skip
def smooth_giou_loss(
    pred: Spans,
    target: Spans,
    *,
    smoothing: float = 0.3,
    phi: Phi = "pseudo_huber",
    eps: float = 1e-6,
) -> Values:
    """GIoU loss with ``|x|`` of the end errors replaced by a smooth ``phi(x)``, in ``[0, 2)``.

    Zero only at the match, with zero gradient there, the same at every scale, and it tends to
    :func:`~spanloc.losses.giou_loss` as ``smoothing`` goes to 0. Near the match the loss is about
    ``(start error^2 + end error^2) / (2 smoothing length^2)`` for pseudo-Huber and Huber, half that
    for log-cosh.

    Args:
        pred, target: Spans in one unit. A reversed prediction counts as empty.
        smoothing: Scale of the rounding as a fraction of the target's length, in ``(0, 0.7]``.
        phi: ``sqrt(x^2 + c^2) - c``, ``2 c ln cosh(x / 2 c)`` or Huber's, with ``c`` the scale.
        eps: As in :func:`~spanloc.losses.iou_loss`.

    Raises:
        ValueError: ``smoothing`` or ``phi`` is out of range.

    >>> import torch
    >>> smooth_giou_loss(torch.tensor([[3.0, 10.0]]), torch.tensor([[0.0, 10.0]]), smoothing=0.4)
    tensor([0.1111])
    """
    pair = compare(pred, target, eps)
    return overlap_loss(pair, _smooth_error(pair, smoothing, phi))


@Properties(
    "spanloc; pseudo-Huber: Charbonnier et al. 1997, doi:10.1109/83.551699",
    upper=2, slope=0, steepest=1.805, names=("smooth CIoU",),
)  # fmt: skip
def smooth_diou_loss(
    pred: Spans,
    target: Spans,
    *,
    smoothing: float = 0.3,
    phi: Phi = "pseudo_huber",
    eps: float = 1e-6,
) -> Values:
    """:func:`smooth_iou_loss` plus the squared distance of the centres over the squared hull.

    In ``[0, 2)`` up to the default ``smoothing``; with more, up to 2.6. The hull is rounded as the
    overlap is. It tends to
    :func:`~spanloc.losses.diou_loss` as ``smoothing`` goes to 0.

    Args:
        pred, target, smoothing, phi, eps: As in :func:`smooth_giou_loss`.

    Raises:
        ValueError: ``smoothing`` or ``phi`` is out of range.

    >>> import torch
    >>> smooth_diou_loss(torch.tensor([[3.0, 10.0]]), torch.tensor([[0.0, 10.0]]), smoothing=0.4)
    tensor([0.1389])
    """
    pair = compare(pred, target, eps)
    error = _smooth_error(pair, smoothing, phi)
    length = hull(pair, error)
    return at_most_one(error / length) + (shift(pair) / length).square()


def _smooth_error(pair: Pair, smoothing: float, phi: Phi) -> Tensor:
    if not 0 < smoothing <= 0.7:
        raise ValueError(f"smoothing is {smoothing}; it must lie in (0, 0.7]")
    if phi not in _PHI:
        raise ValueError(f"phi is {phi!r}; it may be one of {', '.join(_PHI)}")
    scale = smoothing * pair.wanted
    return _PHI[phi](pair.start, scale) + _PHI[phi](pair.end, scale)
