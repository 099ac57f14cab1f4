"""Functions of one number that losses are bent with, and their slopes where they have a kink.

Every choice at a tie is written out with ``where``: what ``clamp``, ``minimum`` and ``maximum`` do
there has changed between versions of torch, and may again.
"""

import math

import torch
from torch import Tensor


def at_least(x: Tensor, floor: float) -> Tensor:
    """``max(x, floor)``; slope 0 at ``floor`` itself."""
    return torch.where(x <= floor, floor, x)


def at_most_one(x: Tensor) -> Tensor:
    """``min(x, 1)``; slope 1 at 1 itself, so that a loss still pulls spans together that just touch."""
    return torch.where(x > 1, 1.0, x)


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


def log_cosh(x: Tensor, scale: Tensor) -> Tensor:
    """``2 scale ln cosh(x / (2 scale))``."""
    # ln cosh u = ln(1 + sinh^2 u) / 2 is exact near 0 and overflows far out; the other form is the
    # reverse. What the first is not used for is cut off, lest its slope be infinite there.
    u = x / (2 * scale)
    size = u.abs()
    small = size < 1
    near = torch.log1p(torch.sinh(torch.where(small, u, 0.0)).square()) / 2
    far = size + torch.log1p(torch.exp(-2 * size)) - math.log(2)
    return 2 * scale * torch.where(small, near, far)
