"""A LightningModule that predicts, on sequences of any length."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spanloc.data.inputs import Note, as_input, open_recording, signal_of
from spanloc.data.sequences import require_finite
from spanloc.data.signals import Signal
from spanloc.decode import (
    Decode,
    Reach,
    Scored,
    Window,
    decode_windows,
    joined,
    reach_of,
    stretch,
    windows,
)
from spanloc.decode.windows import evaluating
from spanloc.facts import InputFacts
from spanloc.structures import Batch, Output, Predictions, Sample, Timeline, collate
from spanloc.training.built import BuiltModule
from spanloc.training.callbacks.pace import Pace, counted

log = logging.getLogger(__name__)
_Look = Callable[[Output, Batch], None]
_PartOf = Callable[[int, int], Batch]


class PredictingModule(BuiltModule):
    """Predicts with a localizer; sequences longer than ``window`` steps go through it in windows.

    These overlap by as much as the model looks to each side, so that the predictions are those of one
    pass, while memory does not grow with the sequence.

    Attributes:
        decode: How an output becomes predictions.
    """

    decode: Decode

    @property
    def rate(self) -> float | None:
        """Steps per second of the recordings that it was trained on; None: unknown."""
        if self.input is not None:
            return self.input.rate
        # Of checkpoints that do not say what they were trained on; made-up data have steps alone.
        step = (self.config or {}).get("seconds_per_step")
        return 1 / step if step and step != Timeline().seconds_per_step else None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._reach: dict[int, Reach] = {}
        # Of many recordings alike, what was done is said once.
        self._said: set[Note] = set()
        #: Takes the name of a recording and what was done to it; by default that is a warning of the log.
        self.on_notes: Callable[[str, Sequence[Note]], None] | None = None

    def predict(
        self,
        values: Any,
        rate: float | None = None,
        *,
        channels: Sequence[str | int] | None = None,
        on_rate: str = "resample",
        missing: str | None = None,
        name: str | None = None,
        min_score: float | None = None,
    ) -> Predictions:
        """The spans in a recording of any length, in seconds from its start, best first.

        Args:
            values: An array ``(steps, channels)``, or ``(steps,)`` of one channel; a data frame of channels,
                whose columns are their names; or a file, which is read piece by piece: its name, or what
                :func:`spanloc.data.signals.open_signal` makes of it.
            rate: Steps per second; None: as the recording says, or that of training. Where that is not
                known either, a step counts as a second.
            channels: Names or numbers, from 0, of the channels that the model was trained on, in their
                order; None: by name where there are names, else all.
            on_rate: ``"resample"`` brings another rate to that of training, ``"error"`` refuses it.
            missing: ``"interpolate"`` fills missing values (NaN), ``"error"`` refuses them; None: as in
                training.
            name: Of the recording: the id in the predictions; None: the name of its file without the suffix,
                or ``"recording"``.
            min_score: Predictions that score lower are left out, and by :meth:`decode_from` those that overlap
                better ones, as in ``spanloc-predict``. None: all predictions.

        Raises:
            ValueError: It lacks a channel, has another number of them, or a rate that is refused; or a
                value is not finite.
        """
        if isinstance(values, str | Path):
            values = open_recording(values, self.input, rate=rate, channels=channels)
            channels = None if channels is None else range(values.num_channels)
        signal = signal_of(values)
        if name is None:
            name = signal.path.stem if signal.path.is_file() else "recording"
        named = name
        count = getattr(self.localizer, "num_channels", signal.num_channels)
        facts = self.input or InputFacts(count, self.rate)
        known = rate or signal.rate or facts.rate
        silent = rate is None and signal.rate is None and known is not None
        signal, notes = as_input(
            signal, facts, known, channels=channels, on_rate=on_rate, missing=missing
        )
        if silent:
            notes.append(Note(f"its rate is not known; taken as {known:g} Hz, as in training"))
        known = signal.rate or facts.rate or known
        step = 1.0 if known is None else 1 / known

        def part_of(first: int, last: int) -> Batch:
            line = Timeline(step, facts.offset + first * step)
            return batch_of(signal, first, last, line, named).to(self.device)

        before = self.decode
        try:
            self.decode = self.decode_from(min_score)
            with evaluating(self):
                found = self._of_parts(part_of, signal.num_steps)
        finally:
            self.decode = before
        (self.on_notes or self._log_notes)(name, notes)
        return found if min_score is None else found[found.scores >= min_score]

    def decode_from(self, min_score: float | None) -> Decode:
        """The decoding of the predictions from a score on: ``exclusive`` where no spans overlap in training.

        What scores lower is then dropped first, so that it takes no place. Of a model of one span, and for a
        ``min_score`` of 0 or None, it is ``decode`` as it is.
        """
        decode = self.decode
        if not min_score or not isinstance(decode, Decode) or decode.max_predictions == 1:
            return decode
        if not decode.exclusive and (self.facts is None or self.facts.overlapping is not False):
            return decode
        own = decode.min_scores or [0.0] * len(self.classes)
        return decode.having(exclusive=True, min_scores=[max(min_score, least) for least in own])

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Predictions:
        """Predictions in seconds, with the ids of their sequences."""
        return self._predict(batch)

    def _log_notes(self, name: str, notes: Sequence[Note]) -> None:
        for note in notes:
            if note not in self._said:
                log.warning("%s: %s", name, note.text)
                self._said.add(note)

    def _of_parts(self, part_of: _PartOf, steps: int) -> Predictions:
        if self.window is None or steps <= self.window:
            return self._predict(part_of(0, steps))
        found = self._in_windows(part_of, steps, require_finite_output)
        one = part_of(0, 1)
        return self._in_seconds(joined([found], one), one)

    def _predict(self, batch: Batch, look: _Look | None = None) -> Predictions:
        def seen(output: Output, batch: Batch) -> None:
            require_finite_output(output, batch)
            if look is not None:
                look(output, batch)

        if self.window is None or batch.mask.shape[1] <= self.window:
            output = self(batch.features, batch.mask)
            seen(output, batch)
            return self._in_seconds(self.decode(output, batch), batch)
        found = [
            self._in_windows(partial(stretch, batch, i), steps, seen)
            for i, steps in enumerate(batch.mask.sum(1).tolist())
        ]
        return self._in_seconds(joined(found, batch), batch)

    def _in_windows(self, part_of: _PartOf, steps: int, look: _Look) -> Scored:
        size = self.window or steps
        if size not in self._reach:
            channels = part_of(0, 1).features.shape[1]
            self._reach[size] = reach_of(self, channels, size, self.device)
        found = windows(self, part_of, steps, size, self._reach[size], look)
        return decode_windows(self.decode, _reported(found), steps)

    def _in_seconds(self, predictions: Predictions, batch: Batch) -> Predictions:
        return replace(predictions.in_seconds(batch.timelines), classes=tuple(self.classes))


def batch_of(signal: Signal, first: int, last: int, line: Timeline, name: str) -> Batch:
    """The steps of a recording from ``first`` to before ``last``, all finite, as a batch of one without spans."""
    found = np.array(signal.read(first, last).T, np.float32, order="C")
    require_finite(signal, found.T, first)
    none = torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)
    return collate([Sample(name, torch.from_numpy(found), *none, line)])


def _reported(parts: Iterable[Window]) -> Iterator[Window]:
    # One long sequence is one batch of a progress display.
    pace = Pace()
    for part in parts:
        yield part
        if pace.due():
            done = counted(part.number, part.num_windows, "windows", pace.elapsed)
            log.info("sequence %s: %s", part.batch.ids[0], done)


def require_finite_output(output: Output, batch: Batch) -> None:
    """Raise a ``FloatingPointError`` that names the sequences whose output is not finite."""
    values = (output.spans, output.logits, *output.extra.values())
    finite = torch.stack([value.isfinite().flatten(1).all(-1) for value in values]).all(0)
    if not finite.all():
        bad = [name for name, fine in zip(batch.ids, finite.tolist(), strict=True) if not fine]
        raise FloatingPointError(f"the output is not finite for the sequences {', '.join(bad)}")
