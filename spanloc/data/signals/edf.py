"""Signals in EDF and BDF files."""

import io
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spanloc.data.signals.channels import Named, choose
from spanloc.data.signals.mixed import joined
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import checked_rate, checked_shape, library, reading, shown_path

# A signal of this name holds text, also in a file that is no EDF+.
_ANNOTATIONS = ("edf annotations", "bdf annotations")
# The first date that the format knows, at midnight: written where none is known.
_NO_START = datetime(1985, 1, 1)
# dd.mm.yy and hh.mm.ss; EDF+ repeats the date in its field of the recording, X where it was taken out.
_NUMBERS = re.compile(r"([0-9]{1,2})[^0-9]([0-9]{1,2})[^0-9]([0-9]{1,2})")
_SAID = re.compile(r"Startdate +([^ ]+)")
_FULL_DATE = re.compile(r"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


def open_edf(path: Path, channels: Sequence[str | int] | None = None) -> Signal:
    """The signals of an ``.edf`` or ``.bdf`` file in their units, without the annotations.

    Only the header is read. Signals of several rates become one signal of the highest
    (:class:`~spanloc.data.signals.MixedRates`); signals that are not chosen may have any rate. The
    attribute ``start`` is the clock time of the first step in whole seconds, None where the file does not
    say it.

    Args:
        channels: Names, or numbers from 0 that do not count annotations. None: all.

    Raises:
        ValueError: There is no such signal, the recording has gaps, the file is damaged or shorter than
            its header says, or edfio is not installed.
    """
    header = _header(path)
    names = tuple(signal.label for signal in header.signals)
    chosen, choice = choose(Named(path, names, len(names)), channels)
    for signal in (header.signals[i] for i in chosen):
        if not signal.gain:
            raise ValueError(
                f"{shown_path(path)}: signal {signal.label!r:.60} has no range; wanted min < max, or "
                "other signals: choose them with data.channels"
            )
    sizes = [header.signals[i].size for i in chosen]
    found = joined(chosen, sizes, lambda numbers: EdfSignal(header, numbers))
    vars(found).update(choice=choice, start=header.start)
    return found


class EdfSignal(Signal):
    """Signals of one rate of an EDF or BDF file; see :func:`open_edf`."""

    def __init__(self, header: "EdfHeader", numbers: Sequence[int]) -> None:
        self._header, self._numbers = header, list(numbers)
        self.path = header.path
        signals = [header.signals[i] for i in numbers]
        self.channels = tuple(signal.label for signal in signals)
        self.units = tuple(signal.unit for signal in signals)
        self._size = signals[0].size
        shape = (header.num_records * self._size, len(signals))
        self.num_steps, self.num_channels = checked_shape(self.path, shape, np.dtype(np.float32))
        self.rate = checked_rate(self.path, self._size / header.duration)

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        size, last, header = self._size, min(last, self.num_steps), self._header
        from_record, to_record = first // size, max(-(-last // size), first // size)
        shape = (header.num_records, header.length, header.width)
        with reading(self.path, "an EDF file"):
            file = np.memmap(self.path, np.uint8, "r", header.offset, shape)
            records = file[from_record:to_record]
            array = np.empty(((to_record - from_record) * size, self.num_channels), np.float32)
            for i, number in enumerate(self._numbers):
                signal = header.signals[number]
                values = records[:, signal.start : signal.start + size]
                digital = _integers(values.reshape(-1, header.width))
                array[:, i] = (digital + signal.offset) * signal.gain
        skipped = from_record * size
        return array[first - skipped : max(last, first) - skipped]

    def only(self, numbers: Sequence[int]) -> "EdfSignal":
        """Some of the channels."""
        found = EdfSignal(self._header, [self._numbers[i] for i in numbers])
        found.rate = self.rate
        return found


class EdfChannel(NamedTuple):
    """One signal, as a header describes it.

    Args:
        start: Its first sample in a record.
        size: Samples in a record.
        gain, offset: Physical values are ``(digital + offset) * gain``; a gain of 0: they have no range.
    """

    label: str
    unit: str
    start: int
    size: int
    gain: float
    offset: float


class EdfHeader(NamedTuple):
    """The header of an EDF or BDF file.

    Args:
        offset: Bytes before the records.
        width: Bytes of a sample.
        length: Samples of a record, annotations too.
        duration: Of a record in seconds.
        signals: Without annotations.
        start: Clock time of the first step; None: not known.
    """

    path: Path
    offset: int
    width: int
    length: int
    num_records: int
    duration: float
    signals: tuple[EdfChannel, ...]
    start: datetime | None


def _header(path: Path) -> EdfHeader:
    where, edfio = shown_path(path), library(path, "edfio", "edf")
    bdf = path.suffix.lower() == ".bdf"
    width, kind = (3, "a BDF file") if bdf else (2, "an EDF file")
    read = edfio.read_bdf if bdf else edfio.read_edf
    with reading(path, kind), path.open("rb") as file, warnings.catch_warnings():
        # The library takes the header alone and warns that no values follow.
        warnings.simplefilter("ignore")
        begin = file.read(256)
        if len(begin) < 256:
            raise ValueError(f"{len(begin)} bytes, where a header has 256 at least")
        offset = 256 * (1 + int(begin[252:256]))
        if int(begin[184:192]) != offset:
            raise ValueError("the header has another length than it says")
        rest = file.read(offset - 256)
        if len(rest) < offset - 256:
            raise ValueError(f"it ends within its header, which says {offset} bytes")
        num_records, duration = int(begin[236:244]), float(begin[244:252])
        # One signal alone may be annotations, whose records have no length.
        if offset > 512 and not duration > 0:
            raise ValueError(f"its records last {duration:g} s")
        header = read(io.BytesIO(begin + rest))
        every = [int(signal.samples_per_data_record) for signal in header._signals]
        length, starts = sum(every), np.cumsum([0, *every])
        ours = [
            (int(start), signal)
            for start, signal in zip(starts, header._signals, strict=False)
            if signal.label.strip().lower() not in _ANNOTATIONS
        ]
        if min(every, default=0) < 1 or (ours and not duration > 0):
            raise ValueError("its records hold nothing")
        if not ours:
            raise ValueError(f"{where}: holds annotations only; wanted signals")
        signals = tuple(_channel(start, signal) for start, signal in ours)
    # -1 while it is being recorded, and for ever after a crash.
    there = (path.stat().st_size - offset) // (width * length)
    num_records = there if num_records == -1 else num_records
    if num_records < 1:
        raise ValueError(f"{where}: has {num_records} records; wanted at least one")
    if num_records > there:
        raise ValueError(
            f"{where}: the file is incomplete: its header announces {num_records} blocks of data, it has {there}; "
            "copy it again"
        )
    if begin[192:197] in (b"EDF+D", b"BDF+D"):
        with reading(path, kind):
            continuous = read(path).is_continuous
        if not continuous:
            raise ValueError(
                f"{where}: the recording has gaps ({kind[-8:-5]}+D); wanted one stretch"
            )
    start = _start(begin)
    return EdfHeader(path, offset, width, length, num_records, duration, signals, start)


def _start(begin: bytes) -> datetime | None:
    # From the bytes: the library reads the first record for it, which is not there yet. The fraction of
    # a second that EDF+ keeps there is dropped.
    text = begin.decode("latin-1")
    time, said = _NUMBERS.fullmatch(text[176:184].strip()), _SAID.match(text[88:168])
    date = _NUMBERS.fullmatch(text[168:176].strip())
    with suppress(ValueError):
        if time is None or (said is not None and said[1].upper() == "X"):
            return None
        if said is not None and (full := _FULL_DATE.fullmatch(said[1])):
            day, month, year = int(full[1]), _MONTHS.index(full[2].upper()) + 1, int(full[3])
        elif date is not None:
            day, month, year = map(int, date.groups())
            year += 1900 if year >= 85 else 2000
        else:
            return None
        start = datetime(year, month, day, int(time[1]), int(time[2]), int(time[3]))
        return None if start == _NO_START else start
    return None


def _channel(start: int, signal: Any) -> EdfChannel:
    digital, physical = signal.digital_range, signal.physical_range
    names, size = (signal.label, signal.physical_dimension), int(signal.samples_per_data_record)
    if digital.min == digital.max or physical.min == physical.max:
        return EdfChannel(*names, start, size, 0.0, 0.0)
    gain = (physical.max - physical.min) / (digital.max - digital.min)
    return EdfChannel(*names, start, size, gain, physical.max / gain - digital.max)


def _integers(values: np.ndarray) -> np.ndarray:
    if values.shape[1] == 2:
        return values.view("<i2")[:, 0].astype(np.float64)
    low, middle, high = values.astype(np.int32).T
    return (low | middle << 8 | (high ^ 128) - 128 << 16).astype(np.float64)
