"""Losses of the ends, or of centre and length, as fractions of the target's length."""

import math

import torch

from spanloc.losses.pair import (
    Spans,
    Values,
    above_zero,
    between_0_and_1,
    compare,
    end_errors,
    growth,
    shift,
)
from spanloc.losses.properties import Properties
from spanloc.losses.scalar import huber, log1p, norm


@Properties(
    "Carion et al. 2020 (DETR), arXiv:2005.12872, on start and end",
    upper=math.inf, slope=1, steepest=2**0.5, names=("MAE",),
)  # fmt: skip
def l1_loss(pred: Spans, target: Spans, *, eps: float = 1e-6) -> Values:
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


@Properties(
    "Girshick 2015, arXiv:1504.08083, equation 3; beta as in torch's SmoothL1Loss",
    upper=math.inf, slope=0, steepest=2**0.5,
)  # fmt: skip
def smooth_l1_loss(pred: Spans, target: Spans, *, beta: float = 0.1, eps: float = 1e-6) -> Values:
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


@Properties(
    "Wang et al. 2021, arXiv:2110.13389, for intervals",
    upper=1, slope=0.5**0.5, steepest=0.5**0.5, names=("NWD",),
)  # fmt: skip
def wasserstein_loss(pred: Spans, target: Spans, *, eps: float = 1e-6) -> Values:
    """``1 - exp(-distance / length)`` of the Wasserstein distance of both Gaussians, in ``[0, 1)``.

    A span counts as a Gaussian, with its middle for the mean and half its length for sigma. On a
    line the squared distance is the mean of both squared end errors, so this is the Euclidean
    error of the ends. The target's length stands for the mean size of objects in the source. Sharp
    at the match, as a cone is: smooth where one end is right and the other is not. Exactly at the
    match the gradient given is 0. Far away it pulls, but ever less.

    Args:
        pred, target, eps: As in :func:`l1_loss`.

    >>> wasserstein_loss(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 2.0]]))
    tensor([0.3935])
    """
    pair = compare(pred, target, eps)
    distance = norm(pair.start / pair.wanted, pair.end / pair.wanted) / 2**0.5
    return -torch.expm1(-distance)


@Properties(
    "Girshick et al. 2014, arXiv:1311.2524, appendix C, for intervals",
    upper=math.inf, slope=0, steepest=1000 * 2**0.5, names=("R-CNN's encoding",),
)  # fmt: skip
def center_length_loss(
    pred: Spans, target: Spans, *, beta: float = 0.1, floor: float = 1e-3, eps: float = 1e-6
) -> Values:
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
