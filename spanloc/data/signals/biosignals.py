"""Signals in the files of biosignals: EDF, BDF, WFDB."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.data.signals.reading import (
    checked_rate,
    checked_shape,
    library,
    listed,
    reading,
    require_file,
    shown_path,
)

# A header holds a few lines a channel; what is longer is something else.
_MOST_HEADER = 2**24


class EdfSignal:
    """The signals of an ``.edf`` or ``.bdf`` file in their units, without the annotations.

    Raises:
        ValueError: The signals differ in their rate, the recording has gaps, the file is damaged or
            shorter than its header says, or edfio is not installed.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        where, library_ = shown_path(path), library(path, "edfio", "edf")
        require_file(path)
        self._bytes = 3 if path.suffix.lower() == ".bdf" else 2
        read = library_.read_bdf if self._bytes == 3 else library_.read_edf
        kind = "a BDF file" if self._bytes == 3 else "an EDF file"
        with reading(path, kind), path.open("rb") as file, warnings.catch_warnings():
            # The library takes the header alone and warns that no values follow.
            warnings.simplefilter("ignore")
            begin = file.read(256)
            self._offset = 256 * (1 + int(begin[252:256]))
            if int(begin[184:192]) != self._offset:
                raise ValueError("the header has another length than it says")
            header = read(io.BytesIO(begin + file.read(self._offset - 256)))
            num_records, duration = int(begin[236:244]), float(header.data_record_duration)
            every = [int(s.samples_per_data_record) for s in header._signals]
            signals = header.signals
            self._length, starts = sum(every), np.cumsum([0, *every])
            if min(every, default=0) < 1 or (signals and not duration > 0):
                raise ValueError("its records hold nothing")
            if not signals:
                raise ValueError(f"{where}: holds annotations only; wanted signals")
            self._starts = [
                int(start)
                for start, signal in zip(starts, header._signals, strict=False)
                if any(signal is s for s in signals)
            ]
            self._scales = [_scale(where, signal) for signal in signals]
            self.channels: tuple[str, ...] | None = tuple(s.label for s in signals)
            self.units: tuple[str, ...] | None = tuple(s.physical_dimension for s in signals)
            self._per_record = int(signals[0].samples_per_data_record)
            rates = [int(s.samples_per_data_record) / duration for s in signals]
            gaps = begin[192:197].decode() in ("EDF+D", "BDF+D")
        if len(set(rates)) > 1:
            names = [f"{s.label} at {r:g} Hz" for s, r in zip(signals, rates, strict=True)]
            raise ValueError(
                f"{where}: its signals differ in their rate: {listed(names)}; wanted one"
            )
        # -1 while it is being recorded, and for ever after a crash.
        there = (path.stat().st_size - self._offset) // (self._bytes * self._length)
        self._num_records = there if num_records == -1 else num_records
        if self._num_records > there:
            raise ValueError(f"{where}: has {there} records; its header says {num_records}")
        if gaps and not _is_continuous(path, read, kind):
            raise ValueError(
                f"{where}: the recording has gaps ({kind[-8:-5]}+D); wanted one stretch"
            )
        shape = (self._num_records * self._per_record, len(signals))
        self.num_steps, self.num_channels = checked_shape(path, shape, np.dtype(np.float32))
        self.rate: float | None = checked_rate(path, rates[0])

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        size, last = self._per_record, min(last, self.num_steps)
        from_record, to_record = first // size, max(-(-last // size), first // size)
        shape = (self._num_records, self._length, self._bytes)
        with reading(self.path, "an EDF file"):
            file = np.memmap(self.path, np.uint8, "r", self._offset, shape)
            records = file[from_record:to_record]
            array = np.empty(((to_record - from_record) * size, self.num_channels), np.float32)
            for i, (start, (gain, offset)) in enumerate(
                zip(self._starts, self._scales, strict=True)
            ):
                digital = _integers(records[:, start : start + size].reshape(-1, self._bytes))
                array[:, i] = (digital + offset) * gain
        skipped = from_record * size
        return array[first - skipped : max(last, first) - skipped]


def _integers(values: np.ndarray) -> np.ndarray:
    if values.shape[1] == 2:
        return values.view("<i2")[:, 0].astype(np.float64)
    low, middle, high = values.astype(np.int32).T
    return (low | middle << 8 | (high ^ 128) - 128 << 16).astype(np.float64)


def _scale(where: str, signal: Any) -> tuple[float, float]:
    digital, physical = signal.digital_range, signal.physical_range
    if digital.min == digital.max or physical.min == physical.max:
        raise ValueError(f"{where}: signal {signal.label!r:.60} has no range; wanted min < max")
    gain = (physical.max - physical.min) / (digital.max - digital.min)
    return gain, physical.max / gain - digital.max


def _is_continuous(path: Path, read: Any, kind: str) -> bool:
    with reading(path, kind):
        return bool(read(path).is_continuous)


class WfdbSignal:
    """The signals of a WFDB record in their units, from its ``.hea`` file and the files it names.

    Invalid samples are NaN.

    Raises:
        ValueError: The record has several segments, or several samples a frame, or does not say its
            length; its files are damaged, or shorter than the header says; or wfdb is not installed.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        where, wfdb = shown_path(path), library(path, "wfdb", "wfdb")
        require_file(path)
        if path.stat().st_size > _MOST_HEADER:
            raise ValueError(f"{where}: longer than a WFDB header can be")
        with _wfdb_reading(path):
            header = wfdb.rdheader(self._record)
            if hasattr(header, "seg_name"):
                raise ValueError(f"{where}: a record of several segments; wanted one")
            num_signals = int(header.n_sig)
            if not num_signals or len(header.file_name or ()) != num_signals:
                raise ValueError("it does not have the signals that it says")
            # wfdb reads no name with a slash or a colon, so that all lie beside the header.
            for name in set(header.file_name):
                require_file(path.with_name(name))
            if set(header.samps_per_frame) != {1}:
                raise ValueError(f"{where}: its signals differ in their rate; wanted one")
            if header.sig_len is None:
                raise ValueError(f"{where}: does not say how many samples there are; wanted that")
            shape = (int(header.sig_len), num_signals)
            self.num_steps, self.num_channels = checked_shape(path, shape, np.dtype(np.float32))
            self.rate: float | None = checked_rate(path, float(header.fs))
            self.channels: tuple[str, ...] | None = _texts(header.sig_name)
            self.units: tuple[str, ...] | None = _texts(header.units)
            self.read(self.num_steps - 1, self.num_steps)

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        last = min(last, self.num_steps)
        if first >= last:
            return np.empty((0, self.num_channels), np.float32)
        wfdb = library(self.path, "wfdb", "wfdb")
        with _wfdb_reading(self.path):
            array: np.ndarray = wfdb.rdrecord(self._record, sampfrom=first, sampto=last).p_signal
            return array

    @property
    def _record(self) -> str:
        return str(self.path.with_suffix("").absolute())


@contextmanager
def _wfdb_reading(path: Path) -> Iterator[None]:
    with reading(path, "a WFDB record"), warnings.catch_warnings():
        # wfdb uses pandas in a way that ends with pandas 4.
        warnings.simplefilter("ignore")
        yield


def _texts(names: Any) -> tuple[str, ...] | None:
    known = names is not None and all(isinstance(name, str) and name for name in names)
    return tuple(names) if known else None
