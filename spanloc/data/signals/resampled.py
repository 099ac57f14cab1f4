"""A signal at another rate."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, isqrt

import numpy as np

from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import checked_rate, shown_path

# Attenuation of a filter in its stop band, in decibels.
_ATTENUATION = 80.0
# The filter is flat up to this part of half the lower rate, and closed from half the rate on.
_FLAT = 0.8
# Terms of the ratio of two rates.
_MOST_TERMS = 100_000
# From this ratio on, the rate is lowered in several passes: two short filters for a long one.
_MOST_AT_ONCE = 10


class Resampled(Signal):
    """A signal at another rate, with anti-aliasing, computed for the stretch that is read; float32.

    Step ``i`` covers ``[i, i + 1) / rate`` seconds before and after: values belong to the middle of
    their step, so that spans in seconds stay where they are. The filter is a windowed sinc, symmetric
    about that middle; it is flat to 2e-4 up to 0.8 of half the lower rate and 80 dB down from half
    the lower rate on. Beyond both ends the signal keeps its first and last value. A NaN reaches all
    steps whose filter it lies in.

    The ratio of the rates becomes a fraction, ``ratio``. Where it has terms above 10,000, a simpler
    one is taken, with which the end of the signal is off by a twentieth of a step at most.
    ``num_steps`` is rounded, and is at least 1.

    Args:
        rate: Steps per second that are wanted.
        source_rate: Of ``signal``, where it does not say it or says another.

    Raises:
        ValueError: The rate of the signal is not known, or there is no such fraction.
    """

    def __init__(self, signal: Signal, rate: float, *, source_rate: float | None = None) -> None:
        where = shown_path(signal.path)
        known = signal.rate if source_rate is None else source_rate
        if known is None:
            raise ValueError(f"{where}: its rate is not known; wanted source_rate")
        source, wanted = checked_rate(signal.path, known), checked_rate(signal.path, rate)
        self.signal, self.path = signal, signal.path
        self.rate = wanted
        self.num_channels = signal.num_channels
        self.channels, self.units = signal.channels, signal.units
        self._stages: list[_Stage] = []
        left, before = wanted / source, 1
        most = 0.05 / max(1.0, signal.num_steps * left)
        ratio = _fraction(left, most)
        while 1 / left >= _MOST_AT_ONCE:
            down = _first_factor(left, ratio)
            # What would be folded into the final band; the rest is left to the next pass.
            self._stages.append(_Stage(1, down, left / 2, 1 / down - left / 2))
            left, before = left * down, before * down
            ratio = _fraction(left, most)
        if ratio is None:
            raise ValueError(
                f"{where}: {source:.15g} to {wanted:.15g} steps per second is no ratio of numbers up "
                f"to {_MOST_TERMS}; wanted rates that are"
            )
        if ratio != 1:
            up, down = ratio.numerator, ratio.denominator
            closed = 0.5 / max(up, down)
            self._stages.append(_Stage(up, down, _FLAT * closed, closed))
        self.ratio = ratio / before
        self.num_steps = max(1, round(signal.num_steps * self.ratio))

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        last = min(last, self.num_steps)
        if first >= last:
            return np.empty((0, self.num_channels), np.float32)
        return np.ascontiguousarray(self._after(len(self._stages), first, last).T, np.float32)

    def _after(self, count: int, first: int, last: int) -> np.ndarray:
        """A stretch after the first ``count`` passes, ``(channels, steps)``, also beyond the ends."""
        if count:
            stage = self._stages[count - 1]
            start, stop = stage.source(first, last)
            return stage.filtered(self._after(count - 1, start, stop), start, first, last)
        # Before and after the signal is its first and last value.
        num_steps = self.signal.num_steps
        low, high = max(0, min(first, num_steps - 1)), max(1, min(last, num_steps))
        found = np.asarray(self.signal.read(low, high))
        # float32 would lose the small steps of large whole numbers.
        kind = np.float32 if found.dtype.itemsize < 4 else np.result_type(found, np.float32)
        values = np.ascontiguousarray(found.T, kind)
        return np.pad(values, ((0, 0), (low - first, last - high)), mode="edge")


@dataclass(frozen=True)
class _Stage:
    """One pass of a filter: ``up`` steps for ``down`` of its input.

    In steps that are ``up`` times finer than those of the input, output ``i`` lies
    ``i * down + (down - up) / 2`` after the first input; ``flat`` and ``closed`` are cycles per such
    a step.
    """

    up: int
    down: int
    flat: float
    closed: float

    def source(self, first: int, last: int) -> tuple[int, int]:
        """The stretch of the input that a stretch of the output needs."""
        lead, length = self._lead(), len(self._taps())
        start = -(-(first * self.down + lead - length + 1) // self.up)
        stop = ((last - 1) * self.down + lead) // self.up + 1
        # Some steps earlier, so that it meets the same taps as in the whole signal.
        meets = lead * pow(self.up, -1, self.down)
        return start - (start - meets) % self.down, stop

    def filtered(self, values: np.ndarray, start: int, first: int, last: int) -> np.ndarray:
        """The output from ``first`` to before ``last``, of the input from ``start`` on."""
        from scipy.signal import upfirdn

        taps = self._taps().astype(values.dtype)
        found: np.ndarray = upfirdn(taps, values, self.up, self.down, axis=1)
        skipped = first + (self._lead() - start * self.up) // self.down
        return found[:, skipped : skipped + last - first]

    def _taps(self) -> np.ndarray:
        return _filter(self.up, self.down, self.flat, self.closed)

    def _lead(self) -> int:
        return (self.down - self.up) // 2 + len(self._taps()) // 2


@lru_cache(16)
def _filter(up: int, down: int, flat: float, closed: float) -> np.ndarray:
    half = ceil((_ATTENUATION - 7.95) / (14.36 * (closed - flat)) / 2)
    # The middle of an output lies on an input, or between two.
    shift = (down - up) % 2 / 2
    places = np.arange(-half, half + (shift == 0)) + shift
    beta = 0.1102 * (_ATTENUATION - 8.7)
    shape = np.i0(beta * np.sqrt(1 - (places / (half + 1)) ** 2))
    taps = np.sinc((flat + closed) * places) * shape
    # Each output is a mean of inputs, so that a constant stays as it is.
    padded = np.pad(taps, (0, -len(taps) % up)).reshape(-1, up)
    taps = (padded / padded.sum(0)).ravel()[: len(taps)]
    taps.flags.writeable = False
    return taps


def _fraction(value: float, most: float) -> Fraction | None:
    """The ratio itself if its terms are small, or the simplest that is off by no more than a part of it."""
    small = min(value, 1 / value)
    for terms, off in ((_MOST_TERMS // 10, 1e-9), (_MOST_TERMS, most)):
        for power in range(terms.bit_length() + 1):
            found = Fraction(small).limit_denominator(min(2**power, terms))
            if found and abs(float(found) / small - 1) <= off:
                return found if value <= 1 else 1 / found
    return None


def _first_factor(value: float, ratio: Fraction | None) -> int:
    most = isqrt(int(1 / value))
    exact = (n for n in range(most, most // 3, -1) if ratio and ratio.denominator % n == 0)
    return next(exact, most)
