"""Functions of one number that the losses are built of, and their slopes where they have a kink.

Every choice at a tie is written out, with ``where`` or ``threshold`` (``x`` where it is *above* a
threshold, else a value): what ``clamp``, ``minimum`` and ``maximum`` do there has changed between
versions of torch, and may again.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def at_least(x: Tensor, floor: float) -> Tensor:
    """``max(x, floor)``; slope 0 at ``floor`` itself."""
    return F.threshold(x, floor, floor)


def not_negative(x: Tensor) -> Tensor:
    """``max(x, 0)``; slope 1 at 0 itself."""
    # Just below 0, so that 0 itself is kept, and a normal number: smaller ones may count as 0.
    return F.threshold(x, -2e-38, 0.0)


def at_most_one(x: Tensor) -> Tensor:
    """``min(x, 1)`` of ``x`` up to 2; slope 1 at 1 itself, so that spans that just touch are pulled.

    In that range both differences are exact. The slope of relu at 0 is 0 in every version of torch.
    """
    return x - torch.relu(x - 1)


def log1p(x: Tensor, floor: float = 1e-3) -> Tensor:
    """``ln(1 + x)``; where ``1 + x`` is below ``floor``, its tangent there, which stays finite."""
    inside = at_least(x, floor - 1)
    return torch.log1p(inside) + (x - inside) / floor


def log1p_gap(x: Tensor, floor: float = 1e-3) -> Tensor:
    """``x - log1p(x)``, at least 0, and about ``x^2 / 2`` near 0, where the difference has no digits."""
    near = x.abs() < 1e-2
    y = torch.where(near, x, 0.0)
    series = 1 / 2 + y * (-1 / 3 + y * (1 / 4 + y * (-1 / 5 + y * (1 / 6 - y / 7))))
    return torch.where(near, y * y * series, x - log1p(x, floor))


def norm(x: Tensor, y: Tensor) -> Tensor:
    """``sqrt(x^2 + y^2)``; slope 0 where both are 0, where the formula's is 0/0."""
    zero = (x == 0) & (y == 0)
    return torch.where(zero, 0.0, torch.hypot(torch.where(zero, 1.0, x), y))


def huber(x: Tensor, scale: Tensor | float) -> Tensor:
    """``x^2 / (2 scale)`` up to ``scale``, then a line of slope 1."""
    size = x.abs()
    return torch.where(size < scale, x.square() / (2 * scale), size - scale / 2)


def pseudo_huber(x: Tensor, scale: Tensor) -> Tensor:
    """``sqrt(x^2 + scale^2) - scale``."""
    # Not the difference itself: in float32 it is 0 up to x = 3e-4 scale.
    return x.square() / ((x.square() + scale.square()).sqrt() + scale)
