"""Sequences that are too long to be evaluated at once: a model in overlapping windows."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spanloc.decode.decode import Decode, Scored, times_of
from spanloc.structures import Batch, Output

Model = Callable[[Tensor, Tensor], Output]
# Steps in which most models are seen to look no further.
_LEAST = 1024


class Window(NamedTuple):
    """A stretch of one sequence, in steps from its step ``first`` on.

    Of the output, the predictions are valid whose points this window has to answer for; those of all
    windows are those of one pass over the whole sequence. Targets are those that overlap the stretch, not
    clipped. For a head with queries, which has no points, the middles of spans and targets take their place.
    ``number`` counts the windows of the sequence from 1, of ``num_windows``.
    """

    first: int
    output: Output
    batch: Batch
    number: int
    num_windows: int


class Reach(NamedTuple):
    """Steps that a model looks at to each side of a point, and its coarsest stride.

    ``full``: it looks at all of a window, whose length matters; each has the full one, also the last.
    """

    steps: int
    stride: int
    full: bool = False


def windows(
    model: Model,
    part_of: Callable[[int, int], Batch],
    steps: int,
    size: int,
    reach: Reach,
    look: Callable[[Output, Batch], None] | None = None,
) -> Iterator[Window]:
    """A model's outputs for one sequence, window by window.

    Neighbouring windows overlap by what the model looks to both sides, so that the predictions are those of
    one pass over the whole sequence, wherever the model looks no further than ``reach`` says. Those of a
    head with queries are not: each span comes from the window in whose middle half it has its own middle.

    Args:
        model: Features ``(1, C, T)`` and mask to an output.
        part_of: Gives the steps from the first number to before the second, as a batch of one, such as
            :func:`stretch` of a batch.
        steps: Of the sequence.
        size: Steps of a window, at most, or four times the reach where that is more.
        reach: Of the model, from :func:`reach_of`.
        look: Called with the output and the batch of each window.
    """
    grid = reach.stride
    margin = -(-reach.steps // grid) * grid
    # However far the model looks, half of a window is its own.
    size = max(size // grid * grid, 4 * margin, grid)
    hop = size - 2 * margin
    num_windows = max(1, -(-(steps - 2 * margin) // hop))
    for number in range(num_windows):
        first, last = number * hop, min(number * hop + size, steps)
        own_first = first + margin if number else -math.inf
        own_last = last - margin if number + 1 < num_windows else math.inf
        if reach.full:
            first = max(0, last - size)
        part = part_of(first, last)
        output = answering(model(part.features, part.mask), first, own_first, own_last)
        if reach.full:
            middle = part.spans.mean(-1) + first
            own = (middle >= own_first) & (middle < own_last)
            part = replace(part, target_mask=part.target_mask & own)
        if look is not None:
            look(output, part)
        yield Window(first, output, part, number + 1, num_windows)


def answering(output: Output, first: int, own_first: float, own_last: float) -> Output:
    """The output of a window from step ``first`` on, valid only at the points that it answers for.

    For a prediction without a point, the middle of its span counts. One prediction per sequence answers for
    all of it.

    Args:
        own_first, own_last: From which step of the sequence to before which these lie.
    """
    if _has_one(output):
        return output
    # Spans of earlier layers lie elsewhere.
    earlier = tuple(answering(layer, first, own_first, own_last) for layer in output.earlier)
    if output.points is None:
        place = output.spans.detach().mean(-1) + first
    else:
        place = output.points[:, 0] + first
    own = (place >= own_first) & (place < own_last)
    return replace(output, mask=output.mask & own, earlier=earlier)


def reach_of(model: Model, num_channels: int, size: int, device: torch.device) -> Reach:
    """Find how far a model looks, by following a NaN through it.

    Args:
        model: Features and mask to an output; in evaluation mode.
        num_channels: Of the features.
        size: Steps of a window. A model that looks at all of several times as many is given a quarter of it,
            and so is one without points that has many predictions.
        device: Where the model is.
    """
    steps = max(size, _LEAST)
    for _ in range(4):
        features = torch.zeros(1, num_channels, steps, device=device)
        features[..., steps // 2] = torch.nan
        with torch.no_grad():
            output = model(features, torch.ones(1, steps, dtype=torch.bool, device=device))
        if output.points is None:
            return Reach(0, 1) if _has_one(output) else Reach(size // 4, 1, full=True)
        stride = int(output.points[:, 1].max())
        touched = output.spans[0].isnan().any(-1) | output.logits[0].isnan().any(-1)
        away = (output.points[touched, 0] - steps // 2).abs()
        # The NaN is one of the steps of a cell, of each level.
        reach = int(away.max()) + stride if len(away) else stride
        if reach < steps // 2 - stride:
            # A second look goes where the first one says: here not as far as it may in other sequences.
            return Reach(reach + getattr(getattr(model, "localizer", model), "look", 0), stride)
        # A model looks some tens of its coarsest cells far.
        steps = max(2 * steps, 64 * stride)
    return Reach(size // 4, stride)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Without gradients and in evaluation mode, and afterwards as before."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)


def decode_windows(decode: Decode, parts: Iterable[Window], steps: int) -> Scored:
    """The predictions of one sequence from its windows: their candidates, and one suppression.

    Args:
        decode: Its number of candidates is that of a window.
        parts: From :func:`windows`.
        steps: Of the sequence.
    """
    found, points, seconds_per_step = [], 0, 1.0
    for part in parts:
        seconds_per_step = part.batch.timelines[0].seconds_per_step
        points += int(part.output.mask.sum())
        spans, *rest = decode.candidates(part.output, 0)
        # In float32 a place beyond step 2**22 is only known to half a step.
        found.append((spans.double() + part.first, *rest))
    every = Scored(*(torch.cat(field) for field in zip(*found, strict=True)))
    ranked = every.at(every.scores.argsort(descending=True, stable=True))
    times = times_of(points)
    return decode.select(*ranked, steps, times=times, seconds_per_step=seconds_per_step)


def stretch(batch: Batch, index: int, first: int, last: int) -> Batch:
    """Some steps of one sequence of a batch, with the targets that overlap them, not clipped."""
    spans = batch.spans[index] - first
    there = batch.target_mask[index] & (spans[:, 1] > 0) & (spans[:, 0] < last - first)
    # A batch has room for one target at least.
    kept = there.nonzero()[:, 0] if there.any() else torch.zeros_like(there[:1]).long()
    line = batch.timelines[index]
    return replace(
        batch,
        features=batch.features[index : index + 1, :, first:last],
        mask=batch.mask[index : index + 1, first:last],
        spans=spans[None, kept],
        labels=batch.labels[index : index + 1, kept],
        target_mask=there[None, kept],
        ids=batch.ids[index : index + 1],
        timelines=(line._replace(offset=line.offset + first * line.seconds_per_step),),
        weights=None if batch.weights is None else batch.weights[index : index + 1],
        # A stretch elsewhere does no harm.
        ignored=None if batch.ignored is None else batch.ignored[index : index + 1] - first,
    )


def _has_one(output: Output) -> bool:
    return output.points is None and output.spans.shape[1] == 1
