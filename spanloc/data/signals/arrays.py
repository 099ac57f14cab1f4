"""Signals in NumPy's own files."""

from pathlib import Path

import numpy as np


class NpySignal:
    """A ``.npy`` array ``(steps, channels)``, memory-mapped; it says neither rate nor names.

    Raises:
        ValueError: It is no plain array of numbers, or not all of it.
        OSError: It cannot be read.
    """

    rate: float | None = None
    channels: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        where = shown_path(path)
        try:
            # What is no regular file, such as a pipe, may keep a reader waiting for ever.
            array = self._open() if path.is_file() else None
        except OSError as error:
            raise OSError(f"{where}: cannot be read: {error.strerror}") from None
        except Exception:
            # numpy's own words, of many kinds, advise to allow pickles, which could run code.
            raise ValueError(
                f"{where}: not a plain .npy array of numbers, or not all of it"
            ) from None
        if array is None:
            kind = "not a regular file" if path.exists() else "no such file"
            raise FileNotFoundError(f"{where}: {kind}")
        if array.ndim != 2 or not array.shape[1]:
            raise ValueError(f"{where}: shape is {array.shape}; wanted (steps, channels)")
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{where}: dtype is {array.dtype!s:.60}; wanted float32")
        self.num_steps, self.num_channels = array.shape

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        return self._open()[first:last]

    def _open(self) -> np.ndarray:
        # Not np.load, which goes by the content and would open an archive or a pickle of this name.
        array: np.ndarray = np.lib.format.open_memmap(self.path, mode="r")
        return array


def shown_path(path: Path) -> str:
    """A path for an error: a name may hold anything, a line break too."""
    text = str(path)
    return text if text.isprintable() else repr(text)
