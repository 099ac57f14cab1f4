"""The gradient of a span loss at given predictions, relative to the spans' length."""

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.losses import SpanLoss
from spanloc.ops import length


def relative_gradient(
    span_loss: SpanLoss,
    pred: Float[Tensor, "n 2"],
    target: Float[Tensor, "n 2"],
) -> Float[Tensor, " n"]:
    """Norm over start and end of the target's length times the gradient, one for each pair.

    It has no unit and does not depend on the length: near the match it is ``sqrt(2)`` for a sharp
    loss, however small the loss, and falls with the loss for a smooth one.

    Args:
        span_loss: Unreduced, of pairs.
        pred, target: In one unit.

    >>> from spanloc.losses import giou_loss
    >>> target = torch.tensor([[0.0, 10.0]])
    >>> relative_gradient(giou_loss, target + torch.tensor([[-1e-3, 1e-3]]), target)
    tensor([1.4136])
    """
    pred = pred.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(span_loss(pred, target).sum(), pred)
    return length(target) * gradient.norm(dim=-1)
