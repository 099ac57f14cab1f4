"""Annotated sequences: the content of files, laid over the signals."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from spanloc.data.annotations.beside import grid_of
from spanloc.data.annotations.meaning import Grid, Meaning
from spanloc.data.annotations.per_step import prepared
from spanloc.data.annotations.placed import Placer
from spanloc.data.annotations.rows import (
    SUBSETS,
    Annotated,
    Case,
    Content,
    refuse,
)
from spanloc.data.annotations.units import kind_of_clock, of_day, on_the_clock
from spanloc.data.signals import Signal
from spanloc.data.signals.arrays import shown_path
from spanloc.structures import Timeline

log = logging.getLogger(__name__)


class Source(NamedTuple):
    """The places of the spans of a record in its file.

    Args:
        file: Of the annotations.
        rows: The place of each span in it, in words.
        unseen: Stretches in steps, ``(R, 2)``, that nobody looked at.
    """

    file: str
    rows: Sequence[str]
    unseen: Tensor


@dataclass(frozen=True)
class Record:
    """One annotated sequence: its signal, and its spans in steps, half-open.

    Args:
        id: Of the sequence.
        signal: What a model sees.
        subset: One of ``training``, ``validation``, ``testing``.
        subject: Whom it is of, where that is known.
        timeline: When the steps happen.
        spans: In steps, ``(N, 2)``.
        labels: The place of each span's class among the classes; -1 where the class is not known.
        weight: What the sequence counts in the loss.
        ignored: Stretches in steps, ``(R, 2)``, in order and apart, that nobody looked at or that count
            neither as a span nor as background.
        source: Of its spans as they were read; only where errors are noted, see ``refused`` of
            :func:`~spanloc.data.read_annotations`.
    """

    id: str
    signal: Signal
    subset: str
    subject: str | None
    timeline: Timeline
    spans: Tensor
    labels: Tensor
    weight: float
    ignored: Tensor = field(default_factory=lambda: torch.zeros(0, 2))
    source: Source | None = None

    @property
    def num_steps(self) -> int:
        """Steps of the signal."""
        return self.signal.num_steps


@dataclass(frozen=True)
class Annotations:
    """The classes of a folder, its sequences by subset, and the files that say so."""

    classes: list[str]
    subsets: dict[str, list[Record]]
    files: tuple[Path, ...] = ()

    @property
    def num_channels(self) -> int:
        """Of all signals.

        Raises:
            ValueError: They differ.
        """
        first, *others = self._records()
        for record in others:
            if record.signal.num_channels != first.signal.num_channels:
                raise ValueError(
                    f"{shown_path(record.signal.path)}: {record.signal.num_channels} channels; "
                    f"{shown_path(first.signal.path)} has {first.signal.num_channels}"
                )
        return first.signal.num_channels

    @property
    def seconds_per_step(self) -> float:
        """Of all sequences.

        Raises:
            ValueError: They differ.
        """
        first, *others = self._records()
        step = first.timeline.seconds_per_step
        for record in others:
            if record.timeline.seconds_per_step != step:
                raise ValueError(
                    f"{shown_path(record.signal.path)}: fps is "
                    f"{1 / record.timeline.seconds_per_step:g}; {shown_path(first.signal.path)} has "
                    f"{1 / step:g}, and all must have the same"
                )
        return step

    def _records(self) -> list[Record]:
        return [record for subset in SUBSETS for record in self.subsets.get(subset, ())]


def lay(
    content: Content,
    signal_of: Callable[[Annotated], Signal],
    meaning: Meaning,
    refused: list[Case] | None = None,
) -> Annotations:
    """Lay the content of files over the signals.

    Args:
        content: Of the files.
        signal_of: Opens the signal of a sequence.
        meaning: Of the rows.
        refused: As in :func:`read_annotations`.

    Raises:
        ValueError: A row or a signal is off.
    """
    content = prepared(content, meaning)
    placer = Placer(content, meaning)
    subsets: dict[str, list[Record]] = {subset: [] for subset in SUBSETS}
    found = []
    for entry in content.sequences:
        try:
            signal = signal_of(entry)
            grid = grid_of(entry, signal, meaning)
            found.append((_in_seconds(entry, grid, meaning), signal, grid))
        except (ValueError, OSError) as error:
            refuse(refused, error, str(entry.file), sequence=entry.id)
    clock = kind_of_clock([(entry, grid) for entry, _, grid in found], meaning.unit)
    if clock:
        first, _, grid = next(one for one in found if one[2].begins)
        log.warning(
            "%s: the times are clock times; the time of the first step of each recording, %s of %r, is "
            "subtracted", first.file, of_day(grid.begins), first.id,
        )  # fmt: skip
    for entry, signal, grid in found:
        try:
            own = on_the_clock(entry, grid, meaning.unit, clock) if clock and grid.begins else entry
            record = _record(own, signal, grid, placer)
        except (ValueError, OSError) as error:
            refuse(refused, error, str(entry.file), sequence=entry.id)
        else:
            if refused is None:
                # A check wants to know where a span is written; training would carry it for nothing.
                record = replace(record, source=None)
            subsets[record.subset].append(record)
    if text := placer.units.too_short():
        refuse(refused, ValueError(f"{content.file}: {text}"), str(content.file))
    return Annotations(placer.classes, subsets)


def _in_seconds(entry: Annotated, grid: Grid, meaning: Meaning) -> Annotated:
    if entry.signal is None:
        return entry
    for name, value in (("unit", "seconds"), ("ends", "half-open")):
        if (came := getattr(meaning, name)) != value:
            raise ValueError(
                f"{entry.where}: data.{name} is {came!r}; that is not for labels of steps"
            )
    step, offset = grid.timeline.seconds_per_step, grid.timeline.offset
    rows = [
        row._replace(start=offset + row.start * step, end=offset + row.end * step)
        for row in entry.rows
    ]
    return replace(entry, rows=rows, signal=None)


def _record(entry: Annotated, signal: Signal, grid: Grid, placer: Placer) -> Record:
    placed = placer.place(entry, grid)
    return Record(
        id=entry.id,
        signal=signal,
        subset=entry.subset or "training",
        subject=entry.subject,
        timeline=grid.timeline,
        spans=placed.spans,
        labels=placed.labels,
        weight=entry.weight,
        ignored=placed.ignored,
        source=Source(str(entry.file), placed.rows, placed.unseen),
    )
