"""Signals in Parquet files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from spanloc.data.signals.channels import columns_for
from spanloc.data.signals.clock import Clock, clock_of, time_column
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import kept, reading, require_size, shown_path
from spanloc.data.signals.tables import columns_of, times_of

# Rows whose times are read at once.
_PIECE = 2**20


class ParquetSignal(Signal):
    """Columns of a ``.parquet`` file; only the row groups that are needed are read.

    The column with the time is used as in a :class:`CsvSignal`, and the index of pandas is no
    channel. Missing values are NaN. Errors count rows from 0.

    Args:
        rate, channels, time, skip: As in :class:`CsvSignal`.

    Raises:
        ValueError: A column holds no numbers, the times do not ascend, or the file is damaged.
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
        from pyarrow import types

        self.path = path
        where = shown_path(path)
        with _opened(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            own, names = _names(schema)
            every = [_no_number(schema.field(name).type) for name in own]
            kinds = {i: kind for i, kind in enumerate(every) if kind is not None}
            clock = time_column(names, time)
            beside = {i for i, name in enumerate(names) if name in skip} | {clock and clock[0]}
            chosen, self.choice = columns_for(path, names, kinds, channels, beside)
            self._chosen = [own[i] for i in chosen]
            counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            self._firsts = np.cumsum([0, *counts])
            self.num_steps, self.num_channels = int(self._firsts[-1]), len(self._chosen)
            if self.num_steps < 1:
                raise ValueError(f"{where}: has no rows; wanted at least one")
            self.channels = tuple(names[i] for i in chosen)
            if clock and rate is None:
                name, unit = own[clock[0]], clock[1]
                kind = schema.field(name).type
                if not (types.is_integer(kind) or types.is_floating(kind)):
                    if not types.is_timestamp(kind):
                        came = f"holds {kind!s:.60}; wanted seconds or timestamps"
                        raise ValueError(f"{where}: column {name!r:.60} {came}")
                    unit = 1e-9
                batches = file.iter_batches(_PIECE, columns=[name], use_threads=False)
                times = np.concatenate([times_of(batch.column(0)) for batch in batches])
                self.clock = clock_of(path, name, times, unit, first_row=0)
                self.rate = self.clock.rate

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        last = min(last, self.num_steps)
        group = int(np.searchsorted(self._firsts, first, side="right")) - 1
        pieces = [np.empty((0, self.num_channels), np.float32)]
        while group < len(self._firsts) - 1 and (start := int(self._firsts[group])) < last:
            part = f"row group {group} of {self._chosen}"
            rows = kept(self.path, part, partial(self._load, group))
            pieces.append(rows[max(first - start, 0) : last - start])
            group += 1
        return pieces[1] if len(pieces) == 2 else np.concatenate(pieces)

    def texts(self, column: str) -> Iterator[Any]:
        """The values of a column, as :meth:`CsvSignal.texts` gives them."""
        with _opened(self.path) as file:
            own, names = _names(file.schema_arrow)
            if column in names:
                chosen = [own[names.index(column)]]
                for batch in file.iter_batches(_PIECE, columns=chosen, use_threads=False):
                    yield batch.column(0).cast("string")

    def _load(self, group: int) -> np.ndarray:
        num_rows = int(self._firsts[group + 1] - self._firsts[group])
        num_bytes = 4 * num_rows * self.num_channels
        require_size(self.path, num_bytes, "write it with smaller row groups")
        with _opened(self.path) as file:
            found = file.read_row_group(group, columns=self._chosen, use_threads=False)
            if found.num_rows != num_rows:
                raise ValueError(f"{found.num_rows} rows where {num_rows} should be")
            return columns_of(found, self._chosen)


def column_names(path: Path) -> list[str]:
    """The names of the columns of a file, without the index of pandas."""
    with _opened(path) as file:
        return _names(file.schema_arrow)[1]


def _names(schema: Any) -> tuple[list[str], list[str]]:
    # As the file spells them, and in NFC.
    own = [name for name in schema.names if not name.startswith("__index_level_")]
    return own, [normalize("NFC", name) for name in own]


def _no_number(kind: Any) -> str | None:
    from pyarrow import types

    numbers = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return None if any(is_one(kind) for is_one in numbers) else str(kind)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from pyarrow import OSFile, parquet

    # Without the threads that read ahead: a loader's workers are forks.
    with (
        reading(path, "a Parquet file"),
        OSFile(str(path)) as source,
        parquet.ParquetFile(source, pre_buffer=False) as file,
    ):
        yield file
