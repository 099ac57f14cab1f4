"""What a span loss looks like at its minimum, and where predictions are odd."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from spanloc.convergence.sided import (
    Estimate,
    first_derivative,
    mixed_derivative,
    second_derivative,
)

SpanLoss = Callable[[Tensor, Tensor], Tensor]

# The longest step of a difference, as a fraction of the target's length.
_STEP = 1 / 32
#: Predictions that are far from the match, in target lengths from the target's start.
PLACES = {
    "disjoint": (2.0, 3.0),
    "touching": (1.0, 2.0),
    "empty": (0.5, 0.5),
    "reversed": (0.75, 0.25),
}


class End(NamedTuple):
    """One end at the match, the other exact. Derivatives are relative: times the target's length.

    ``left`` and ``right`` are one-sided, with their stated errors. ``stationary``: 0 lies between
    the two, as it must at a stationary point in Clarke's sense. ``minimum``: the loss does not fall
    to either side. ``differentiable``: the two are one. ``curvature`` is the second derivative times
    length squared, the larger one-sided; NaN where the loss is not differentiable. ``autograd`` is
    the gradient that torch gives, which at a kink is a convention.
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
    quadrants' where they differ; infinite where the loss is flat, NaN where it has a kink.
    """

    length: float
    loss: float
    start: End
    end: End
    largest_stable_step: float
    places: dict[str, Place]

    @property
    def sharp(self) -> bool:
        """Whether the match is a minimum with a kink in both ends."""
        return all(end.minimum and not end.differentiable for end in (self.start, self.end))

    @property
    def smooth(self) -> bool:
        """Whether the match is a minimum without one."""
        return all(end.minimum and end.differentiable for end in (self.start, self.end))


class Section(NamedTuple):
    """The loss along one start error, ``(n,)`` each; error and derivative relative to the length."""

    error: Tensor
    loss: Tensor
    derivative: Tensor


def checked(span_loss: SpanLoss) -> SpanLoss:
    """The loss, once it has been seen to give one differentiable value for each pair.

    One that refuses float64 is given float32, and its derivatives come with larger errors.

    Raises:
        ValueError: It fails, reduces, or gives no gradient.
    """

    def in_single(pred: Tensor, target: Tensor) -> Tensor:
        return span_loss(pred.float(), target.float())

    pred = torch.tensor([[0.0, 4.0], [3.0, 7.0], [9.0, 12.0]], dtype=torch.float64)
    target = torch.tensor([[0.0, 5.0]], dtype=torch.float64).repeat(3, 1)
    failures: list[Exception] = []
    for candidate in (span_loss, in_single):
        try:
            values = candidate(pred.requires_grad_(), target)
            break
        except Exception as error:  # whatever a user's own function may raise
            failures.append(error)
    else:
        first = failures[0]
        raise ValueError(f"the span loss failed: {type(first).__name__}: {first}") from first
    if not isinstance(values, Tensor):
        raise ValueError(f"the span loss gave a {type(values).__name__}; wanted a tensor (n,)")
    if values.shape != (3,):
        raise ValueError(
            f"the span loss gave the shape {tuple(values.shape)} for 3 pairs; wanted (3,): one value "
            "for each pair, neither summed nor averaged"
        )
    if not values.requires_grad:
        raise ValueError("the span loss gave values without a gradient")
    return candidate


def anatomy(span_loss: SpanLoss, length: float) -> Anatomy:
    """One-sided derivatives, curvature and odd cases for the target ``[0, length)``, in float64.

    First derivatives are differences of values: at a kink a gradient would not show both sides.
    Curvatures are differences of gradients beside the match. A target that starts at 0 makes the
    steps of the start exact.

    Args:
        span_loss: Unreduced, of pairs; see :func:`checked`.
        length: Of the target, above 0.

    Raises:
        ValueError: The length is not above 0.

    >>> from spanloc.losses import giou_loss
    >>> found = anatomy(giou_loss, 10.0)
    >>> round(found.start.left, 6), round(found.start.right, 6), found.start.minimum
    (-1.0, 1.0, True)
    """
    if not 0 < length < math.inf:
        raise ValueError(f"a length is {length}; it must be above 0 and finite")
    match = torch.tensor([0.0, length], dtype=torch.float64)
    target = match.expand(1, 2)
    loss, (gradient,) = _at(span_loss, target, target)
    ends = []
    for i in (0, 1):
        left, right = _slopes(span_loss, match, target, i)
        differentiable = abs(left.value - right.value) <= left.error + right.error
        curvature = Estimate(math.nan, math.nan)
        if differentiable:
            sides = (_curvature(span_loss, target, i, sign) for sign in (-1, 1))
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
    smooth = all(end.differentiable for end in ends)
    return Anatomy(
        length,
        loss.item(),
        *ends,
        _largest_stable_step(span_loss, target) if smooth else math.nan,
        {name: _place(span_loss, target, place) for name, place in PLACES.items()},
    )


def section(span_loss: SpanLoss, length: float, *, reach: float = 0.6, num: int = 400) -> Section:
    """The loss and its derivative in the start, for start errors of up to ``reach`` lengths.

    The match itself is left out: an even number of points, half of them on each side, of which the
    two nearest are as good as at it.
    """
    side = torch.linspace(1e-9, reach, num // 2, dtype=torch.float64)
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


def _largest_stable_step(span_loss: SpanLoss, target: Tensor) -> float:
    def slope(shifts: Tensor) -> Tensor:
        pred = target + shifts
        return _at(span_loss, pred, target.expand_as(pred))[1][:, 0]

    step = _STEP * target[0, 1].item()
    curvature = partial(_curvature, span_loss, target)
    hessians = []
    for one in (-1, 1):
        for other in (-1, 1):
            mixed = mixed_derivative(slope, (one * step, other * step)).value
            hessians.append([[curvature(0, one).value, mixed], [mixed, curvature(1, other).value]])
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
