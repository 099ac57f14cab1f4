"""Times in the cells of tables: numbers, perhaps with decimal commas, minutes and seconds, and date-times."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from spanloc.data.annotations.rows import Unit, number
from spanloc.files import shown

# Of so few digits that the hours of the longest are still a time.
_CLOCK = re.compile(r"(?:(\d{1,8}):)?(\d{1,9}):(\d{1,9}(?:\.\d*)?)")


class Times:
    """Reads the times of one table, cell by cell or in columns of pyarrow.

    ``unit`` is that of its numbers; ``mm:ss`` and ``hh:mm:ss`` are converted to it. ``commas``: numbers may
    have a decimal comma.
    """

    def __init__(self, file: str, unit: Unit, *, commas: bool) -> None:
        self.file, self.unit, self.commas = file, unit, commas
        # The first number with a decimal comma, and with a point.
        self._marks: dict[str, str] = {}

    def of_cell(self, value: Any, place: str, column: str) -> float:
        """A time in the unit of the table."""
        if self.commas and isinstance(value, str) and (mark := _mark(value)):
            self._note(mark, value, place, column)
            value = value.replace(",", ".")
        if not isinstance(value, str) or ":" not in value:
            return number(value, f"{self.file}: {place}", column)
        seconds, came = _clock(value), f"{self.file}: {place}: {column} is {shown(value)}"
        if seconds is None:
            raise ValueError(f"{came}; wanted a number, mm:ss, hh:mm:ss or a date-time")
        if self.unit == "steps":
            raise ValueError(f"{came}, which is minutes and seconds; data.unit is steps")
        return self._in_unit(seconds)

    def of_column(
        self, cells: Any, place: Callable[[int], str], column: str, *, clock: bool = True
    ) -> Any:
        """Cells with numbers as Python writes them; what is no number stays as it is."""
        import pyarrow as pa
        from pyarrow import compute

        if not pa.types.is_string(cells.type):
            return cells
        for mark in ",." if self.commas else "":
            if mark in self._marks:
                continue
            for i in compute.indices_nonzero(compute.match_substring(cells, mark)).to_pylist():
                if _mark(cells[i].as_py()) == mark:
                    self._note(mark, cells[i].as_py(), place(i), column)
                    break
        if "," in self._marks:
            cells = compute.replace_substring(cells, ",", ".")
        colons = compute.indices_nonzero(compute.match_substring(cells, ":")).to_pylist()
        if colons and clock:
            texts = cells.to_pylist()
            for i in colons:
                if (seconds := _clock(texts[i])) is not None:
                    texts[i] = repr(self._in_unit(seconds))
            cells = pa.array(texts, cells.type)
        return cells

    def _note(self, mark: str, value: str, place: str, column: str) -> None:
        self._marks.setdefault(mark, f"{shown(value)} in {place}")
        if len(self._marks) > 1:
            raise ValueError(
                f"{self.file}: {place}: {column} is {shown(value)}, and "
                f"{next(iter(self._marks.values()))}; wanted decimal commas or points, not both"
            )

    def _in_unit(self, seconds: float) -> float:
        return round(seconds * (1000 if self.unit == "milliseconds" else 1), 9)


def _mark(value: str) -> str | None:
    # Of a number, its decimal comma or point.
    mark = value.strip().strip("+-:0123456789eE")
    return mark if mark in (",", ".") else None


def _clock(value: str) -> float | None:
    found = _CLOCK.fullmatch(value.strip())
    hours, minutes, seconds = found.groups(default="0") if found else ("", "", "")
    if not found:
        return _date(value)
    if float(seconds) >= 60 or (found[1] and int(minutes) >= 60):
        return None
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def _date(value: str) -> float | None:
    # A date with points is as in most of Europe.
    try:
        when = datetime.fromisoformat(
            re.sub(r"^(\d\d)\.(\d\d)\.(\d{4})", r"\3-\2-\1", value.strip())
        )
    except ValueError:
        return None
    # As the clock on the wall shows it, as of recordings.
    return when.replace(tzinfo=UTC).timestamp()
