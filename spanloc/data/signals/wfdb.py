"""Signals in WFDB records."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.data.signals.channels import Named, choose
from spanloc.data.signals.mixed import joined
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import (
    checked_rate,
    checked_shape,
    library,
    reading,
    require_file,
    shown_path,
)

# A header holds a few lines a channel; what is longer is something else.
_MOST_HEADER = 2**24


def open_wfdb(path: Path, channels: Sequence[str | int] | None = None) -> Signal:
    """The signals of a WFDB record in their units, from its ``.hea`` file and the files it names.

    Invalid samples are NaN. Signals with several samples a frame have several times the rate; those of
    different rates become one signal of the highest (:class:`~spanloc.data.signals.MixedRates`). The
    attribute ``start`` is the clock time of the first step, None where the header does not say it.

    Args:
        channels: Names, or numbers from 0. None: all.

    Raises:
        ValueError: There is no such signal, or the record has several segments or does not say its
            length; its files are damaged, or shorter than the header says; or wfdb is not installed.
    """
    where, wfdb = shown_path(path), library(path, "wfdb", "wfdb")
    with _wfdb_reading(path):
        if path.stat().st_size > _MOST_HEADER:
            raise ValueError(f"{where}: longer than a WFDB header can be")
        header = wfdb.rdheader(_record(path))
        if hasattr(header, "seg_name"):
            raise ValueError(f"{where}: a record of several segments; wanted one")
        count = int(header.n_sig)
        if not count or len(header.file_name or ()) != count:
            raise ValueError("it does not have the signals that it says")
        # wfdb reads no name with a slash or a colon, so that all lie beside the header.
        for name in set(header.file_name):
            require_file(path.with_name(name))
        if header.sig_len is None:
            raise ValueError(f"{where}: does not say how many samples there are; wanted that")
        chosen, choice = choose(Named(path, _texts(header.sig_name), count), channels)
        sizes = [int(header.samps_per_frame[i]) for i in chosen]
        found = joined(chosen, sizes, lambda numbers: WfdbSignal(path, header, numbers))
    # None without a date, or without a time.
    vars(found).update(choice=choice, start=header.base_datetime)
    return found


class WfdbSignal(Signal):
    """Signals of one rate of a WFDB record; see :func:`open_wfdb`."""

    def __init__(self, path: Path, header: Any, numbers: Sequence[int]) -> None:
        self.path, self._numbers = path, list(numbers)
        self._per_frame = int(header.samps_per_frame[numbers[0]])
        if self._per_frame < 1:
            raise ValueError("its frames hold nothing")
        shape = (int(header.sig_len) * self._per_frame, len(numbers))
        self.num_steps, self.num_channels = checked_shape(path, shape, np.dtype(np.float32))
        self.rate = checked_rate(path, float(header.fs) * self._per_frame)
        names, units = _texts(header.sig_name), _texts(header.units)
        self.channels = None if names is None else tuple(names[i] for i in numbers)
        self.units = None if units is None else tuple(units[i] for i in numbers)
        self.read(self.num_steps - 1, self.num_steps)

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        last = min(last, self.num_steps)
        if first >= last:
            return np.empty((0, self.num_channels), np.float32)
        wfdb, size = library(self.path, "wfdb", "wfdb"), self._per_frame
        frames = {"sampfrom": first // size, "sampto": -(-last // size)}
        with _wfdb_reading(self.path):
            # Without smoothing: that would be the mean over each frame.
            found = wfdb.rdrecord(
                _record(self.path), **frames, channels=self._numbers, smooth_frames=False
            )
            array = np.stack(found.e_p_signal, axis=1)
        skipped = frames["sampfrom"] * size
        return array[first - skipped : last - skipped]


def _record(path: Path) -> str:
    return str(path.with_suffix("").absolute())


@contextmanager
def _wfdb_reading(path: Path) -> Iterator[None]:
    with reading(path, "a WFDB record"), warnings.catch_warnings():
        # wfdb uses pandas in a way that ends with pandas 4.
        warnings.simplefilter("ignore")
        yield


def _texts(names: Any) -> tuple[str, ...] | None:
    known = names is not None and all(isinstance(name, str) and name for name in names)
    return tuple(names) if known else None
