"""One-sided derivatives of a function at 0, in float64, with a stated error.

A central difference of a kink is the mean of its two slopes, which for a symmetric one is 0: it
takes one-sided differences to see it. Those are only first-order exact, so they are extrapolated to
a step of 0 (Richardson), and of the extrapolants the one with the least error is taken (Ridders),
as long as no shorter step contradicts it.

That takes whole powers of the step. Which powers there are is seen from the quotients themselves: a
fractional one, as of ``|x| ** 1.1``, is extrapolated by Aitken's delta-squared process, and quotients
that grow by as much at every halving, as of ``sqrt(|x|)``, of ``x log x`` or at a jump, have no limit.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

# Halved each time: from the step given down to 6e-11 of it, where a rounded kink still shows.
_NUM_STEPS, _MOST_ORDERS = 34, 8
# An order is read off so many successive steps, where quotients move by so much more than rounding.
_WINDOW, _CLEAR = 5, 2.0**14
# In single precision few do; by so much, they tell at least that an order is low.
_COARSE = 2.0**6
# An order below is none: quotients that move as a logarithm, or faster. Below the other one, of
# log2(3 / 2), extrapolants for whole powers are farther off than they are from each other.
_NO_ORDER, _LOW_ORDER = 0.005, 0.585


class Estimate(NamedTuple):
    """A derivative and how far off it may be: the extrapolants' disagreement, plus rounding.

    Infinite with an error of 0 where the quotients diverge; NaN with NaN where it is undetermined.
    """

    value: float
    error: float


_UNKNOWN = Estimate(math.nan, math.nan)


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
        slope: First derivative at ``n`` shifts; it is not asked at 0, where it may be arbitrary.
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
    one, other = map(_steps, steps)
    points = [torch.stack([one, second], -1) for second in (torch.zeros_like(one), other)]
    slopes = slope(torch.cat(points))
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


def _extrapolate(quotients: Tensor, rounding: Tensor) -> Estimate:
    quotients = quotients.double()
    moves = quotients[:-1] - quotients[1:]
    # Negative ratios, of moves back and forth, become NaN and are not settled.
    orders = torch.log2(moves[:-1] / moves[1:])
    for least in (_CLEAR, _COARSE):
        clear = (moves.abs() > least * rounding[1:])[:-1].nonzero()
        last = int(clear[-1]) if len(clear) else 0
        if last >= _WINDOW - 1:
            break
    else:
        return _richardson(quotients, rounding)
    seen = orders[last - _WINDOW + 1 : last + 1]
    order = seen[-1].item()
    if (seen <= _NO_ORDER).all():
        near, nearer = quotients[last : last + 2].tolist()
        # One that still falls may be on its way through 0, or to a finite slope.
        grows = abs(nearer) > abs(near)
        return Estimate(math.copysign(math.inf, nearer), 0.0) if grows else _UNKNOWN
    # Infinite where the last move is none: a straight line from there on.
    settled = math.isfinite(order) and seen.max() - seen.min() <= 1e-3 + 0.02 * abs(order)
    if settled and abs(order - max(round(order), 1)) > 0.02:
        return _aitken(quotients[: last + 3], rounding[: last + 3])
    return _UNKNOWN if (seen < _LOW_ORDER).all() else _richardson(quotients, rounding)


def _aitken(quotients: Tensor, rounding: Tensor) -> Estimate:
    # Exact for a + c h^p with any p. The limit lies so far ahead that its error is that of the ratio.
    moves = quotients[:-1] - quotients[1:]
    ahead = moves[1:].square() / (moves[:-1] - moves[1:])
    limits = (quotients[2:] - ahead)[-_WINDOW:]
    part = 4 * rounding[2:] / (moves[:-1] - moves[1:]).abs() + 4 * rounding[2:] / moves[1:].abs()
    errors = (limits[1:] - limits[:-1]).abs() + (rounding[2:] + ahead.abs() * part)[1 - _WINDOW :]
    least = int(errors.argmin())
    return Estimate(limits[1 + least].item(), errors[least].item())


def _richardson(estimates: Tensor, rounding: Tensor) -> Estimate:
    # Entry i of a column rests on steps down to the i-th; a column takes off one more power of h.
    column, growth = estimates, 1.0
    values, errors = [], []
    for order in range(1, _MOST_ORDERS):
        weight = 2.0**order
        following = (weight * column[1:] - column[:-1]) / (weight - 1)
        growth *= (weight + 1) / (weight - 1)
        apart = torch.maximum((following - column[1:]).abs(), (following - column[:-1]).abs())
        missing = (_NUM_STEPS - len(following), 0)
        values.append(pad(following, missing, value=math.nan))
        error = pad(apart + growth * rounding[order:], missing, value=math.nan)
        errors.append(error.nan_to_num(nan=math.inf))
        column = following
    least, which = torch.stack(errors).min(0)
    value = torch.stack(values).gather(0, which[None])[0]
    # From the shortest step up, as long as longer ones do not contradict: those that do no longer
    # see what is at 0, however well they agree with each other.
    best = _UNKNOWN
    for i in reversed(range(len(value))):
        found = Estimate(value[i].item(), least[i].item())
        if not math.isfinite(found.error):
            continue
        if abs(found.value - best.value) > found.error + best.error:
            break
        if not found.error >= best.error:
            best = found
    return best
