"""Signals in HDF5 files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.data.signals.arrays import chosen_key
from spanloc.data.signals.channels import columns_for
from spanloc.data.signals.clock import Clock, clock_of, time_column
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import (
    RATES,
    checked_rate,
    checked_shape,
    library,
    reading,
    require_size,
    shown_path,
)


class Hdf5Signal(Signal):
    """A data set ``(steps, channels)`` or ``(steps,)`` of an HDF5 file, or a table with named columns.

    Attributes of it, or else of the file, may say the rate (``rate``, ``fs`` or ``sampling_rate``);
    its own may name ``channels`` and ``units``, one a column. A table is a data set of rows with fields
    (a compound type); its column with the time is used as in a :class:`CsvSignal`.

    Args:
        key: Path of the data set in the file; not needed where there is only one of numbers, or no such
            and one table.
        rate, channels, time: Of a table, as in :class:`CsvSignal`.

    Raises:
        ValueError: There is no such data set, it holds no real numbers, or the file is damaged.
    """

    #: Of a column of times; not of one that is ignored.
    clock: Clock | None = None

    def __init__(
        self,
        path: Path,
        key: str | None = None,
        rate: float | None = None,
        channels: Sequence[str | int] | None = None,
        time: str | None = None,
    ) -> None:
        self.path = path
        where = shown_path(path)
        with _opened(path) as file:
            found, tables = _datasets(file)
            if key is not None or not found:
                found |= tables
            self._key = chosen_key(path, list(found), key and key.strip("/"), "data set")
            data = found[self._key]
            place = f"data set {self._key!r:.60}: "
            if data.external or data.is_virtual:
                raise ValueError(f"{where}: {place}its values lie in other files; wanted them here")
            if data.chunks:
                chunk = int(np.prod(data.chunks, dtype=float)) * data.dtype.itemsize
                require_size(path, chunk, "write it with smaller chunks")
            # Nothing compresses better; a header alone must not make anyone wait for its fill values.
            if data.nbytes > 1100 * data.id.get_storage_size():
                raise ValueError(f"{where}: {place}shape is {data.shape}, but not all is written")
            for name in RATES:
                for attributes in (file.attrs, data.attrs):
                    if name in attributes:
                        self.rate = checked_rate(path, _number(attributes[name]))
            self._fields: list[str] | None = None
            if data.dtype.names:
                self._open_table(data, rate, channels, time)
                return
            self.num_steps, self.num_channels = checked_shape(path, data.shape, data.dtype, place)
            self.channels = self._strings(data, "channels")
            self.units = self._strings(data, "units")

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        with _opened(self.path) as file:
            data = file[self._key]
            if self._fields is not None:
                rows = data.fields(self._fields)[first:last]
                return np.stack([rows[name].astype(np.float32) for name in self._fields], axis=1)
            array: np.ndarray = data[first:last]
            return array.reshape(-1, self.num_channels)

    def _open_table(
        self, data: Any, rate: float | None, channels: Sequence[str | int] | None, time: str | None
    ) -> None:
        names = data.dtype.names
        types = (data.dtype[name] for name in names)
        kinds = {
            i: "text" if kind.kind in "OSU" else str(kind)
            for i, kind in enumerate(types)
            if kind.kind not in "fiub"
        }
        clock = time_column(names, time)
        chosen, self.choice = columns_for(self.path, names, kinds, channels, (clock and clock[0],))
        self._fields = [names[i] for i in chosen]
        shape = (*data.shape, len(self._fields))
        self.num_steps, self.num_channels = checked_shape(self.path, shape, np.dtype(np.float32))
        self.channels = tuple(self._fields)
        if clock and rate is None and self.rate is None:
            place, unit = clock
            name = names[place]
            if (kind := data.dtype[name]).kind not in "fiu":
                came = (
                    f"column {name!r:.60} holds {kinds.get(place, str(kind)):.60}; wanted seconds"
                )
                raise ValueError(f"{shown_path(self.path)}: {came}")
            times = data.fields(name)[:].astype(np.float64)
            self.clock = clock_of(self.path, name, times, unit, first_row=0)
            self.rate = self.clock.rate

    def _strings(self, data: Any, name: str) -> tuple[str, ...] | None:
        if name not in data.attrs:
            return None
        names = np.atleast_1d(data.attrs[name]).tolist()
        texts = tuple(n.decode(errors="replace") if isinstance(n, bytes) else str(n) for n in names)
        if len(texts) != self.num_channels:
            turned = len(texts) == self.num_steps
            hint = ": the array seems to be (channels, steps); transpose it" if turned else ""
            raise ValueError(
                f"{shown_path(self.path)}: attribute {name!r} has {len(texts)} entries; "
                f"wanted {self.num_channels}, one a column{hint}"
            )
        return texts


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    h5py = library(path, "h5py", "hdf5")
    with reading(path, "an HDF5 file"), h5py.File(path, "r", locking=False) as file:
        yield file


def _datasets(file: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    # Arrays of numbers, and tables. This follows no links, so nothing outside of the file is opened.
    found: tuple[dict[str, Any], dict[str, Any]] = {}, {}

    def add(name: str, item: Any) -> None:
        if hasattr(item, "dtype") and (item.dtype.kind in "fiuc" or _is_table(item)):
            found[_is_table(item)][name] = item

    file.visititems(add)
    return found


def _is_table(item: Any) -> bool:
    return bool(item.dtype.names) and len(item.shape or ()) == 1


def _number(value: Any) -> float:
    values = np.ravel(value)
    return float(values[0]) if len(values) == 1 and values.dtype.kind in "fiu" else float("nan")
