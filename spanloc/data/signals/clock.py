"""Columns of a table that hold the time: the rate and the places of the rows."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

import numpy as np

from spanloc.data.signals.reading import shown_path

_NAME = re.compile(
    r"(?:(?:(?:date|datum|fecha)[ _/]*)?(?:time|timestamp|zeit|uhrzeit|temps|tiempo|heure|hora)"
    r"|elapsed|seconds|t)"
    r"(?:[ _]*[\[(]?(s|sec|secs|seconds|ms|us|ns)[\])]?)?",
    re.I,
)
_UNIT = re.compile(r"(?:^|[ _\[(])(s|secs?|seconds|ms|us|ns)[\])]?$", re.I)
#: Seconds since 1970 that are taken for a date: from 1973 on; no recording lasts as long.
DATES = (1e8, 1e11)
# A date with points, and a time of a day alone, as ISO 8601 has them.
_RESPELLED = (
    (r"^\s*(\d\d)\.(\d\d)\.(\d{4})", r"\3-\2-\1"),
    (r"^\s*(\d:\d\d:\d\d)", r"0\1"),
    (r"^\s*(\d\d:\d\d:\d\d)", r"1970-01-01 \1"),
    (",", "."),
)
#: Units of a column of times.
SECONDS = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def time_column(names: Sequence[str], chosen: str | None = None) -> tuple[int, float] | None:
    """The place of the column with the time, and its unit in seconds; None where there is none.

    It is the ``chosen`` one, else the first that is called ``time``, ``timestamp``, ``elapsed``, ``seconds``,
    ``zeit``, ``uhrzeit``, ``temps``, ``heure``, ``tiempo``, ``hora`` or ``t``, in small or capital letters, or
    as in ``Date/Time``. It holds seconds, or date-times; after ``_`` or a blank, or in brackets, another unit may follow: ``time_ms``.
    It may follow a ``chosen`` name, or number, that is without it in the file.

    >>> time_column(["x", "Time (ms)"]), time_column(["temperature"])
    ((1, 0.001), None)
    >>> time_column(["time", "clock_ms"], "clock_ms"), time_column(["Datum/Uhrzeit"])
    ((1, 0.001), (0, 1.0))
    >>> time_column(["Uhr", "x"], "Uhr (ms)"), time_column(["0", "1"], "1_us")
    ((0, 0.001), (1, 1e-06))
    """
    if chosen is not None:
        names, chosen = [normalize("NFC", name) for name in names], normalize("NFC", chosen)
        unit = _UNIT.search(chosen.strip())
        bare = chosen.strip()[: unit.start()].strip() if unit else ""
        if (name := chosen if chosen in names else bare) in names and name:
            return names.index(name), SECONDS.get(unit[1].lower(), 1.0) if unit else 1.0
    for place, name in enumerate(names):
        # "ts" is no t in seconds.
        if (found := _NAME.fullmatch(name.strip())) and name.strip().lower() != "ts":
            return place, SECONDS.get((found[1] or "s").lower(), 1.0)
    return None


# Steps that irregular times may span: so many, or so many for each row. Beyond, a clock was set.
_MOST_STEPS, _MOST_TIMES = 2**24, 100


class Clock(NamedTuple):
    """The times of the rows of a table.

    Args:
        rate: Steps per second; None where there is one row.
        begins: Time of the first row, in seconds.
        places: Where the rows lie, in steps from the first one, ascending; None where row i is step i.
        uneven: What is not regular about them, for a message.
        assumed: Name of their column, where nothing says that they are seconds.
    """

    rate: float | None
    begins: float
    places: np.ndarray | None = None
    uneven: str = ""
    assumed: str = ""


def start_of(signal: object) -> datetime | None:
    """The date and time of the first step of a signal, where its file says it."""
    clock = getattr(signal, "clock", None)
    if clock and DATES[0] < clock.begins < DATES[1]:
        return datetime.fromtimestamp(clock.begins, UTC).replace(tzinfo=None)
    start: datetime | None = getattr(signal, "start", None)
    return start


def clock_time(seconds: float) -> str:
    """A time of a clock in words: seconds since 1970 as a date.

    >>> clock_time(1717193700), clock_time(80100.25)
    ('2024-05-31 22:15:00', '80100.25 s')
    """
    if DATES[0] < seconds < DATES[1]:
        return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M:%S}"
    return f"{seconds:.10g} s"


def date_times(column: Any, zone: str | None) -> Any:
    """A column of texts of Arrow as date-times: ISO 8601, ``31.05.2024 22:15:00``, or a time of a day.

    Raises:
        pyarrow.ArrowInvalid: A text is none of them.
    """
    import pyarrow
    from pyarrow import compute

    kind = pyarrow.timestamp("ns", zone)
    try:
        return column.cast(kind)
    except pyarrow.ArrowInvalid:
        for pattern, text in _RESPELLED:
            column = compute.replace_substring_regex(column, pattern, text)
        return compute.utf8_trim_whitespace(column).cast(kind)


def clock_of(path: Path, name: str, times: np.ndarray, unit: float, *, first_row: int) -> Clock:
    """The rate of a column of times, and where they are not regular, the places of the rows.

    Times are regular where each lies between half a step and one and a half after the one before, and
    at most one step from the straight line between the first and the last. The rate has no more
    digits than the times support. That of other times has three digits; rows of the same time, as in packets,
    share the distance to the next one.

    Args:
        times: One a row, in ``unit``.
        unit: In seconds.
        first_row: For messages: the line of the first row in a file of text, or 0.

    Raises:
        ValueError: A time is missing, lies before the one above, or all are the same.
    """
    where = f"{shown_path(path)}: column {name!r:.60}"
    row, bad = "line" if first_row else "row", ~np.isfinite(times)
    if bad.any():
        raise ValueError(f"{where} has no time in {row} {first_row + int(bad.argmax())}")
    if unit == 1 and abs(times[0]) > 1e11:
        raise ValueError(
            f"{where} begins with {times[0]:.15g} seconds, which is no date; wanted seconds, or a "
            "name that says the unit, such as 'time_ms'"
        )
    begins, assumed = float(times[0]) * unit, "" if unit != 1 or _UNIT.search(name) else name
    if len(times) == 1:
        return Clock(None, begins)
    seconds = (times - times[0]) * unit
    steps, duration = np.diff(seconds), float(seconds[-1])
    if (steps < 0).any() or not duration:
        i = int(steps.argmin())
        came = f"{steps[i]:.6g} s after the one before" if duration else "at the time of the first"
        raise ValueError(f"{where}: {row} {first_row + i + 1} comes {came}; wanted ascending times")
    step = float(np.median(steps))
    off = (steps < 0.5 * step) | (steps > 1.5 * step) | (steps <= 0)
    away = np.abs(seconds - np.linspace(0, duration, len(seconds)))
    if not off.any():
        off = away[1:] > step
    # float32 rounds times that begin late.
    if times.dtype == np.float32 and away.max() <= 2 * np.spacing(np.abs(times).max()) * unit:
        off[:] = False
    if off.any():
        i = int(off.argmax())
        uneven = (
            f"{where} is not regular: {row} {first_row + i + 1} comes {steps[i]:.6g} s after the one "
            f"before, at {seconds[i + 1]:.6g} s, where most come after {step:.6g} s"
        )
        seconds, step = _spread(seconds)
        rate = float(f"{1 / step:.3g}")
        if seconds[-1] * rate > max(_MOST_STEPS, _MOST_TIMES * len(seconds)):
            i = int(steps.argmax())
            raise ValueError(
                f"{where}: {row} {first_row + i + 1} comes {steps[i]:.6g} s after the one before, where most "
                f"come after {step:.6g} s; was a clock set? Cut the recording there"
            )
        return Clock(rate, begins, seconds * rate, uneven, assumed)
    rate = len(steps) / duration
    unsure = min(1e-9 + 2 * float(away.max()) / duration, 1e-3)
    shorter = (float(f"{rate:.{digits}g}") for digits in range(3, 16))
    rate = next((r for r in shorter if abs(r - rate) <= unsure * rate), rate)
    return Clock(rate, begins, assumed=assumed)


def _spread(seconds: np.ndarray) -> tuple[np.ndarray, float]:
    """Times with equal ones spread up to the next, and the usual distance of rows."""
    distinct, firsts, counts = np.unique(seconds, return_index=True, return_counts=True)
    apart = np.diff(distinct) / counts[:-1]
    step = float(np.median(np.repeat(apart, counts[:-1])))
    # In front of a gap, and after the last time, rows lie as close as elsewhere.
    apart = np.repeat(np.append(np.minimum(apart, step), step), counts)
    seconds = seconds + apart * (np.arange(len(seconds)) - np.repeat(firsts, counts))
    # A row that is lost makes a distance of two steps.
    steps = np.diff(seconds)
    steps = steps[steps <= 10 * step]
    return seconds, float(steps.sum() / np.maximum(1, np.round(steps / step)).sum())
