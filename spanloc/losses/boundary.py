"""Losses of the start and end errors themselves."""

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.ops import length


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
        pred, target: Spans in one unit.
        beta: Relative error, above 0, at which the parabola goes over into a line of slope 1.
        eps: Floor of the target's length, in the unit of the spans.

    Raises:
        ValueError: ``beta`` is not above 0.

    Source:
        Girshick 2015, arXiv:1504.08083, equation 3; ``beta`` as in torch's ``SmoothL1Loss``.

    >>> smooth_l1_loss(torch.tensor([[3.0, 10.5]]), torch.tensor([[0.0, 10.0]]))
    tensor([0.2625])
    """
    if beta <= 0:
        raise ValueError(f"beta is {beta}; it must be above 0")
    scale = length(target).clamp(min=eps).unsqueeze(-1)
    error = ((pred - target) / scale).abs()
    return torch.where(error < beta, error.square() / (2 * beta), error - beta / 2).sum(-1)
