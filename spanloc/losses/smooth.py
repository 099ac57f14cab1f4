"""GIoU with its kink rounded off: zero loss *and* zero gradient at the match."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.ops import length

Phi = Literal["pseudo_huber", "log_cosh", "huber"]


def smooth_giou_loss(
    pred: Float[Tensor, "*n 2"],
    target: Float[Tensor, "*n 2"],
    *,
    smoothing: float = 0.3,
    phi: Phi = "pseudo_huber",
    eps: float = 1e-6,
) -> Float[Tensor, "*n"]:
    """GIoU loss with ``|x|`` of the end errors replaced by a smooth ``phi(x)``, in ``[0, 2)``.

    Zero only at the match, with zero gradient there, the same at every scale, and it tends to
    :func:`giou_loss` as ``smoothing`` goes to 0. Near the match the loss is about
    ``(start error^2 + end error^2) / (2 smoothing length^2)`` for pseudo-Huber and Huber, half that
    for log-cosh.

    Args:
        pred, target: Spans in one unit. Reversed predictions are not checked; they cost more.
        smoothing: Scale of the rounding as a fraction of the target's length, in ``(0, 0.7]``: above
            that the loss of a reversed prediction may lose its denominator.
        phi: ``sqrt(x^2 + c^2) - c``, ``2 c ln cosh(x / 2 c)`` or Huber's, with ``c`` the scale.
        eps: Floor of the target's length and of twice the hull, in the unit of the spans.

    Raises:
        ValueError: ``smoothing`` or ``phi`` is out of range.

    >>> smooth_giou_loss(torch.tensor([[3.0, 10.0]]), torch.tensor([[0.0, 10.0]]), smoothing=0.4)
    tensor([0.1111])
    """
    if not 0 < smoothing <= 0.7:
        raise ValueError(f"smoothing is {smoothing}; it must lie in (0, 0.7]")
    if phi not in _PHI:
        raise ValueError(f"phi is {phi!r}; it may be one of {', '.join(_PHI)}")
    scale = smoothing * length(target).clamp(min=eps)
    error = _PHI[phi](pred - target, scale.unsqueeze(-1)).sum(-1)
    return 2 * error / (length(pred) + length(target) + error).clamp(min=eps)


def _pseudo_huber(x: Tensor, scale: Tensor) -> Tensor:
    # Not sqrt(...) - scale: in float32 that difference is 0 from x = 3e-4 scale on.
    return x.square() / ((x.square() + scale.square()).sqrt() + scale)


def _log_cosh(x: Tensor, scale: Tensor) -> Tensor:
    # ln cosh u = ln(1 + sinh^2 u) / 2 is exact near 0 and overflows far out; the other form is the
    # reverse. The first is clamped, so that its unused branch has no infinite gradient.
    u = (x / (2 * scale)).abs()
    near = torch.log1p(torch.sinh(u.clamp(max=1)).square()) / 2
    far = u + torch.log1p(torch.exp(-2 * u)) - math.log(2)
    return 2 * scale * torch.where(u < 1, near, far)


def _huber(x: Tensor, scale: Tensor) -> Tensor:
    size = x.abs()
    return torch.where(size < scale, x.square() / (2 * scale), size - scale / 2)


_PHI = {"pseudo_huber": _pseudo_huber, "log_cosh": _log_cosh, "huber": _huber}
