"""Gradient descent on the ends of spans themselves, without a network: thousands of pairs at once."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from spanloc.convergence.exponent import Exponent, fit_exponent
from spanloc.losses import SpanLoss
from spanloc.ops import length, overlap

# Recorded steps: so many evenly spaced pairs of neighbours, and so many steps on a log scale.
_NUM_EVEN, _NUM_LOG = 40, 60


class Descent(NamedTuple):
    """The course of :func:`descend`. All but the loss are relative to the target's length.

    Of the recorded steps, each seen before it is taken: ``steps``, their numbers from 1, ``error`` of
    both ends with its sign, ``loss``, and ``gradient``, the norm over both ends.

    Of each pair at the end: ``final_error`` of each end, the largest over the last steps; ``final_loss``
    at the last step; ``final_gradient``, the mean norm over the last steps; ``stuck``: disjoint at the
    last step, with a gradient of zero; ``exact``: which ends lie exactly on the target's at the last step.
    """

    steps: Int[Tensor, " k"]
    error: Float[Tensor, "k n 2"]
    loss: Float[Tensor, "k n"]
    gradient: Float[Tensor, "k n"]
    final_error: Float[Tensor, "n 2"]
    final_loss: Float[Tensor, " n"]
    final_gradient: Float[Tensor, " n"]
    stuck: Bool[Tensor, " n"]
    exact: Bool[Tensor, "n 2"]

    def exponent(self) -> Exponent:
        """The exponent of gradient against loss, both the median over the pairs at each step."""
        return fit_exponent(self.loss.nanmedian(1).values, self.gradient.nanmedian(1).values)


def random_starts(
    target: Float[Tensor, "2"], count: int, *, spread: float = 1.5, seed: int = 0
) -> Float[Tensor, "count 2"]:
    """Ordered spans, float64, with ends within ``spread`` target lengths of the target's ends.

    From a spread of 1 on, some are disjoint from the target.

    >>> random_starts(torch.tensor([10.0, 20.0]), 2, spread=0.1)
    tensor([[10.9401, 20.4156],
            [ 9.9188, 20.8415]], dtype=torch.float64)
    """
    random = torch.Generator().manual_seed(seed)
    shift = 2 * torch.rand(count, 2, generator=random, dtype=torch.float64) - 1
    return (target + spread * length(target) * shift).sort(-1).values


def descend(
    span_loss: SpanLoss,
    start: Float[Tensor, "n 2"],
    target: Float[Tensor, "n 2"],
    *,
    optimizer: Callable[[Iterable[Tensor]], Optimizer],
    scheduler: Callable[[Optimizer, int], LRScheduler] | None = None,
    num_steps: int = 5000,
    last: int = 200,
) -> Descent:
    """Gradient descent on each pair's own loss, all pairs as the rows of one float64 parameter.

    The parameter's gradient is that of the losses' sum, so that each row gets its own; the optimizer
    must treat rows alone, as SGD, Adam and :class:`spanloc.training.optimizers.Polyak` do.

    Args:
        span_loss: Unreduced, of pairs; see :func:`spanloc.convergence.checked`.
        start, target: In one unit.
        optimizer: Of the parameters; its closure gives the ``(n,)`` losses.
        scheduler: Of the optimizer and ``num_steps``; None: the optimizer's own rate throughout.
        num_steps: How many are taken.
        last: Number of steps that the final statistics look at.

    Raises:
        ValueError: ``num_steps`` or ``last`` is out of range.

    >>> from functools import partial
    >>> from spanloc.losses import giou_loss
    >>> sgd = partial(torch.optim.SGD, lr=1.0)
    >>> start, target = torch.tensor([[1.0, 13.0]]), torch.tensor([[0.0, 10.0]])
    >>> found = descend(giou_loss, start, target, optimizer=sgd, num_steps=500)
    >>> found.final_gradient.round(decimals=2)  # of a sharp loss: sqrt(2)
    tensor([1.4100], dtype=torch.float64)
    >>> bool(found.final_error.max() < 1.0 / 10**2)  # the step over the length squared
    True
    """
    if num_steps < 1:
        raise ValueError(f"num_steps is {num_steps}; it must be at least 1")
    if not 1 <= last <= num_steps:
        raise ValueError(f"last is {last}; it must lie in [1, num_steps], here {num_steps}")
    target = target.double()
    width = length(target)
    pred = start.detach().double().clone().requires_grad_()
    stepper = optimizer([pred])
    schedule = scheduler(stepper, num_steps) if scheduler is not None else None

    def closure() -> Tensor:
        losses = span_loss(pred, target)
        (pred.grad,) = torch.autograd.grad(losses, pred, torch.ones_like(losses))
        return losses.detach()

    steps = recorded_steps(num_steps)
    wanted, rows = set(steps.tolist()), []
    final_error = torch.zeros_like(target)
    final_gradient = torch.zeros_like(width)
    for step in range(1, num_steps + 1):
        seen = step in wanted or step > num_steps - last
        before = pred.detach().clone()
        losses: Any = stepper.step(cast(Any, closure))
        if seen:
            error = (before - target) / width[:, None]
            gradient = cast(Tensor, pred.grad).norm(dim=-1) * width
            if step in wanted:
                rows.append((error, losses.double(), gradient))
            if step > num_steps - last:
                # torch.maximum keeps a NaN: a pair that is lost stays lost.
                final_error = torch.maximum(final_error, error.abs())
                final_gradient += gradient / last
        if schedule is not None:
            schedule.step()
    apart = overlap(before, target) < 0
    errors, all_losses, gradients = (torch.stack(parts) for parts in zip(*rows, strict=True))
    return Descent(
        steps,
        errors,
        all_losses,
        gradients,
        final_error,
        all_losses[-1],
        final_gradient,
        apart & (gradient == 0),
        torch.eq(before, target),
    )


def recorded_steps(num_steps: int) -> Int[Tensor, " k"]:
    """The recorded ones of the steps from 1 to ``num_steps``: the first, the last, some between.

    Some come with their successor: a sharp loss makes ends jump from side to side, and every so many
    steps one might see the same side only.

    >>> recorded_steps(5)
    tensor([1, 2, 3, 4, 5])
    """
    even = torch.linspace(1, num_steps, _NUM_EVEN, dtype=torch.float64)
    log = torch.logspace(0, torch.tensor(float(num_steps)).log10().item(), _NUM_LOG)
    return torch.cat([even, even + 1, log.double()]).round().long().clamp(1, num_steps).unique()
