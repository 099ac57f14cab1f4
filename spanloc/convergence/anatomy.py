"""The shape of a span loss at its minimum, and for predictions far from it."""

import math
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from spanloc.convergence.checked import checked
from spanloc.convergence.sided import (
    Estimate,
    first_derivative,
    mixed_derivative,
    second_derivative,
)
from spanloc.losses import SpanLoss

# The longest step of a difference, as a fraction of the target's length.
_STEP = 1 / 32
#: A target is longer than the first and at most as long as the second: below, losses see their
#: own guards against a division by 0.
LENGTHS = (1e-6, 1e6)
#: Predictions that are far from the match, in target lengths from the target's start.
PLACES = {
    "disjoint": (2.0, 3.0),
    "touching": (1.0, 2.0),
    "empty": (0.5, 0.5),
    "reversed": (0.75, 0.25),
}


class End(NamedTuple):
    """One end at the match, the other exact. Derivatives are relative: times the target's length.

    ``left`` and ``right`` are one-sided, with their stated errors; infinite, with an error of 0, at a
    cusp or a jump, NaN where undetermined. ``stationary``: 0 lies between the two, as it must at a
    stationary point in Clarke's sense. ``minimum``: the loss does not fall to either side.
    ``differentiable``: the two are one. ``curvature`` is the second derivative times length squared,
    the larger one-sided; infinite as of ``|x| ** 1.5``, NaN where the loss is not differentiable.
    ``autograd`` is the gradient that torch gives, which at a kink is a convention.
    """

    left: float
    right: float
    left_error: float
    right_error: float
    stationary: bool
    minimum: bool
    differentiable: bool
    curvature: float
    curvature_error: float
    autograd: float

    @property
    def kink(self) -> bool:
        """True where both slopes are finite and far from 0: over ten times their stated errors."""
        slopes = ((self.left, self.left_error), (self.right, self.right_error))
        return all(10 * error < abs(slope) < math.inf for slope, error in slopes)


class Place(NamedTuple):
    """A prediction away from the match: its loss, and the gradient of both ends times the length.

    ``start_left`` to ``end_right`` are the one-sided derivatives; where the loss has a kink, as it
    may have where spans touch, they differ, and the gradient that torch gives is a convention.
    """

    pred: tuple[float, float]
    loss: float
    start: float
    end: float
    start_left: float
    start_right: float
    end_left: float
    end_right: float


class Anatomy(NamedTuple):
    """:func:`anatomy` of a loss for one target.

    ``largest_stable_step`` is that of plain gradient descent near the match, in the unit of the
    target squared: 2 over the largest eigenvalue of the Hessian, or the largest of the four
    quadrants' where they differ; infinite where the loss is flat, 0 where a curvature is infinite, NaN
    where the loss has a kink.
    """

    length: float
    loss: float
    start: End
    end: End
    largest_stable_step: float
    places: dict[str, Place]

    @property
    def sharp(self) -> bool:
        """True where the match is a minimum with a kink in both ends, steep to all sides."""
        return all(
            end.minimum and end.kink and not end.differentiable for end in (self.start, self.end)
        )

    @property
    def smooth(self) -> bool:
        """True where the match is a minimum without a kink."""
        return all(end.minimum and end.differentiable for end in (self.start, self.end))


class Section(NamedTuple):
    """The loss along one start error, ``(n,)`` each; error and derivative relative to the length."""

    error: Tensor
    loss: Tensor
    derivative: Tensor


def anatomy(span_loss: SpanLoss, length: float) -> Anatomy:
    """One-sided derivatives, curvature and odd cases for the target ``[0, length)``, in float64.

    First derivatives are differences of values: at a kink a gradient would not show both sides.
    Curvatures are differences of gradients beside the match. A target that starts at 0 makes the
    steps of the start exact.

    Args:
        span_loss: Unreduced, of pairs; see :func:`spanloc.convergence.checked`.
        length: Of the target, within :data:`LENGTHS`.

    Raises:
        ValueError: The length is not.

    >>> from spanloc.losses import giou_loss
    >>> found = anatomy(giou_loss, 10.0)
    >>> round(found.start.left, 6), round(found.start.right, 6), found.start.minimum
    (-1.0, 1.0, True)
    """
    if not LENGTHS[0] < length <= LENGTHS[1]:
        raise ValueError(f"a length is {length}; it must lie in ({LENGTHS[0]:g}, {LENGTHS[1]:g}]")
    match = torch.tensor([0.0, length], dtype=torch.float64)
    target = match.expand(1, 2)
    loss, (gradient,) = _at(span_loss, target, target)
    ends, curvatures = [], []
    for i in (0, 1):
        left, right = _slopes(span_loss, match, target, i)
        differentiable = abs(left.value - right.value) <= left.error + right.error
        sides = [Estimate(math.nan, math.nan)]
        if differentiable:
            sides = [_curvature(span_loss, target, i, sign) for sign in (-1, 1)]
        curvatures.append(sides)
        curvature = max(sides, key=lambda found: found.value)
        low, high = sorted((left, right))
        ends.append(
            End(
                left.value * length,
                right.value * length,
                left.error * length,
                right.error * length,
                stationary=low.value - low.error <= 0 <= high.value + high.error,
                minimum=left.value <= left.error and right.value >= -right.error,
                differentiable=differentiable,
                curvature=curvature.value * length**2,
                curvature_error=curvature.error * length**2,
                autograd=gradient[i].item() * length,
            )
        )
    start, end = ends
    smooth = start.differentiable and end.differentiable
    step = _largest_stable_step(span_loss, target, *curvatures) if smooth else math.nan
    places = {name: _place(span_loss, target, place) for name, place in PLACES.items()}
    return Anatomy(length, loss.item(), start, end, step, places)


def kink_of(span_loss: SpanLoss, length: float) -> float | None:
    """Norm of the relative gradient beside the match: above 0 for a kink in both ends, 0 for a smooth loss.

    None where there is another shape, or where the loss cannot be probed.

    >>> from spanloc.losses import giou_loss, smooth_giou_loss
    >>> round(kink_of(giou_loss, 10.0), 4), kink_of(smooth_giou_loss, 10.0)
    (1.4142, 0.0)
    """
    try:
        found = anatomy(checked(span_loss), length)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):
        return None
    if found.smooth:
        return 0.0
    slopes = [(end.right - end.left) / 2 for end in (found.start, found.end)]
    return math.hypot(*slopes) if found.sharp else None


def section(span_loss: SpanLoss, length: float) -> Section:
    """The loss and its derivative in the start, at 400 start errors of up to 0.6 lengths.

    The match itself is left out; the nearest point on each side is 1e-9 lengths from it.
    """
    side = torch.linspace(1e-9, 0.6, 200, dtype=torch.float64)
    error = torch.cat([-side.flip(0), side])
    target = torch.tensor([[0.0, length]], dtype=torch.float64).repeat(len(error), 1)
    pred = target.clone()
    pred[:, 0] += error * length
    loss, gradient = _at(span_loss, pred, target)
    return Section(error, loss, gradient[:, 0] * length)


def _at(span_loss: SpanLoss, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    pred = pred.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = span_loss(pred, target)
        (gradient,) = torch.autograd.grad(loss.sum(), pred)
    # Adding 0 takes the sign off a zero.
    return loss.detach().double(), gradient.double() + 0.0


def _shifted(pred: Tensor, shifts: Tensor, end: int) -> Tensor:
    moved = pred.repeat(len(shifts), 1)
    moved[:, end] += shifts
    return moved


def _slopes(
    span_loss: SpanLoss, pred: Tensor, target: Tensor, end: int
) -> tuple[Estimate, Estimate]:
    def values(shifts: Tensor) -> Tensor:
        with torch.no_grad():
            return span_loss(_shifted(pred, shifts, end), target.expand(len(shifts), 2))

    step = _STEP * (target[0, 1] - target[0, 0]).item()
    return first_derivative(values, -step), first_derivative(values, step)


def _curvature(span_loss: SpanLoss, target: Tensor, end: int, sign: int) -> Estimate:
    def slope(shifts: Tensor) -> Tensor:
        pred = _shifted(target, shifts, end)
        return _at(span_loss, pred, target.expand_as(pred))[1][:, end]

    return second_derivative(slope, sign * _STEP * target[0, 1].item())


def _largest_stable_step(
    span_loss: SpanLoss, target: Tensor, starts: list[Estimate], ends: list[Estimate]
) -> float:
    # Of the curvatures of both ends, to the left and to the right.
    def slope(shifts: Tensor) -> Tensor:
        pred = target + shifts
        return _at(span_loss, pred, target.expand_as(pred))[1][:, 0]

    if any(found.value == math.inf for found in starts + ends):
        return 0.0
    step = _STEP * target[0, 1].item()
    hessians = []
    sides = (zip((-step, step), found, strict=True) for found in (starts, ends))
    for (one, start), (other, end) in product(*sides):
        mixed = mixed_derivative(slope, (one, other))
        # What is 0 within its error is 0.
        a, b, d = (0.0 if abs(v) <= error else v for v, error in (start, mixed, end))
        hessians.append([[a, b], [b, d]])
    matrices = torch.tensor(hessians, dtype=torch.float64)
    if not matrices.isfinite().all():
        return math.nan
    steepest = torch.linalg.eigvalsh(matrices).max().item()
    return 2 / steepest if steepest * target[0, 1].item() ** 2 > 1e-9 else math.inf


def _place(span_loss: SpanLoss, target: Tensor, place: tuple[float, float]) -> Place:
    length = target[0, 1].item()
    pred = target.new_tensor([place]) * length
    loss, (gradient,) = _at(span_loss, pred, target)
    slopes = [slope for end in (0, 1) for slope in _slopes(span_loss, pred[0], target, end)]
    return Place(
        tuple(pred[0].tolist()),
        loss.item(),
        *(gradient * length).tolist(),
        *(slope.value * length for slope in slopes),
    )
