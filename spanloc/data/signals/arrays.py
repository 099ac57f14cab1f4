"""Signals in NumPy's own files, and in memory."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import (
    checked_rate,
    checked_shape,
    kept,
    listed,
    reading,
    require_file,
    require_size,
    shown_path,
)

_ARCHIVE = "a .npz archive of plain arrays"


class NpySignal(Signal):
    """A ``.npy`` array ``(steps, channels)`` or ``(steps,)``, memory-mapped; it says neither rate nor names.

    Raises:
        ValueError: It is no plain array of numbers, or not all of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        where = shown_path(path)
        require_file(path)
        try:
            array = self._open()
        except OSError as error:
            raise OSError(f"{where}: cannot be read: {error.strerror}") from None
        except Exception:
            # numpy's own words, of many kinds, advise to allow pickles, which could run code.
            raise ValueError(
                f"{where}: not a plain .npy array of numbers, or not all of it{_header_of(path)}"
            ) from None
        self.num_steps, self.num_channels = checked_shape(path, array.shape, array.dtype)

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        return self._open()[first:last].reshape(-1, self.num_channels)

    def _open(self) -> np.ndarray:
        # Not np.load, which goes by the content and would open an archive or a pickle of this name.
        array: np.ndarray = np.lib.format.open_memmap(self.path, mode="r")
        return array


class NpzSignal(Signal):
    """One array of a ``.npz`` archive, decompressed into memory when it is first read.

    Args:
        key: Name of the array; not needed where there is only one.

    Raises:
        ValueError: There is no such array, it is no plain array of numbers, or not all of it.
    """

    def __init__(self, path: Path, key: str | None = None) -> None:
        self.path = path
        with reading(path, _ARCHIVE), zipfile.ZipFile(path) as archive:
            names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
            self._key = chosen_key(path, names, key, "array")
            place = f"array {self._key!r:.60}: "
            with archive.open(f"{self._key}.npy") as file:
                shape, _, dtype = _read_header(file)
            self.num_steps, self.num_channels = checked_shape(path, shape, dtype, place)
            num_bytes = self.num_steps * self.num_channels * dtype.itemsize
            require_size(path, num_bytes, "save it as .npy, which is read piece by piece")
            if num_bytes > archive.getinfo(f"{self._key}.npy").file_size:
                raise ValueError(f"{shown_path(path)}: {place}not all of it is there")

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        return kept(self.path, self._key, self._load)[first:last]

    def _load(self) -> np.ndarray:
        with reading(self.path, _ARCHIVE), np.load(self.path, allow_pickle=False) as archive:
            array: np.ndarray = archive[self._key]
            return array.reshape(self.num_steps, self.num_channels)


class ArraySignal(Signal):
    """An array in memory.

    Args:
        array: ``(steps, channels)``, or ``(steps,)`` for one channel, of real numbers.
        rate: Steps per second.
        channels: Names, one a channel.
        units: One a channel.
        name: Of the recording, for errors.

    Raises:
        ValueError: The array has another shape or type, or there are not as many names as channels.
    """

    def __init__(
        self,
        array: np.ndarray,
        rate: float | None = None,
        channels: Sequence[str] | None = None,
        units: Sequence[str] | None = None,
        name: str | Path = "array",
    ) -> None:
        self.path = Path(name)
        array = np.asarray(array)
        self.num_steps, self.num_channels = checked_shape(self.path, array.shape, array.dtype)
        self.rate = None if rate is None else checked_rate(self.path, rate)
        self.channels = None if channels is None else tuple(channels)
        self.units = None if units is None else tuple(units)
        for what, names in (("channels", self.channels), ("units", self.units)):
            if names is not None and len(names) != self.num_channels:
                raise ValueError(
                    f"{shown_path(self.path)}: {what} has {len(names)} names; "
                    f"the array has {self.num_channels} channels"
                )
        self._array = array.reshape(self.num_steps, self.num_channels)

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        return self._array[first:last]


def _read_header(file: Any) -> Any:
    if np.lib.format.read_magic(file) == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _header_of(path: Path) -> str:
    """The header of a ``.npy`` file that cannot be opened, in brackets, if it has one."""
    try:
        with path.open("rb") as file:
            shape, _, dtype = _read_header(file)
            there = path.stat().st_size - file.tell()
    except Exception:  # of many kinds, as above
        return ""
    if dtype.hasobject:
        return f" (dtype is {dtype!s:.60}; wanted float32)"
    said = f"its header says the shape {shape} of {dtype!s:.20}"
    return f" ({said:.120}; {there} bytes follow)"


def chosen_key(path: Path, names: Sequence[str], key: str | None, what: str) -> str:
    """The key of an array in a file: the wanted one, or the only one there is."""
    where = shown_path(path)
    if not names:
        raise ValueError(f"{where}: holds no {what} of numbers")
    if key is None and len(names) > 1:
        raise ValueError(
            f"{where}: holds {len(names)} {what}s: {listed(names)}; set data.key to one"
        )
    if key is not None and key not in names:
        raise ValueError(f"{where}: has no {what} {key!r}; it has {listed(names)}")
    return names[0] if key is None else key
