"""Annotated sequences: the content of files, laid over the signals."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from spanloc.data.annotations.beside import grid_of
from spanloc.data.annotations.meaning import Grid, Meaning, in_seconds
from spanloc.data.annotations.per_step import prepared
from spanloc.data.annotations.placed import Placer, Source
from spanloc.data.annotations.problems import require_few_lost
from spanloc.data.annotations.rows import SUBSETS, Annotated, Case, Content, refuse
from spanloc.data.annotations.units import kind_of_clock, of_day, on_the_clock, stride, too_short
from spanloc.data.signals import Signal
from spanloc.data.signals.reading import listed, shown_path
from spanloc.files import counted
from spanloc.structures import Timeline

log = logging.getLogger(__name__)


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

    @property
    def seconds(self) -> tuple[float, float]:
        """When it begins and ends."""
        step, begin = self.timeline
        return round(begin, 6), round(begin + self.num_steps * step, 6)


@dataclass(frozen=True)
class Annotations:
    """The classes of a folder, its sequences by subset, and the files that say so.

    ``clocks``: the times were clock times, and are counted from the first step.
    """

    classes: list[str]
    subsets: dict[str, list[Record]]
    files: tuple[Path, ...] = ()
    clocks: bool = False

    @property
    def num_channels(self) -> int:
        """Of all signals.

        Raises:
            ValueError: They differ.
        """
        first, other = self._first_and_other(lambda record: record.signal.num_channels)
        if other:
            raise ValueError(
                f"{shown_path(other.signal.path)}: {other.signal.num_channels} channels; "
                f"{shown_path(first.signal.path)} has {first.signal.num_channels}"
            )
        return first.signal.num_channels

    @property
    def seconds_per_step(self) -> float:
        """Of all sequences.

        Raises:
            ValueError: They differ.
        """
        first, other = self._first_and_other(lambda record: record.timeline.seconds_per_step)
        if other:
            raise ValueError(
                f"{shown_path(other.signal.path)}: fps is {1 / other.timeline.seconds_per_step:g}; "
                f"{shown_path(first.signal.path)} has {1 / first.timeline.seconds_per_step:g}, and all "
                "must have the same"
            )
        return first.timeline.seconds_per_step

    def _first_and_other(self, value: Callable[[Record], float]) -> tuple[Record, Record | None]:
        """The first record, and the first of another value."""
        first, *others = (r for subset in SUBSETS for r in self.subsets.get(subset, ()))
        return first, next((record for record in others if value(record) != value(first)), None)


def lay(
    content: Content,
    signal_of: Callable[[Annotated], Signal],
    meaning: Meaning,
    refused: list[Case] | None = None,
    *,
    skip_absent: bool = False,
) -> Annotations:
    """Lay the content of files over the signals, which ``signal_of`` opens.

    ``refused`` is that of :func:`~spanloc.data.read_annotations`, ``skip_absent`` its ``absent``.
    """
    content = prepared(content, meaning)
    subsets: dict[str, list[Record]] = {subset: [] for subset in SUBSETS}
    found, missing = [], dict[str, FileNotFoundError]()
    for entry in content.sequences:
        try:
            signal = signal_of(entry)
            grid = grid_of(entry, signal, meaning)
            found.append((_in_seconds(entry, grid, meaning), grid, signal))
        except (ValueError, OSError) as error:
            if (refused is None or skip_absent) and isinstance(error, FileNotFoundError):
                missing[entry.id] = error
                continue
            refuse(refused, error, str(entry.file), sequence=entry.id)
    if missing and not (skip_absent and len(missing) < len(content.sequences)):
        more = f"; {len(missing):,} are missing: {listed([*missing])}" * (len(missing) > 1)
        raise FileNotFoundError(f"{next(iter(missing.values()))}{more}")
    if missing:
        names = listed([*missing])
        log.warning("%s: recordings left out, as they have no file: %s", content.file, names)
    there = [entry for entry in content.sequences if entry.id not in missing]
    placer = Placer(replace(content, sequences=there), meaning)
    rates = [grid.rate for _, grid, _ in found]
    if meaning.fps and not meaning.feature_stride and rates and meaning.fps not in rates:
        log.warning(
            "%s: data.fps=%g is not used: the recordings say %g Hz themselves",
            content.file, meaning.fps, rates[0],
        )  # fmt: skip
    clock = kind_of_clock([part[:2] for part in found], meaning.unit)
    if clock:
        clocks = [part[:2] for part in found if part[1].begins]
        first, grid = clocks[0]
        plain = sum(row.clock is False for entry, _ in clocks for row in entry.rows)
        log.warning(
            "%s: the annotations are clock times: converted to seconds from the first row of each recording "
            "(%s; %s begins at %s)%s", first.file, counted(len(clocks), "recording"), first.id,
            of_day(grid.begins), f"; numbers are read as seconds ({counted(plain, 'row')})" * bool(plain),
        )  # fmt: skip
        found = [
            (on_the_clock(entry, grid, meaning.unit, clock) if grid.begins else entry, grid, signal)
            for entry, grid, signal in found
        ]
        placer.counted = True
    if meaning.unit == "seconds" and meaning.feature_stride is None:
        placer.stride = stride(part[:2] for part in found if part[2].rate is None)
    placer.columns.update(grid.num_channels for _, grid, _ in found)
    for entry, grid, signal in found:
        try:
            spans, labels, ignored, source = placer.place(entry, grid)
        except ValueError as error:
            refuse(refused, error, str(entry.file), sequence=entry.id)
            continue
        record = Record(
            id=entry.id,
            signal=signal,
            subset=entry.subset or "training",
            subject=entry.subject,
            timeline=grid.timeline,
            spans=spans,
            labels=labels,
            weight=entry.weight,
            ignored=ignored,
            # A check wants to know where a span is written; training would carry it for nothing.
            source=None if refused is None else source,
        )
        subsets[record.subset].append(record)
    if cuts := [cut for entry, grid, _ in found for cut in _cuts(entry, grid, meaning)]:
        log.warning(
            "%s: %s cut at the end of the recording, by up to %.3g s (%s): the features are shorter than the "
            "duration", content.file, counted(len(cuts), "span"), *max(cuts),
        )  # fmt: skip
    if refused is None and meaning.bad_spans != "error":
        require_few_lost(placer.found, placer.num_spans, content.file)
    if not content.unit_known and (text := too_short((part[:2] for part in found), meaning.unit)):
        refuse(refused, ValueError(f"{content.file}: {text}"), str(content.file))
    return Annotations(placer.classes, subsets, clocks=bool(clock))


def _cuts(entry: Annotated, grid: Grid, meaning: Meaning) -> list[tuple[float, str]]:
    # Seconds by which spans end more than a step after the last one, but not after the duration.
    early = grid.stop + 1.01 / grid.rate + grid.timeline.offset
    if early >= grid.duration:
        return []
    spans = (in_seconds(row.start, row.end, grid.frame, meaning) for row in entry.rows)
    late = grid.duration + 1.01 / grid.rate
    return [
        (end - grid.stop, entry.id)
        for start, end in spans
        if start < grid.stop and early < end < late
    ]


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
