"""Several models, or one at shifted recordings, as one model that predicts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spanloc import ops
from spanloc.config.checkpoint import load
from spanloc.decode import Calibrate, Kept, joined, keeping
from spanloc.decode.windows import evaluating
from spanloc.files import counted
from spanloc.structures import Batch, Predictions
from spanloc.training.task import SpanLocalizer

# Steps in which every stride of a model has a point.
_PROBE = 1024


class Ensemble(SpanLocalizer):
    """Predicts with several models, and with each at recordings that are shifted by less than a stride.

    The candidates of all models and shifts are fused (:func:`spanloc.ops.fuse`) before suppression. Each
    model goes through long recordings in windows of its own, as alone. The decoding after the fusion is
    that of the first model, but for what is fitted to each model: biases are taken off before it, and
    scores are calibrated to the mean of what the calibrations of the models make of them.

    A shifted recording begins with some copies of its first step; its predictions are shifted back. One
    model with one shift predicts as it does alone.

    Args:
        members: Trained models of the same classes, channels and rate.
        shifts: At how many recordings each model looks: shifted by 0, 1, ... ``shifts`` ths of the stride
            of its finest level, rounded to steps.
        names: Of the members, for errors; None: their numbers, from 1.

    Raises:
        ValueError: The models differ in what they take or give; or ``shifts`` is more than a stride has
            steps, or a model has no points.
    """

    def __init__(
        self,
        members: Sequence[SpanLocalizer],
        *,
        shifts: int = 1,
        names: Sequence[str] | None = None,
    ) -> None:
        names = names or [f"model {number}" for number in range(1, len(members) + 1)]
        _require_alike(members, names)
        first = members[0]
        calibration = _mean_calibration([member.decode.calibration for member in members])
        decode = first.decode.having(bias=None, calibration=calibration)
        super().__init__(first.localizer, first.criterion, classes=first.classes, decode=decode)
        self.test_metrics = first.test_metrics
        apart = all(m.facts is not None and m.facts.overlapping is False for m in members)
        self.config = first.config
        self.facts = first.facts and replace(first.facts, overlapping=False if apart else None)
        self.window, self.input = first.window, first.input
        self.members = nn.ModuleList(members)
        self._looks = [
            (member, shift)
            for member, name in zip(members, names, strict=True)
            for shift in _shifts(member, shifts, name)
        ]

    def _predict(self, batch: Batch, look: Any = None) -> Predictions:
        def run(member: SpanLocalizer, shift: int) -> None:
            member._predict(_shifted(batch, shift), look)

        return self._fused(run, batch)

    def _of_parts(self, part_of: Callable[[int, int], Batch], steps: int) -> Predictions:
        def run(member: SpanLocalizer, shift: int) -> None:
            member._of_parts(partial(_part, part_of, shift), steps + shift)

        return self._fused(run, part_of(0, 1))

    def _fused(self, run: Callable[[SpanLocalizer, int], None], batch: Batch) -> Predictions:
        # The candidates of each look, by sequence.
        by_look: list[list[Kept]] = []
        for member, shift in self._looks:
            with keeping(member) as seen:
                run(member, shift)
            by_look.append(seen)
        found = []
        for line, kept in zip(batch.timelines, zip(*by_look, strict=True), strict=True):
            sets = []
            for (member, shift), one in zip(self._looks, kept, strict=True):
                spans, scores, labels = one.candidates
                sets.append((member.decode.unbiased(spans, labels) - shift, scores, labels))
            rows = ops.fuse(sets)
            # The first look is not shifted.
            steps, times = kept[0].steps, kept[0].times
            step = line.seconds_per_step
            found.append(self.decode.select(*rows, steps, times=times, seconds_per_step=step))
        return self._in_seconds(joined(found, batch), batch).to(batch.features.device)


def load_models(
    paths: str | Path | Sequence[str | Path], *, shifts: int = 1, allow: Iterable[str] = ()
) -> SpanLocalizer:
    """A model from one checkpoint, or an :class:`Ensemble` of several, in evaluation mode.

    Args:
        paths: As in :func:`spanloc.load`, of one model or of several.
        shifts: As in :class:`Ensemble`.
        allow: As in :func:`spanloc.load`.

    Raises:
        FileNotFoundError, ValueError: As in :func:`spanloc.load` and :class:`Ensemble`.
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    if not several:
        raise ValueError("checkpoint is an empty list; wanted one checkpoint or more")
    members = [load(path, allow=allow) for path in several]
    if len(members) == 1 and shifts == 1:
        return members[0]
    return Ensemble(members, shifts=shifts, names=[str(path) for path in several]).eval()


def _mean_calibration(calibrations: Sequence[Calibrate | None]) -> Calibrate | None:
    if len(calibrations) == 1 or not any(calibrations):
        return calibrations[0]

    def mean(scores: Tensor, labels: Tensor) -> Tensor:
        each = [c(scores, labels) if c is not None else scores for c in calibrations]
        return torch.stack([one.double() for one in each]).mean(0)

    return mean


def _require_alike(members: Sequence[SpanLocalizer], names: Sequence[str]) -> None:
    wanted = _facts(members[0])
    for member, name in zip(members[1:], names[1:], strict=True):
        for what, found in _facts(member).items():
            if found != wanted[what]:
                raise ValueError(
                    f"{what} of {name}: {found}; {names[0]} has {wanted[what]}. An ensemble takes models "
                    "of the same classes, channels and rate"
                )


def _facts(member: SpanLocalizer) -> dict[str, Any]:
    given, count = member.input, getattr(member.localizer, "num_channels", None)
    return {
        "classes": member.classes,
        "rate": (member.rate, (member.config or {}).get("seconds_per_step")),
        "channels": count if given is None else given.channels or given.num_channels,
        "features": given and (given.features, given.feature_options, given.offset),
    }


def _shifts(member: SpanLocalizer, shifts: int, name: str) -> list[int]:
    if shifts < 1:
        raise ValueError(f"tta.shifts is {shifts}; wanted a whole number, at least 1")
    if shifts == 1:
        return [0]
    steps = min(member.window or _PROBE, _PROBE)
    features = torch.zeros(1, member.localizer.num_channels, steps, device=member.device)
    mask = torch.ones(1, steps, dtype=torch.bool, device=member.device)
    with evaluating(member):
        points = member(features, mask).points
    if points is None:
        raise ValueError(
            f"tta.shifts is {shifts}; {name} has no points, so a shift changes nothing"
        )
    stride = int(points[:, 1].min())
    if shifts > stride:
        raise ValueError(
            f"tta.shifts is {shifts}; the finest level of {name} has a stride of "
            f"{counted(stride, 'step')}: wanted at most {stride}"
        )
    return [round(number * stride / shifts) for number in range(shifts)]


def _shifted(batch: Batch, shift: int) -> Batch:
    # What the model sees alone: predictions are shifted back by who asks.
    if not shift:
        return batch
    copies = batch.features[..., :1].expand(-1, -1, shift)
    return replace(
        batch,
        features=torch.cat([copies, batch.features], -1),
        mask=torch.cat([batch.mask[:, :1].expand(-1, shift), batch.mask], -1),
    )


def _part(part_of: Callable[[int, int], Batch], shift: int, first: int, last: int) -> Batch:
    # Reads only these steps of the shifted recording.
    part = _shifted(part_of(max(first - shift, 0), max(last - shift, 1)), max(shift - first, 0))
    count = last - first
    return replace(part, features=part.features[..., :count], mask=part.mask[:, :count])
