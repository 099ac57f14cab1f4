"""Losses of the ends, or of centre and length, as fractions of the target's length."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.losses.options import above_zero, between_0_and_1
from spanloc.losses.pair import compare, end_errors, growth, shift
from spanloc.losses.properties import Properties, states
from spanloc.losses.scalar import at_least, huber, log1p, log1p_gap


@states(
    Properties(
        "Carion et al. 2020 (DETR), arXiv:2005.12872, on start and end",
        upper=math.inf, slope=1, steepest=2**0.5, names=("MAE",),
    )
)  # fmt: skip
def l1_loss(
    pred: Float[Tensor, "*n 2"], target: Float[Tensor, "*n 2"], *, eps: float = 1e-6
) -> Float[Tensor, "*n"]:
    """Sum of both end errors relative to the target's length, in ``[0, inf)``; sharp at the match.

    Args:
        pred, target: Spans in one unit.
        eps: A target shorter than that, in the unit of the spans, counts as that long. Keep it well
            below the shortest.

    >>> l1_loss(torch.tensor([[3.0, 10.5]]), torch.tensor([[0.0, 10.0]]))
    tensor([0.3500])
    """
    pair = compare(pred, target, eps)
    return end_errors(pair) / pair.wanted


@states(
    Properties(
        "Girshick 2015, arXiv:1504.08083, equation 3; beta as in torch's SmoothL1Loss",
        upper=math.inf, slope=0, steepest=2**0.5,
    )
)  # fmt: skip
def smooth_l1_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    beta: float = 0.1,
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
    """Smooth-L1 of both end errors relative to the target's length, summed, in ``[0, inf)``.

    Zero only at the match and smooth there. Disjoint spans are pulled together by both ends.

    Args:
        pred, target, eps: As in :func:`l1_loss`.
        beta: Relative error, above 0, at which the parabola goes over into a line of slope 1.

    Raises:
        ValueError: ``beta`` is not above 0.

    >>> smooth_l1_loss(torch.tensor([[3.0, 10.5]]), torch.tensor([[0.0, 10.0]]))
    tensor([0.2625])
    """
    above_zero("beta", beta)
    pair = compare(pred, target, eps)
    return huber(pair.start / pair.wanted, beta) + huber(pair.end / pair.wanted, beta)


@states(
    Properties(
        "Pang et al. 2019, arXiv:1904.02701",
        upper=math.inf, slope=0, steepest=1.5 * 2**0.5, names=("Libra",),
    )
)  # fmt: skip
def balanced_l1_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    beta: float = 0.1,
    alpha: float = 0.5,
    gamma: float = 1.5,
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
    """Balanced L1 of both end errors relative to the target's length, summed, in ``[0, inf)``.

    Up to ``beta`` its slope rises as a logarithm, so that small errors count for more than under
    :func:`smooth_l1_loss`; from there on it is ``gamma``. Smooth at the match, for every ``beta``.

    Args:
        pred, target, eps: As in :func:`l1_loss`.
        beta: Relative error, above 0, at which the slope stops to rise.
        alpha: Above ``gamma / 50``; the smaller, the sooner the slope rises.
        gamma: Largest slope, above 0.

    Raises:
        ValueError: ``beta``, ``alpha`` or ``gamma`` is out of range.

    >>> balanced_l1_loss(torch.tensor([[3.0, 10.5]]), torch.tensor([[0.0, 10.0]]))
    tensor([0.4479])
    """
    for name, value in (("beta", beta), ("alpha", alpha), ("gamma", gamma)):
        above_zero(name, value)
    if gamma >= 50 * alpha:
        # exp(gamma / alpha) would leave float32.
        raise ValueError(f"alpha is {alpha}; it must be above gamma / 50 = {gamma / 50}")
    pair = compare(pred, target, eps)
    b = math.expm1(gamma / alpha)

    def balanced(error: Tensor) -> Tensor:
        # Not abs, whose slope at 0 would take the second derivative there for 0.
        size = torch.where(error < 0, -error, error) / beta
        near = size < 1
        # (y + 1) ln(y + 1) - y of the source, in terms that keep their digits near 0.
        y = b * torch.where(near, size, 0.0)
        curve = alpha / b * (y * torch.log1p(y) - log1p_gap(y))
        return beta * torch.where(near, curve, gamma * size + gamma / b - alpha)

    return balanced(pair.start / pair.wanted) + balanced(pair.end / pair.wanted)


@states(
    Properties(
        "Tychsen-Smith and Petersson 2018, arXiv:1711.00164",
        upper=1.8, slope=0, steepest=2.693, apart=False, touching=False,
    )
)  # fmt: skip
def bounded_iou_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    beta: float = 0.2,
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
    """Smooth L1 of 1 minus the best IoU that centre and length, each by itself, would allow.

    In ``[0, 2 - beta)``. Smooth at the match. Where the centres are more than half a length apart,
    the length alone has a gradient, so disjoint spans are not pulled together.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs more.
        beta: Loss, above 0, at which the parabola goes over into a line of slope 1.
        eps: A target shorter than that, in the unit of the spans, counts as that long. Keep it well
            below the shortest.

    Raises:
        ValueError: ``beta`` is not above 0.

    >>> bounded_iou_loss(torch.tensor([[1.0, 11.0], [0.0, 5.0]]), torch.tensor([[0.0, 10.0]] * 2))
    tensor([0.2333, 0.9667])
    """
    above_zero("beta", beta)
    pair = compare(pred, target, eps)
    apart, longer = 2 * shift(pair) / pair.wanted, growth(pair) / pair.wanted
    # With their signs, of which the parabola makes nothing.
    center = torch.where(apart.abs() > 1, 1.0, 2 * apart / (1 + apart.abs()))
    size = longer / (1 + at_least(longer, 0.0))
    return huber(center, beta) + huber(size, beta)


@states(
    Properties(
        "Girshick et al. 2014, arXiv:1311.2524, appendix C, for intervals",
        upper=math.inf, slope=0, steepest=1000 * 2**0.5, names=("R-CNN's encoding",),
    )
)  # fmt: skip
def center_length_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    beta: float = 0.1,
    floor: float = 1e-3,
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
    """Smooth-L1 of the centre's error over the target's length, and of the log-ratio of the lengths.

    In ``[0, inf)``. Smooth at the match. The shorter a prediction the steeper it is: where the ratio
    is below ``floor``, the logarithm goes on as its tangent, through empty and reversed spans.

    Args:
        pred, target, eps: As in :func:`l1_loss`.
        beta: Error, above 0, at which the parabola goes over into a line of slope 1.
        floor: Ratio of the lengths, in ``(0, 1)``, below which the logarithm is replaced.

    Raises:
        ValueError: ``beta`` is not above 0, or ``floor`` is out of range.

    >>> center_length_loss(torch.tensor([[2.0, 10.0]]), torch.tensor([[0.0, 10.0]]))
    tensor([0.2231])
    """
    above_zero("beta", beta)
    between_0_and_1("floor", floor)
    pair = compare(pred, target, eps)
    ratio = log1p(growth(pair) / pair.wanted, floor)
    return huber(shift(pair) / pair.wanted, beta) + huber(ratio, beta)
