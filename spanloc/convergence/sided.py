"""One-sided derivatives of a function at 0, in float64, with a stated error.

A central difference of a kink is the mean of its two slopes, which for a symmetric one is 0: it
takes one-sided differences to see it. Those are only first-order exact, so they are extrapolated to
a step of 0 (Richardson), and of the extrapolants the one with the least error is taken (Ridders),
as long as no shorter step contradicts it.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

# Halved each time: from the step given down to 6e-11 of it, where a rounded kink still shows.
_NUM_STEPS, _MOST_ORDERS = 34, 8


class Estimate(NamedTuple):
    """A derivative and how far off it may be: the extrapolants' disagreement, plus rounding."""

    value: float
    error: float


def first_derivative(
    function: Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]], step: float
) -> Estimate:
    """The derivative at 0 from the right, or from the left for a ``step`` below 0.

    Args:
        function: Of ``n`` shifts at once.
        step: The longest one, as a rule some hundredths of the scale on which the function changes.

    >>> round(first_derivative(lambda x: x.abs() + x.square(), -0.1).value, 9)
    -1.0
    """
    h = _steps(step)
    values = function(torch.cat([h.new_zeros(1), h]))
    # A loss written as 1 - ratio is off by the rounding of 1, however small it is.
    return _extrapolate((values[1:] - values[0]) / h, _rounding(values, least=1.0) / h.abs())


def second_derivative(
    slope: Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]], step: float
) -> Estimate:
    """The second derivative at 0 from one side, from the first one elsewhere.

    Args:
        slope: First derivative at ``n`` shifts; it is not asked at 0, where it may be anybody's guess.
        step: As for :func:`first_derivative`; shifts of up to twice as much are taken.

    >>> round(second_derivative(lambda x: 2 * x + x.square(), 0.1).value, 9)
    2.0
    """
    h = _steps(step)
    slopes = slope(torch.cat([h, 2 * h]))
    near, far = slopes.chunk(2)
    return _extrapolate((far - near) / h, _rounding(slopes) / h.abs())


def mixed_derivative(
    slope: Callable[[Float[Tensor, "n 2"]], Float[Tensor, " n"]], steps: tuple[float, float]
) -> Estimate:
    """The mixed second derivative at (0, 0), from the quadrant that the signs of ``steps`` name.

    Args:
        slope: First derivative along the first axis at ``n`` points; not asked where that is 0.
        steps: The longest one along each axis.

    >>> round(mixed_derivative(lambda x: 2 * x.abs().sum(-1) * x[:, 0].sign(), (0.1, -0.1)).value, 9)
    -2.0
    """
    one, other = _steps(steps[0]), _steps(steps[1])
    slopes = slope(
        torch.cat([torch.stack([one, torch.zeros_like(one)], -1), torch.stack([one, other], -1)])
    )
    near, far = slopes.chunk(2)
    return _extrapolate((far - near) / other, _rounding(slopes) / other.abs())


def _steps(step: float) -> Tensor:
    # Powers of two: adding them to a number of ordinary size is exact.
    longest = math.copysign(2.0 ** math.floor(math.log2(abs(step))), step)
    return longest * 0.5 ** torch.arange(_NUM_STEPS, dtype=torch.float64)


def _rounding(values: Tensor, least: float = 0.0) -> float:
    # Of the difference of two values.
    known = values[values.isfinite()].abs()
    return 2 * torch.finfo(values.dtype).eps * max([least, *known.tolist()])


def _extrapolate(estimates: Tensor, rounding: Tensor) -> Estimate:
    # Entry i of a column rests on steps down to the i-th; a column takes off one more power of h.
    column, growth = estimates.double(), 1.0
    values, errors = [], []
    for order in range(1, _MOST_ORDERS):
        weight = 2.0**order
        following = (weight * column[1:] - column[:-1]) / (weight - 1)
        growth *= (weight + 1) / (weight - 1)
        apart = torch.maximum((following - column[1:]).abs(), (following - column[:-1]).abs())
        values.append(_padded(following))
        errors.append(_padded(apart + growth * rounding[order:]).nan_to_num(nan=math.inf))
        column = following
    least, order = torch.stack(errors).min(0)
    value = torch.stack(values).gather(0, order[None])[0]
    # From the shortest step up, as long as longer ones do not contradict: those that do no longer
    # see what is at 0, however well they agree with each other.
    best = Estimate(math.nan, math.nan)
    for i in reversed(range(len(value))):
        found = Estimate(value[i].item(), least[i].item())
        if not math.isfinite(found.error):
            continue
        if abs(found.value - best.value) > found.error + best.error:
            break
        if not found.error >= best.error:
            best = found
    return best


def _padded(column: Tensor) -> Tensor:
    return torch.cat([column.new_full((_NUM_STEPS - len(column),), math.nan), column])
