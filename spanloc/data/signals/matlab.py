"""Signals in MATLAB files."""

from pathlib import Path

import numpy as np

from spanloc.data.signals.arrays import chosen_key
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import (
    RATES,
    checked_rate,
    checked_shape,
    kept,
    listed,
    reading,
    require_size,
    shown_path,
)

_KIND = "a MATLAB file of numbers, of version 7 or older"
# Classes of numbers; the others are texts, cells, structs, sparse matrices and functions.
_TYPES = {"double": "f8", "single": "f4", "logical": "u1"} | {
    f"{sign}int{bits}": f"{sign or 'i'}{bits // 8}"
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}


class MatSignal(Signal):
    """A matrix of a MATLAB file, read into memory when it is first needed; its longer side are the steps.

    A number called ``rate``, ``fs`` or ``sampling_rate``, in small or capital letters, is the rate.

    Args:
        key: Name of the matrix; not needed where there is only one with more than one number.

    Raises:
        ValueError: There is no such matrix, it holds no real numbers, or the file is of MATLAB 7.3 or damaged.
    """

    def __init__(self, path: Path, key: str | None = None) -> None:
        from scipy.io import loadmat, whosmat  # takes a tenth of a second

        self.path = path
        where = shown_path(path)
        with reading(path, _KIND):
            with path.open("rb") as file:
                if file.read(10) == b"MATLAB 7.3":
                    raise ValueError(
                        f"{where}: is of MATLAB 7.3; save it with save(..., '-v7'), or as .h5"
                    )
            there = whosmat(path)
            sizes = {
                name: (shape, np.dtype(_TYPES[kind]))
                for name, shape, kind in there
                if kind in _TYPES
            }
            names = [name for name, (shape, _) in sizes.items() if np.prod(shape) > 1]
            if not names:
                others = listed([f"{name} ({kind})" for name, _, kind in there])
                raise ValueError(
                    f"{where}: holds no array of numbers; it has {others or 'nothing'}"
                )
            self._key = chosen_key(path, names, key, "array")
            rates = [name for name in sizes.keys() - names if name.lower() in RATES]
            if len(rates) > 1:
                raise ValueError(f"{where}: has several rates: {listed(rates)}; wanted one")
            for value in loadmat(path, variable_names=rates).values() if rates else ():
                if isinstance(value, np.ndarray) and value.size:
                    self.rate = checked_rate(path, value.item())
        shape, dtype = sizes[self._key]
        self._lies = len(shape) == 2 and shape[1] > shape[0]
        place = f"array {self._key!r:.60}: "
        self.num_steps, self.num_channels = checked_shape(
            path, shape[::-1] if self._lies else shape, dtype, place
        )
        num_bytes = self.num_steps * self.num_channels * dtype.itemsize
        require_size(path, num_bytes, "save it as .npy, which is read piece by piece")

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        return kept(self.path, self._key, self._load)[first:last]

    def _load(self) -> np.ndarray:
        from scipy.io import loadmat

        with reading(self.path, _KIND):
            matrix: np.ndarray = loadmat(self.path, variable_names=[self._key])[self._key]
            if matrix.dtype.kind == "c":
                raise ValueError(
                    f"{shown_path(self.path)}: array {self._key!r:.60}: its numbers are complex"
                )
            return np.ascontiguousarray(matrix.T if self._lies else matrix)
