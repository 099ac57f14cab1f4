"""Step-size schedules: an optimizer and its number of steps in, a torch scheduler out."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def constant(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """The optimizer's own rate throughout."""
    return LambdaLR(optimizer, lambda step: 1.0)


def cosine(
    optimizer: Optimizer,
    total_steps: int,
    *,
    warmup: float | None = None,
    start: float = 0.04,
    final: float = 0.0,
) -> LambdaLR:
    """Half a cosine up to the optimizer's own rate, and half a cosine down again.

    Args:
        optimizer: Its rate is the highest one.
        total_steps: Optimizer steps until the end; later ones stay at the final rate.
        warmup: Share of the steps that goes up, in ``[0, 1)``. None: a tenth.
        start, final: First and last rate, as fractions of the highest.

    Raises:
        ValueError: ``warmup`` is out of range.
    """
    warmup = 0.1 if warmup is None else warmup
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is {warmup}; it must lie in [0, 1)")
    rising = warmup * total_steps

    def factor(step: int) -> float:
        if step < rising:
            return _blend(start, 1.0, step / rising)
        return _blend(1.0, final, min((step - rising) / max(total_steps - 1 - rising, 1), 1.0))

    return LambdaLR(optimizer, factor)


def inverse(optimizer: Optimizer, total_steps: int, *, half: float = 0.05) -> LambdaLR:
    """``1 / k``: the optimizer's own rate at first, half of it soon, ever less from there.

    Args:
        optimizer: Its rate is the first one.
        total_steps: Optimizer steps until the end.
        half: Share of the steps, above 0, after which the rate is halved.

    Raises:
        ValueError: ``half`` is out of range.
    """
    if half <= 0:
        raise ValueError(f"half is {half}; it must be above 0")
    return LambdaLR(optimizer, lambda step: 1 / (1 + step / (half * total_steps)))


def geometric(optimizer: Optimizer, total_steps: int, *, final: float = 1e-4) -> LambdaLR:
    """The same factor at every step, from the optimizer's own rate down to ``final`` times it.

    With it a sharp loss of free endpoints falls geometrically too (Davis et al. 2018).

    Args:
        optimizer: Its rate is the first one.
        total_steps: Optimizer steps until the end; later ones stay at the final rate.
        final: Last rate as a fraction of the first, in ``(0, 1]``.

    Raises:
        ValueError: ``final`` is out of range.
    """
    if not 0 < final <= 1:
        raise ValueError(f"final is {final}; it must lie in (0, 1]")
    return LambdaLR(optimizer, lambda step: final ** min(step / max(total_steps - 1, 1), 1.0))


def _blend(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
