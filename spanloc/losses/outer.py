"""Losses of a loss: what happens near the match is that of the outer function."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.losses.overlap import giou_loss


def huber_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = giou_loss,
    delta: float = 0.3,
) -> Float[Tensor, "*n"]:
    """Huber's function of another span loss: ``loss^2 / (2 delta)`` up to ``delta``, then a line.

    Its gradient vanishes at the match, but only there: where one end is right and the other is
    wrong, the kink of a sharp loss in the right end stays, scaled by the loss.

    Args:
        pred, target: Spans in one unit.
        loss: Unreduced, at least 0.
        delta: Value of the loss, above 0, at which the parabola goes over into a line of slope 1.

    Raises:
        ValueError: ``delta`` is not above 0.

    >>> huber_loss(torch.tensor([[0.0, 9.0], [0.0, 5.0]]), torch.tensor([[0.0, 10.0]]).expand(2, 2))
    tensor([0.0167, 0.3500])
    """
    if delta <= 0:
        raise ValueError(f"delta is {delta}; it must be above 0")
    value = loss(pred, target)
    return torch.where(value < delta, value.square() / (2 * delta), value - delta / 2)
