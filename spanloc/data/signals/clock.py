"""Columns of a table that hold the time: the rate they say."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spanloc.data.signals.reading import shown_path

_NAME = re.compile(r"(?:time|timestamp|t)(?:[ _]*[\[(]?(s|sec|secs|seconds|ms|us|ns)[\])]?)?", re.I)
_SECONDS = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def time_column(names: Sequence[str]) -> tuple[str, float] | None:
    """The first column with the time, and its unit in seconds; None where there is none.

    It is called ``time``, ``timestamp`` or ``t`` in small or capital letters and holds seconds, or
    date-times; after ``_`` or a blank, or in brackets, another unit may follow: ``time_ms``.

    >>> time_column(["x", "Time (ms)"]), time_column(["temperature"])
    (('Time (ms)', 0.001), None)
    """
    for name in names:
        # "ts" is no t in seconds.
        if (found := _NAME.fullmatch(name.strip())) and name.strip().lower() != "ts":
            return name, _SECONDS.get((found[1] or "s").lower(), 1.0)
    return None


def regular_rate(
    path: Path, name: str, times: np.ndarray, unit: float, *, first_row: int
) -> float | None:
    """Steps per second of a column of times, None for a single one.

    Regular are times of which each lies between half a step and one and a half after the one before,
    and at most one step from the straight line between the first and the last. The rate has no more
    digits than the times can tell.

    Args:
        times: One a row, in ``unit``.
        unit: In seconds.
        first_row: Number of the first row, for the error.

    Raises:
        ValueError: They are not regular; it names the first row that is off.
    """
    where = f"{shown_path(path)}: column {name!r:.60}"
    bad = ~np.isfinite(times)
    if bad.any():
        raise ValueError(f"{where} has no time in row {first_row + int(bad.argmax())}")
    if unit == 1 and abs(times[0]) > 1e11:
        raise ValueError(
            f"{where} begins with {times[0]:.15g} seconds, which is no date; wanted seconds, or a "
            "name that says the unit, such as 'time_ms'"
        )
    if len(times) == 1:
        return None
    seconds = (times - times[0]) * unit
    steps, duration = np.diff(seconds), float(seconds[-1])
    step = float(np.median(steps))
    off = (steps < 0.5 * step) | (steps > 1.5 * step) | (steps <= 0)
    away = np.abs(seconds - np.linspace(0, duration, len(seconds)))
    if not off.any():
        off = away[1:] > step
    if off.any():
        i = int(off.argmax())
        raise ValueError(
            f"{where} is not regular: row {first_row + i + 1} comes {steps[i]:.6g} s after the one "
            f"before, at {seconds[i + 1]:.6g} s, where most come after {step:.6g} s; "
            "wanted equal steps, or no such column and a rate"
        )
    rate = len(steps) / duration
    unsure = min(1e-9 + 2 * float(away.max()) / duration, 1e-3)
    for digits in range(3, 16):
        short = float(f"{rate:.{digits}g}")
        if abs(short - rate) <= unsure * rate:
            return short
    return rate
