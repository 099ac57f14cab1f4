"""Missing values of a signal, interpolated."""

from collections.abc import Callable

import numpy as np

from spanloc.data.signals.clock import Clock
from spanloc.data.signals.protocol import Signal, channel_of
from spanloc.data.signals.reading import shown_path
from spanloc.data.signals.regular import Regular
from spanloc.data.signals.resampled import Resampled

# Steps that are read at once beyond a stretch, when its neighbours are missing too; then twice as many, and so on.
_STEPS, _MOST_STEPS = 2**10, 2**20


class Filled(Signal):
    """A signal whose missing values (NaN) are interpolated linearly in time, each channel by itself.

    Before the first value of a channel and after its last one, these are repeated. Neighbours are looked
    for outside of the stretch that is read too, so that a step has the same value in every stretch.
    Infinite values are not missing: they stay.

    Args:
        on_fill: Is called whenever values that were read are filled.
    """

    def __init__(self, signal: Signal, on_fill: Callable[[], None] | None = None) -> None:
        self.on_fill = on_fill
        self.signal, self.path, self.rate = signal, signal.path, signal.rate
        self.num_steps, self.num_channels = signal.num_steps, signal.num_channels
        self.channels, self.units = signal.channels, signal.units
        self.first_line: int | None = getattr(signal, "first_line", None)
        self.clock: Clock | None = getattr(signal, "clock", None)
        self.ratio: float = getattr(signal, "ratio", 1.0)

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``.

        Raises:
            ValueError: A channel has no value in the whole recording.
        """
        found = self.signal.read(first, last)
        if found.dtype.kind != "f" or not np.isnan(found).any():
            return found
        if self.on_fill is not None:
            self.on_fill()
        rows = np.arange(first, first + len(found), dtype=np.float64)
        before = self._nearest(found[0], first, -1)
        after = self._nearest(found[-1], rows[-1] + 1, 1)
        filled = np.array(found)
        for channel in np.flatnonzero(np.isnan(found).any(0)):
            places = np.concatenate([before[:1, channel], rows, after[:1, channel]])
            values = np.concatenate([before[1:, channel], found[:, channel], after[1:, channel]])
            known = ~np.isnan(values)
            if not known.any():
                raise ValueError(
                    f"{shown_path(self.path)}: {channel_of(self, channel)} has no value in the whole recording; leave "
                    "out the recording, or the channel (data.channels)"
                )
            gaps = ~known[1:-1]
            filled[gaps, channel] = np.interp(rows[gaps], places[known], values[known])
        return filled

    def at(self, rate: float, *, source_rate: float) -> Signal:
        """The same at another rate, filled before a filter: it would spread what is missing."""
        if isinstance(self.signal, Regular) and rate >= source_rate / 2:
            return Filled(self.signal.at(rate, source_rate=source_rate), self.on_fill)
        return Resampled(self, rate, source_rate=source_rate)

    def _nearest(self, border: np.ndarray, edge: float, way: int) -> np.ndarray:
        """The steps and values ``(2, channels)`` next to a stretch, where its ``border`` is missing; else NaN.

        Args:
            edge: Where to look from: before it (``way`` is -1), or from it on (1).
        """
        found = np.full((2, self.num_channels), np.nan)
        wanted, at, steps = np.flatnonzero(np.isnan(border)), int(edge), _STEPS
        while len(wanted) and (at > 0 if way < 0 else at < self.num_steps):
            other = min(max(at + way * steps, 0), self.num_steps)
            low, high = sorted((at, other))
            values = self.signal.read(low, high)[::way, wanted]
            there = ~np.isnan(values)
            rows, some = there.argmax(0), there.any(0)
            found[0, wanted] = np.where(some, low + rows if way > 0 else high - 1 - rows, np.nan)
            found[1, wanted] = values[rows, np.arange(len(wanted))]
            wanted, at, steps = wanted[~some], other, min(2 * steps, _MOST_STEPS)
        return found
