"""Losses of spans taken for Gaussians, with the middle for the mean and half the length for sigma."""

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.losses.options import between_0_and_1
from spanloc.losses.pair import compare, growth, shift
from spanloc.losses.properties import Properties, states
from spanloc.losses.scalar import log1p_gap, norm


@states(
    Properties(
        "Wang et al. 2021, arXiv:2110.13389, for intervals",
        upper=1, slope=0.5**0.5, steepest=0.5**0.5, names=("NWD",),
    )
)  # fmt: skip
def wasserstein_loss(
    pred: Float[Tensor, "*n 2"], target: Float[Tensor, "*n 2"], *, eps: float = 1e-6
) -> Float[Tensor, "*n"]:
    """``1 - exp(-distance / length)`` of the Wasserstein distance of both Gaussians, in ``[0, 1)``.

    On a line the squared distance is the mean of both squared end errors, so this is the Euclidean
    error of the ends. The target's length stands for the mean size of objects in the source. Sharp
    at the match, as a cone is: smooth where one end is right and the other is not. Exactly at the
    match the gradient given is 0. Far away it pulls, but ever less.

    Args:
        pred, target: Spans in one unit.
        eps: A target shorter than that, in the unit of the spans, counts as that long. Keep it well
            below the shortest.

    >>> wasserstein_loss(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 2.0]]))
    tensor([0.3935])
    """
    pair = compare(pred, target, eps)
    distance = norm(pair.start / pair.wanted, pair.end / pair.wanted) / 2**0.5
    return -torch.expm1(-distance)


@states(
    Properties(
        "Yang et al. 2021, arXiv:2106.01883, for intervals, with tau 1",
        upper=1, slope=0, steepest=21.18, names=("KLD",),
    )
)  # fmt: skip
def kl_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    floor: float = 1e-3,
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
    """``1 - 1 / (1 + ln(1 + KL))`` of the prediction's Gaussian from the target's, in ``[0, 1)``.

    Smooth at the match. The shorter a prediction the steeper it is: where the ratio of the lengths
    is below ``floor``, its logarithm goes on as the tangent, through empty and reversed spans.

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
