"""Signals in tables of text, with separated columns."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.data.signals.clock import regular_rate, time_column
from spanloc.data.signals.reading import kept, reading, require_file, require_size, shown_path

_MISSING = {"", "NA", "N/A", "#N/A", "#NA", "n/a", "null", "NULL", "NaN", "nan"}


class CsvSignal:
    """Columns of numbers, one row a step, separated by commas, or by tabs in a ``.tsv``.

    The first line names the channels if anything in it is not a number. A column with the time (see
    :func:`~spanloc.data.signals.clock.time_column`) gives the rate and is no channel; nor is a first
    column without a name, the index that pandas writes. Empty fields are NaN. The file is read whole,
    as float32, and kept in memory. Errors count rows as lines of the file, from 1.

    Args:
        rate: Steps per second; the time column is then ignored.

    Raises:
        ValueError: A field is no number, a row has more or fewer columns, the times are not regular,
            or it takes more than 2 GiB.
        OSError: It cannot be read.
    """

    units: tuple[str, ...] | None = None

    #: What a column of times begins with, in seconds.
    begins: float | None = None

    def __init__(self, path: Path, rate: float | None = None) -> None:
        self.path = path
        self._separator = "\t" if path.suffix.lower() == ".tsv" else ","
        self._read_header()
        values, times = self._parse()
        kept(path, "", lambda: values)
        self.num_steps, self.num_channels = values.shape
        self.channels = tuple(self._chosen) if self._named else None
        self.rate: float | None = None
        if self._time and rate is None:
            name, unit = self._time
            self.rate = regular_rate(path, name, times, unit, first_row=2)
            self.begins = float(times[0]) * unit

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        return kept(self.path, "", lambda: self._parse()[0])[first:last]

    def _read_header(self) -> None:
        where = shown_path(self.path)
        require_file(self.path)
        with reading(self.path, "a table in UTF-8"), self.path.open(encoding="utf-8-sig") as file:
            rows = csv.reader(
                [file.readline(2**20), file.readline(2**20)], delimiter=self._separator
            )
            head, second = next(rows, []), next(rows, [])
        if not any(head):
            raise ValueError(f"{where}: row 1 is empty; wanted columns of numbers")
        self._named = not all(is_number(field) for field in head)
        self._names = (
            [f.strip() for f in head] if self._named else [str(i) for i in range(len(head))]
        )
        for i, name in enumerate(self._names):
            if name in self._names[:i]:
                raise ValueError(f"{where}: row 1 names column {name!r:.60} more than once")
            if i and not name:
                raise ValueError(f"{where}: row 1: column {i + 1} has no name")
        self._time = time_column(self._names)
        self._dates = False
        if self._time and len(second) == len(self._names):
            self._dates = not is_number(second[self._names.index(self._time[0])])
        if self._time and self._dates:
            self._time = self._time[0], 1e-9
        skipped = {"", self._time and self._time[0]}
        self._chosen = [name for name in self._names if name not in skipped]
        if not self._chosen:
            raise ValueError(f"{where}: has no columns of numbers beside the time")

    def _parse(self) -> tuple[np.ndarray, np.ndarray]:
        import pyarrow
        from pyarrow import csv as arrow

        types: dict[str, Any] = dict.fromkeys(self._chosen, pyarrow.float32())
        if self._time:
            types[self._time[0]] = pyarrow.timestamp("ns") if self._dates else pyarrow.float64()
        options = {
            "read_options": arrow.ReadOptions(
                use_threads=False, column_names=self._names, skip_rows=int(self._named)
            ),
            "parse_options": arrow.ParseOptions(delimiter=self._separator),
            "convert_options": arrow.ConvertOptions(
                column_types=types, include_columns=list(types)
            ),
        }
        pieces, times, num_bytes = [], [], 0
        try:
            with (
                pyarrow.OSFile(str(self.path)) as file,
                arrow.open_csv(file, **options) as batches,
            ):
                for batch in batches:
                    pieces.append(columns_of(batch, self._chosen))
                    num_bytes += pieces[-1].nbytes
                    hint = "save it as .npy or .parquet, which are read piece by piece"
                    require_size(self.path, num_bytes, hint)
                    if self._time:
                        times.append(times_of(batch.column(self._time[0])))
        except pyarrow.ArrowInvalid as error:
            raise self._explained(error) from None
        if not num_bytes:
            raise ValueError(f"{shown_path(self.path)}: has no rows; wanted at least one")
        return np.concatenate(pieces), np.concatenate(times) if times else np.zeros(0)

    def _explained(self, error: Exception) -> ValueError:
        # Arrow counts neither rows nor columns as a reader of the file does, so look again.
        where = shown_path(self.path)
        dates = self._time[0] if self._time and self._dates else ""
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.reader(file, delimiter=self._separator)
                for fields in rows:
                    number = rows.line_num
                    if not fields or (self._named and number == 1):
                        continue
                    if len(fields) != len(self._names):
                        wanted = f"{len(fields)} columns; wanted {len(self._names)}"
                        return ValueError(f"{where}: row {number} has {wanted}")
                    for i, (name, field) in enumerate(zip(self._names, fields, strict=True)):
                        if name not in ("", dates) and not is_number(field):
                            column = f"{name!r:.60}" if self._named else i + 1
                            came = f"column {column} is {field!r:.60}; wanted a number"
                            return ValueError(f"{where}: row {number}, {came}")
        except (UnicodeDecodeError, csv.Error):
            pass
        said = "".join(c for c in (str(error).splitlines() or [""])[0] if c.isprintable())
        return ValueError(f"{where}: not a table of numbers in UTF-8 ({said:.120})")


def columns_of(batch: Any, names: Sequence[str]) -> np.ndarray:
    """Columns of an Arrow table or batch, ``(rows, columns)`` float32; what is missing is NaN."""
    array = np.empty((batch.num_rows, len(names)), np.float32)
    for i, name in enumerate(names):
        array[:, i] = batch.column(name).cast("float32", safe=False).to_numpy(zero_copy_only=False)
    return array


def times_of(column: Any) -> np.ndarray:
    """A column of times: date-times as whole nanoseconds, what is missing as NaN."""
    import pyarrow

    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp("ns", column.type.tz)).cast(pyarrow.int64())
    times: np.ndarray = column.to_numpy(zero_copy_only=False)
    return times


def is_number(field: str) -> bool:
    """Whether a field is a number, or missing."""
    field = field.strip()
    if field in _MISSING:
        return True
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field
