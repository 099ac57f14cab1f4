"""Times that are plausible in another unit than the one they are read in."""

from collections.abc import Sequence
from typing import get_args

import numpy as np

from spanloc.data.annotations.meaning import SIZES, Grid
from spanloc.data.annotations.rows import Row, Unit, is_moment

# Share of the spans that counts as nearly all, and the fewest spans that say something together.
_MOST, _LEAST = 0.9, 5
# Recordings are annotated up to here at least, on average; in a wrong unit they may seem to end early.
_FILLED = 0.5
# Steps.
_SHORT = 2
# Ends this many times later than that of the recording are long after it.
_LONG = 1.5
#: A part of the message of :meth:`Units.too_short`.
TOO_SHORT = f"spans are shorter than {_SHORT} steps"

_DAY = 86400


class Units:
    """Compares the times of spans with their recordings, in each unit that they may be in.

    Args:
        unit: The unit that the times are read in.
        fixed: Whether the format defines the unit, so that no other one can be meant.
    """

    def __init__(self, unit: Unit, *, fixed: bool = False) -> None:
        self._unit = unit
        self._others: list[Unit] = [] if fixed else [u for u in get_args(Unit) if u != unit]
        self._count = self._short = 0
        # By unit: spans that are long enough in it, and how far each recording is filled.
        self._long = dict.fromkeys(self._others, 0)
        self._filled: dict[Unit, list[float]] = {unit: [] for unit in self._others}

    def past_end(self, rows: Sequence[Row], grid: Grid) -> str:
        """The unit in which the spans of a recording fit, where nearly all begin after it; or empty.

        Of whole numbers, read as seconds, it is enough that half of them end long after it.
        Moments count where there is nothing else.

        >>> from spanloc.structures import Timeline
        >>> grid = Grid(Timeline(0.02), 50, 1500, 0.02, 30.0)
        >>> Units("seconds").past_end([Row(6000, 9000, "walk", "line 2")], grid)
        'in milliseconds? data.unit=milliseconds'
        """
        ends, lengths = _ends(rows)
        stop = _stop(grid)
        if not len(ends):
            ends = np.array([row.start for row in rows if is_moment(row)])
            lengths = np.zeros(len(ends))
        starts = (ends - lengths) * size_of(self._unit, grid)
        whole = self._unit == "seconds" and not (np.stack([ends, lengths]) % 1).any()
        if not len(ends) or (
            (starts > stop).mean() < _MOST and not (whole and np.median(ends) > _LONG * stop)
        ):
            return ""
        fits = {}
        for unit in self._others:
            size = size_of(unit, grid)
            long = not lengths.any() or np.median(lengths) * size * grid.rate >= _SHORT
            if ends.max() * size <= stop and long:
                fits[unit] = ends.max() * size
        return _question(max(fits, key=fits.__getitem__)) if fits else ""

    def on_the_clock(self, rows: Sequence[Row], grid: Grid) -> list[Row]:
        """The rows counted from the first step, where they are clock times that lie in the recording; else none.

        They may be dates, or times of the day.
        """
        if self._unit == "steps" or not grid.begins or not rows:
            return []
        size, stop, early = size_of(self._unit, grid), _stop(grid), 1 / grid.rate
        starts = np.array([row.start for row in rows]) * size
        # After midnight, times of the day are as small as others, so then all must fit.
        least = _MOST if (starts > stop).mean() >= _MOST else 1
        if not (starts > stop).any():
            return []
        for day in (False, True):
            begins = grid.begins % _DAY if day else grid.begins

            def counted(time: float, begins: float = begins, day: bool = day) -> float:
                after = round(time * size - begins, 6)
                return ((after + early) % _DAY - early if day else after) / size

            placed = [r._replace(start=counted(r.start), end=counted(r.end)) for r in rows]
            inside = [-early <= row.start * size <= stop for row in placed]
            if np.mean(inside) >= least:
                return placed
        return []

    def add(self, rows: Sequence[Row], grid: Grid) -> None:
        """Count the spans of a recording, for :meth:`too_short`."""
        ends, lengths = _ends(rows)
        if not len(ends):
            return
        self._count += len(ends)
        self._short += int((lengths * size_of(self._unit, grid) * grid.rate < _SHORT).sum())
        for unit in self._others:
            size = size_of(unit, grid)
            self._long[unit] += int((lengths * size * grid.rate >= _SHORT).sum())
            self._filled[unit].append(float(ends.max() * size / _stop(grid)))

    def too_short(self) -> str:
        """A message where nearly all spans last hardly a step, and fit in a larger unit; or empty."""
        if self._count < _LEAST or self._short < _MOST * self._count:
            return ""
        fits = {
            unit: sum(filled)
            for unit, filled in self._filled.items()
            if max(filled) <= 1
            and np.mean(filled) >= _FILLED
            and self._long[unit] >= _MOST * self._count
        }
        if not fits:
            return ""
        unit = max(fits, key=fits.__getitem__)
        return f"{self._short:,} of {self._count:,} {TOO_SHORT}; {_question(unit)}"


def of_day(seconds: float) -> str:
    """The time of the day of a date, or of seconds of a day.

    >>> of_day(80100), of_day(1717193700.25)
    ('22:15:00', '22:15:00.25')
    """
    minutes, rest = divmod(round(seconds % _DAY, 3), 60)
    shown = f"{rest:06.3f}".rstrip("0").rstrip(".")
    return f"{int(minutes) // 60:02}:{int(minutes) % 60:02}:{shown}"


def _question(unit: Unit) -> str:
    return f"in {unit}? data.unit={unit}"


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
