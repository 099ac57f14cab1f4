"""Losses of the ends, or of centre and length, as fractions of the target's length."""

import math

import torch
from torch import Tensor

from spanloc.losses.pair import Spans, Values, above_zero, between_0_and_1, compare, growth, shift
from spanloc.losses.properties import Properties
from spanloc.losses.scalar import at_least, huber, log1p_gap


@Properties(
    "Pang et al. 2019, arXiv:1904.02701",
    upper=math.inf, slope=0, steepest=1.5 * 2**0.5, names=("Libra",),
)  # fmt: skip
def balanced_l1_loss(
    pred: Spans,
    target: Spans,
    *,
    beta: float = 0.1,
    alpha: float = 0.5,
    gamma: float = 1.5,
    eps: float = 1e-6,
) -> Values:
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


@Properties(
    "Tychsen-Smith and Petersson 2018, arXiv:1711.00164",
    upper=1.8, slope=0, steepest=2.693, apart=False, touching=False,
)  # fmt: skip
def bounded_iou_loss(pred: Spans, target: Spans, *, beta: float = 0.2, eps: float = 1e-6) -> Values:
    """Smooth L1 of 1 minus the highest possible IoU: with this centre, and with this length, summed.

    In ``[0, 2 - beta)``. Smooth at the match. Where the centres are more than half a length apart,
    the length alone has a gradient, so disjoint spans are not pulled together.

    Args:
        pred, target: Spans in one unit. A reversed prediction costs more.
        beta: Loss, above 0, at which the parabola goes over into a line of slope 1.
        eps: As in :func:`l1_loss`.

    Raises:
        ValueError: ``beta`` is not above 0.

    >>> bounded_iou_loss(torch.tensor([[1.0, 11.0], [0.0, 5.0]]), torch.tensor([[0.0, 10.0]] * 2))
    tensor([0.2333, 0.9667])
    """
    above_zero("beta", beta)
    pair = compare(pred, target, eps)
    apart, longer = 2 * shift(pair) / pair.wanted, growth(pair) / pair.wanted
    # With their signs, which the parabola drops.
    center = torch.where(apart.abs() > 1, 1.0, 2 * apart / (1 + apart.abs()))
    size = longer / (1 + at_least(longer, 0.0))
    return huber(center, beta) + huber(size, beta)


@Properties(
    "Yang et al. 2021, arXiv:2106.01883, for intervals, with tau 1",
    upper=1, slope=0, steepest=21.18, names=("KLD",),
)  # fmt: skip
def kl_loss(pred: Spans, target: Spans, *, floor: float = 1e-3, eps: float = 1e-6) -> Values:
    """``1 - 1 / (1 + ln(1 + KL))`` of the prediction's Gaussian from the target's, in ``[0, 1)``.

    The Gaussians are those of :func:`wasserstein_loss`. Smooth at the match. The shorter a
    prediction the steeper it is: where the ratio of the lengths is below ``floor``, its logarithm
    goes on as the tangent, through empty and reversed spans.

    Args:
        pred, target, eps: As in :func:`wasserstein_loss`.
        floor: Ratio of the lengths, in ``(0, 1)``, below which the logarithm is replaced.

    Raises:
        ValueError: ``floor`` is out of range.

    >>> kl_loss(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 2.0]]))
    tensor([0.2885])
    """
    between_0_and_1("floor", floor)
    pair = compare(pred, target, eps)
    longer = growth(pair) / pair.wanted
    divergence = (
        log1p_gap(longer, floor) + longer.square() / 2 + 2 * (shift(pair) / pair.wanted).square()
    )
    bounded = torch.log1p(divergence)
    return bounded / (1 + bounded)
