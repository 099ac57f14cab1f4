"""Signals in tables of text: columns separated by commas, semicolons, tabs or blanks."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.data.signals.channels import columns_for
from spanloc.data.signals.clock import SECONDS, Clock, clock_of, date_times, time_column
from spanloc.data.signals.form import beginning_of, has_names, is_number, is_units
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import kept, reading, require_size, shown_path
from spanloc.files import counted

_DAY = 86_400 * 10**9  # nanoseconds
_NO_DATE = re.compile(r"parse string: '(.*?)' as a scalar")
_ZONE = re.compile(r":\d\d(?:[.,]\d+)?(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)$")


class CsvSignal(Signal):
    """Columns of numbers, one row a step.

    In a ``.tsv`` tabs separate the columns. Otherwise the first line decides: tabs where it has one
    outside quotes, else semicolons where it has one, else commas; or blanks, if lines of several numbers have
    none of them. Beside semicolons and tabs, numbers may
    have a decimal comma, then in all of the file. A file that is neither UTF-8 nor UTF-16 is read as
    Windows-1252.

    The first line names the channels if anything in it is not a number; blanks around names do not
    count. Lines above the names and a line of units below them are none of the steps
    (:mod:`~spanloc.data.signals.form`). A column with the time (see
    :func:`~spanloc.data.signals.clock.time_column`) gives the rate and is no channel; nor is a first column
    without a name, the index that pandas writes. Empty fields are NaN. The file is read whole, as float32,
    and kept in memory. Errors name lines of the file, from 1.

    Args:
        rate: Steps per second; the time column is then ignored.
        channels: Names, or numbers from 0, of the columns to take, so that the others need hold no
            numbers. The time and the index are not counted. None: all.
        time: Name of the column with the time; None: one of the usual names.
        skip: Names of columns that are no channels, such as one of labels; see :meth:`texts`.

    Raises:
        ValueError: A field is no number, a row has more or fewer columns, the times do not ascend,
            or it takes more than 2 GiB.
    """

    #: Of a column of times; not of one that is ignored.
    clock: Clock | None = None

    def __init__(
        self,
        path: Path,
        rate: float | None = None,
        channels: Sequence[str | int] | None = None,
        time: str | None = None,
        skip: Sequence[str] = (),
    ) -> None:
        self.path = path
        self._read_header(channels, time, skip)
        values, times = self._parse()
        kept(path, self._part, lambda: values)
        self.num_steps, self.num_channels = values.shape
        self.channels = tuple(self._names[i] for i in self._chosen) if self._named else None
        if self._time and rate is None:
            number, unit = self._time
            if self._dates and times[0] < _DAY:
                # Times of the day begin again at midnight.
                times = times + _DAY * np.cumsum(np.diff(times, prepend=times[0]) < -_DAY / 2)
            clock = clock_of(path, self._names[number], times, unit, first_row=self.first_line)
            self.clock = clock._replace(begins=clock.begins + self._ahead) if self._dates else clock
            self.rate = self.clock.rate

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        return kept(self.path, self._part, lambda: self._parse()[0])[first:last]

    def texts(self, column: str) -> Iterator[Any]:
        """The fields of a column, as arrays of texts of Arrow; nothing where there is none of that name."""
        if column in self._names:
            number = self._names.index(column)
            with reading(self.path, "a table"):
                for batch in self._batches({str(number): "string"}, "."):
                    yield batch.column(0)

    @property
    def _part(self) -> str:
        return ",".join(map(str, self._chosen))

    def _read_header(
        self, channels: Sequence[str | int] | None, time: str | None, skip: Sequence[str]
    ) -> None:
        where = shown_path(self.path)
        self._encoding, self._separator, above, (head, second, third) = beginning_of(self.path)
        if not any(head):
            raise ValueError(f"{where}: line 1 is empty; wanted columns of numbers")
        #: Decimal marks that numbers may have.
        self._points = "." if self._separator in ", " else ".,"
        self._named = has_names(head, self._points, (*skip, time))
        names = [field.strip() for field in head]
        taken = [i for i, name in enumerate(names) if name not in skip]
        same = self._named and len(second) == len(third) == len(head)
        units = same and is_units(*([row[i] for i in taken] for row in (second, third)))
        #: Of the first step.
        self.first_line = above + 1 + self._named + units
        self._names = names if self._named else [str(i) for i in range(len(head))]
        self._time = time_column(self._names, time)
        texts = {}
        row = third if units else second
        if self._named and len(row) == len(head):
            texts = {i: f for i, f in enumerate(row) if not is_number(f, self._points)}
        self._dates = bool(self._time and self._time[0] in texts)
        if self._time and self._dates:
            zone = _ZONE.search(row[self._time[0]].strip())
            self._zone = "UTC" if zone else None
            # Of the clock on the wall.
            ahead = datetime.strptime(zone[1], "%z").utcoffset() if zone else None
            self._ahead = ahead.total_seconds() if ahead else 0.0
            self._time = self._time[0], 1e-9
        elif self._time and units:
            unit = second[self._time[0]].strip(" []()").lower()
            self._time = self._time[0], SECONDS.get(unit, self._time[1])
        skipped = {self._time and self._time[0], None if self._names[0] else 0}
        skipped |= {self._names.index(name) for name in skip if name in self._names}
        kinds = {i: f"text ({text!r:.30} in line {self.first_line})" for i, text in texts.items()}
        self._chosen, self.choice = columns_for(
            self.path, self._names, kinds, channels, skipped, named=self._named
        )
        if units:
            self.units = tuple(second[i].strip(" []()") for i in self._chosen)
        for i in self._chosen:
            name = self._names[i]
            if name in [self._names[other] for other in self._chosen if other < i]:
                raise ValueError(f"{where}: line 1 names column {name!r:.60} more than once")
            if not name:
                raise ValueError(f"{where}: line 1: column {i + 1} has no name")

    def _parse(self) -> tuple[np.ndarray, np.ndarray]:
        import pyarrow

        for point in self._points:
            try:
                values, times = self._parsed(point)
            except pyarrow.ArrowInvalid as error:
                failed = error
            else:
                # Read again, it is known.
                self._points = point
                return values, times
        with reading(self.path, "a table of numbers"):
            self._explain()
            bad = _NO_DATE.search(str(failed))
            if bad and self._time:
                raise ValueError(
                    f"{shown_path(self.path)}: column {self._names[self._time[0]]!r:.60}: "
                    f"{bad[1]!r:.60} is not a time that can be read; wanted seconds, or "
                    "date-times such as 2024-05-31 22:15:00 or 31.05.2024 22:15:00"
                )
            raise failed

    def _parsed(self, point: str) -> tuple[np.ndarray, np.ndarray]:
        chosen = [str(i) for i in self._chosen]
        types = dict.fromkeys(chosen, "float32")
        time = self._time and str(self._time[0])
        if time:
            types[time] = "string" if self._dates else "float64"
        pieces, times, num_bytes = [], [], 0
        for batch in self._batches(types, point):
            pieces.append(columns_of(batch, chosen))
            num_bytes += pieces[-1].nbytes
            hint = "save it as .npy or .parquet, which are read piece by piece"
            require_size(self.path, num_bytes, hint)
            if time:
                column = batch.column(time)
                times.append(times_of(date_times(column, self._zone) if self._dates else column))
        if not num_bytes:
            raise ValueError(f"{shown_path(self.path)}: has no rows; wanted at least one")
        return np.concatenate(pieces), np.concatenate(times) if times else np.zeros(0)

    def _batches(self, types: Mapping[str, str], point: str) -> Iterator[Any]:
        """The columns with these numbers, which have these types of Arrow."""
        import pyarrow
        from pyarrow import csv as arrow

        file, encoding = pyarrow.OSFile(str(self.path)), self._encoding.removesuffix("-sig")
        if self._separator == " ":
            file, encoding = pyarrow.BufferReader(self._one_blank().encode()), "utf-8"
        options = {
            "read_options": arrow.ReadOptions(
                use_threads=False,
                # Names may be there twice, so that columns go by their numbers.
                column_names=[str(i) for i in range(len(self._names))],
                skip_rows=self.first_line - 1,
                encoding=encoding,
            ),
            "parse_options": arrow.ParseOptions(delimiter=self._separator),
            "convert_options": arrow.ConvertOptions(
                column_types={name: pyarrow.type_for_alias(kind) for name, kind in types.items()},
                include_columns=list(types),
                decimal_point=point,
            ),
        }
        # Not closed by hand: after an error, Arrow's thread may still be reading ahead, from whatever file
        # would have got the same number next.
        with arrow.open_csv(file, **options) as batches:
            yield from batches

    def _one_blank(self) -> str:
        """The text of a table of blanks, with one between two fields."""
        text = re.sub(" +", " ", self.path.read_text(self._encoding))
        return re.sub(" ?\n ?", "\n", text).strip(" ")

    def _explain(self) -> None:
        """Raise the first error of the table; Arrow counts neither rows nor columns as the file does."""
        where = shown_path(self.path)
        read = {*self._chosen, *(() if self._dates or not self._time else (self._time[0],))}
        with_comma = with_point = None
        blanks = self._separator == " "
        with (
            io.StringIO(self._one_blank())
            if blanks
            else self.path.open(encoding=self._encoding, newline="")
        ) as file:
            rows = csv.reader(file, delimiter=self._separator)
            for fields in rows:
                number = rows.line_num
                if not fields or number < self.first_line:
                    continue
                if len(fields) != len(self._names):
                    wanted = f"{counted(len(fields), 'column')}; wanted {len(self._names)}"
                    if len(fields) < len(self._names) and next(rows, None) is None:
                        wanted += ": the last line of the file is cut off, so delete it"
                    raise ValueError(f"{where}: line {number} has {wanted}")
                for i in sorted(read):
                    field = fields[i]
                    column = f"{self._names[i]!r:.60}" if self._named else i + 1
                    came = f"line {number}, column {column} is {field!r:.60}"
                    if not is_number(field, self._points):
                        hint = "or choose other columns with data.channels"
                        raise ValueError(f"{where}: {came}; wanted a number, {hint}")
                    with_comma = with_comma or (came if "," in field else None)
                    with_point = with_point or (came if "." in field else None)
                    if with_comma and with_point:
                        wanted = "wanted decimal commas or points, not both"
                        raise ValueError(f"{where}: {with_comma} and {with_point}; {wanted}")


def columns_of(batch: Any, names: Sequence[str]) -> np.ndarray:
    """Columns of an Arrow table or batch, ``(rows, columns)`` float32; missing values are NaN."""
    array = np.empty((batch.num_rows, len(names)), np.float32)
    for i, name in enumerate(names):
        array[:, i] = batch.column(name).cast("float32", safe=False).to_numpy(zero_copy_only=False)
    return array


def times_of(column: Any) -> np.ndarray:
    """A column of times: date-times as whole nanoseconds, missing ones as NaN."""
    import pyarrow

    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp("ns", column.type.tz)).cast(pyarrow.int64())
    times: np.ndarray = column.to_numpy(zero_copy_only=False)
    return times
