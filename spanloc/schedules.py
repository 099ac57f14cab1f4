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
    warmup: float = 0.1,
    start: float = 0.04,
    final: float = 0.0,
) -> LambdaLR:
    """Half a cosine up to the optimizer's own rate, and half a cosine down again.

    Args:
        optimizer: Its rate is the highest one.
        total_steps: Optimizer steps until the end; later ones stay at the final rate.
        warmup: Share of the steps that goes up, in ``[0, 1)``.
        start, final: First and last rate, as fractions of the highest.

    Raises:
        ValueError: ``warmup`` is out of range.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is {warmup}; it must lie in [0, 1)")
    rising = warmup * total_steps

    def factor(step: int) -> float:
        if step < rising:
            return _blend(start, 1.0, step / rising)
        return _blend(1.0, final, min((step - rising) / max(total_steps - 1 - rising, 1), 1.0))

    return LambdaLR(optimizer, factor)


def _blend(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
