"""Times that are plausible in another unit than the one they are read in."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from spanloc.data.annotations.meaning import SIZES, Grid, of_video
from spanloc.data.annotations.rows import Annotated, Row, Unit, is_moment
from spanloc.structures import Predictions, Targets

# Share of the spans that counts as nearly all, and the fewest spans that say something together.
_MOST, _LEAST = 0.9, 5
# Recordings are annotated up to here at least, on average; in a wrong unit they may seem to end early.
_FILLED = 0.5
# Steps.
_SHORT = 2
# Ends this many times later than that of the recording are long after it.
_LONG = 1.5
# Usual frames from one step of features of a video to the next.
_STRIDES = (2, 4, 5, 8, 10, 16, 25, 30, 32, 64)
#: A part of the message of :func:`too_short`.
TOO_SHORT = f"spans are shorter than {_SHORT} steps"

_DAY = 86400


def past_end(rows: Sequence[Row], grid: Grid, unit: Unit) -> str:
    """The unit in which the spans of a recording fit, where nearly all begin after it; or empty.

    Of whole numbers, read as seconds, it is enough that half of them end long after it; others are no steps.
    Moments count where there is nothing else.

    >>> from spanloc.structures import Timeline
    >>> grid = Grid(Timeline(0.02), 50, 1500, 0.02, 30.0)
    >>> past_end([Row(6000, 9000, "walk", "line 2")], grid, "seconds")
    'in milliseconds? data.unit=milliseconds'
    """
    ends, lengths = _ends(rows)
    stop = _stop(grid)
    if not len(ends):
        ends = np.array([row.start for row in rows if is_moment(row)])
        lengths = np.zeros(len(ends))
    starts = (ends - lengths) * size_of(unit, grid)
    whole = not (np.stack([ends, lengths]) % 1).any()
    if not len(ends) or (
        (starts > stop).mean() < _MOST
        and not (whole and unit == "seconds" and np.median(ends) > _LONG * stop)
    ):
        return ""
    fits = {}
    for other in _others(unit):
        size = size_of(other, grid)
        long = not lengths.any() or np.median(lengths) * size * grid.rate >= _SHORT
        if ends.max() * size <= stop and long and (whole or other != "steps"):
            fits[other] = ends.max() * size
    return _question(fits)


def stride(parts: Iterable[tuple[Annotated, Grid]]) -> str:
    """The question about features of videos, where times with decimals end several times too late; or empty."""
    spans = [(_ends(entry.rows)[0], _stop(grid)) for entry, grid in parts]
    times = [ends / stop for ends, stop in spans if len(ends)]
    if not any((ends % 1).any() for ends, _ in spans):
        return ""
    last = np.array([own.max() for own in times])
    # Features may be a step or two shorter than their video.
    frames = next((frames for frames in _STRIDES if last.max() <= 1.02 * frames), math.inf)
    # All spans as well: a single one may be wrong.
    late = np.median(np.concatenate(times)) > _FILLED * _FILLED * frames
    return of_video(frames) if late and np.median(last) > max(_LONG, _FILLED * frames) else ""


def too_short(parts: Iterable[tuple[Annotated, Grid]], unit: Unit) -> str:
    """A message where nearly all spans last hardly a step, and fit in a larger unit; or empty."""
    spans = [(*_ends(entry.rows), grid) for entry, grid in parts]
    spans = [one for one in spans if len(one[0])]
    count = sum(len(ends) for ends, _, _ in spans)

    def short(unit: Unit) -> int:
        steps = (lengths * size_of(unit, grid) * grid.rate for _, lengths, grid in spans)
        return sum(int((own < _SHORT).sum()) for own in steps)

    if count < _LEAST or short(unit) < _MOST * count:
        return ""
    fits = {}
    for other in _others(unit):
        filled = [ends.max() * size_of(other, grid) / _stop(grid) for ends, _, grid in spans]
        long = count - short(other) >= _MOST * count
        if max(filled) <= 1 and np.mean(filled) >= _FILLED and long:
            fits[other] = sum(filled)
    return f"{short(unit):,} of {count:,} {TOO_SHORT}; {_question(fits)}" if fits else ""


def unlike(true: Targets, found: Predictions, units: Mapping[str, str]) -> str:
    """The question where annotations and predictions, in seconds, end 1000 times apart; or empty.

    ``units``: those that they were read in.
    """
    import pandas as pd

    ends = [
        pd.Series(rows.spans[:, 1]).groupby(rows.places.numpy()).max() for rows in (true, found)
    ]
    times = (ends[0] / ends[1]).dropna()
    later, earlier = "annotations", "predictions"
    if len(times) and times.median() < 1:
        later, earlier, times = earlier, later, 1 / times
    # Steps, such as those of 500 Hz, may be as far from seconds.
    if not len(times) or not 600 < times.median() < 1600 or times.quantile(1 - _MOST) < 100:
        return ""
    remedy = f"unit.{later}=milliseconds"
    if units[earlier] == "milliseconds":
        remedy = f"unit.{earlier}=seconds"
    return f"the {later} end about 1000 times later than the {earlier}: in another unit? {remedy}"


def kind_of_clock(
    parts: Sequence[tuple[Annotated, Grid]], unit: Unit
) -> Literal["date", "day"] | None:
    """What the times of all recordings together are, where they are those of clocks; else None.

    They are where they do not fit from the first step on, and do from the first time of the signals on, by the
    date, or by the time of the day. Signals whose first time lies within their own duration alone do not say so.
    """
    parts = [(entry, grid) for entry, grid in parts if grid.begins and entry.rows]
    plain = [
        row.start * size_of(unit, grid) <= _stop(grid)
        for entry, grid in parts
        for row in entry.rows
        if row.clock is not False
    ]
    if unit == "steps" or not plain or np.mean(plain) > _MOST:
        return None
    for clock in ("date", "day"):
        counted, apart = [], False
        for entry, grid in parts:
            stop, size = _stop(grid), size_of(unit, grid)
            begins = grid.begins % _DAY if clock == "day" else grid.begins
            apart = apart or begins >= stop
            rows = on_the_clock(entry, grid, unit, clock).rows
            counted += [
                -1 / grid.rate <= row.start * size <= stop for row in rows if row.clock is not False
            ]
        if apart and np.mean(counted) >= _MOST:
            return clock
    return None


def on_the_clock(
    entry: Annotated, grid: Grid, unit: Unit, clock: Literal["date", "day"]
) -> Annotated:
    """The annotations of a sequence whose times are those of a clock, counted from its first step.

    Numbers in a table with clock times are counted from there already.
    """
    size, early = size_of(unit, grid), 1 / grid.rate

    def counted(time: float) -> float:
        after = round(time * size - grid.begins, 6)
        after = (after + early) % _DAY - early if clock == "day" else after
        return round(after / size, 6)

    rows = [
        row if row.clock is False else row._replace(start=counted(row.start), end=counted(row.end))
        for row in entry.rows
    ]
    looked_at = entry.annotated and [(counted(s), counted(e)) for s, e in entry.annotated]
    return replace(entry, rows=rows, annotated=looked_at)


def hours_off(row: Row, grid: Grid, unit: Unit, counted: bool) -> tuple[str, str]:
    """What a span in clock times is that fits in its recording an hour or two off, and the question; or both empty.

    ``counted``: its times are counted from the first step.
    """
    size, begins = size_of(unit, grid), grid.begins
    times = row.start, row.start if is_moment(row) else row.end
    start, end = (time * size + counted * begins for time in times)
    for hours in (1, 2):
        off = [(start - begins + sign * 3600 * hours) % _DAY < grid.duration for sign in (1, -1)]
        if row.clock and begins and any(off):
            first, last, begin, stop = map(of_day, (start, end, begins, begins + grid.duration))
            text = f"the span is from {first} to {last}, the recording from {begin} to {stop}"
            long = "an hour" if hours == 1 else "2 hours"
            return text, f"is one of the two clocks {long} off?"
    return "", ""


def of_day(seconds: float) -> str:
    """The time of the day of a date, or of seconds of a day.

    >>> of_day(80100), of_day(1717193700.25), of_day(86399.9999)
    ('22:15:00', '22:15:00.25', '00:00:00')
    """
    minutes, rest = divmod(round(seconds, 3) % _DAY, 60)
    shown = f"{rest:06.3f}".rstrip("0").rstrip(".")
    return f"{int(minutes) // 60:02}:{int(minutes) % 60:02}:{shown}"


def _others(unit: Unit) -> list[Unit]:
    return [other for other in get_args(Unit) if other != unit]


def _question(fits: Mapping[Unit, float]) -> str:
    unit = max(fits, key=fits.__getitem__, default="")
    return f"in {unit}? data.unit={unit}" if unit else ""


def size_of(unit: Unit, grid: Grid) -> float:
    """Seconds of a unit."""
    return grid.frame if unit == "steps" else SIZES[unit]


def _stop(grid: Grid) -> float:
    # As for single spans, an end may stick out by a step.
    return max(grid.timeline.offset + (grid.num_steps + 1) / grid.rate, grid.duration)


def _ends(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    # Ends and lengths of the spans that have a length.
    spans = np.array([row[:2] for row in rows], float).reshape(-1, 2)
    spans = spans[spans[:, 1] > spans[:, 0]]
    return spans[:, 1], spans[:, 1] - spans[:, 0]
