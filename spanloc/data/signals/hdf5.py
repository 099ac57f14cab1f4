"""Signals in HDF5 files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.data.signals.arrays import chosen_key
from spanloc.data.signals.reading import (
    checked_rate,
    checked_shape,
    library,
    reading,
    require_file,
    require_size,
    shown_path,
)

_RATES = ("rate", "fs", "sampling_rate")


class Hdf5Signal:
    """A data set ``(steps, channels)`` or ``(steps,)`` of an HDF5 file.

    Attributes of it, or else of the file, may say the rate (``rate``, ``fs`` or ``sampling_rate``);
    its own may name ``channels`` and ``units``, one a column.

    Args:
        key: Path of the data set in the file; not needed where there is only one of numbers.

    Raises:
        ValueError: There is no such data set, it holds no real numbers, or the file is damaged.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path, key: str | None = None) -> None:
        self.path = path
        where = shown_path(path)
        with _opened(path) as file:
            found = _datasets(file)
            self._key = chosen_key(path, list(found), key and key.strip("/"), "data set")
            data = found[self._key]
            place = f"data set {self._key!r:.60}: "
            if data.external or data.is_virtual:
                raise ValueError(f"{where}: {place}its values lie in other files; wanted them here")
            self.num_steps, self.num_channels = checked_shape(path, data.shape, data.dtype, place)
            if data.chunks:
                chunk = int(np.prod(data.chunks, dtype=float)) * data.dtype.itemsize
                require_size(path, chunk, "write it with smaller chunks")
            # Nothing compresses better; a header alone must not make anyone wait for its fill values.
            if data.nbytes > 1100 * data.id.get_storage_size():
                raise ValueError(f"{where}: {place}shape is {data.shape}, but not all is written")
            self.rate: float | None = None
            for name in _RATES:
                for attributes in (file.attrs, data.attrs):
                    if name in attributes:
                        self.rate = checked_rate(path, _number(attributes[name]))
            self.channels = self._strings(data, "channels")
            self.units = self._strings(data, "units")

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        with _opened(self.path) as file:
            array: np.ndarray = file[self._key][first:last]
            return array.reshape(-1, self.num_channels)

    def _strings(self, data: Any, name: str) -> tuple[str, ...] | None:
        if name not in data.attrs:
            return None
        names = np.atleast_1d(data.attrs[name]).tolist()
        texts = tuple(n.decode(errors="replace") if isinstance(n, bytes) else str(n) for n in names)
        if len(texts) != self.num_channels:
            raise ValueError(
                f"{shown_path(self.path)}: attribute {name!r} has {len(texts)} entries; "
                f"wanted {self.num_channels}, one a column"
            )
        return texts


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    h5py = library(path, "h5py", "hdf5")
    require_file(path)
    with reading(path, "an HDF5 file"), h5py.File(path, "r", locking=False) as file:
        yield file


def _datasets(file: Any) -> dict[str, Any]:
    # This follows no links, so nothing outside of the file is opened.
    found = {}

    def add(name: str, item: Any) -> None:
        if hasattr(item, "dtype") and item.dtype.kind in "fiuc":
            found[name] = item

    file.visititems(add)
    return found


def _number(value: Any) -> float:
    values = np.ravel(value)
    return float(values[0]) if len(values) == 1 and values.dtype.kind in "fiu" else float("nan")
