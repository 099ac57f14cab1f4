"""Rows at irregular times, as a signal of equal steps."""

import numpy as np

from spanloc.data.signals.clock import Clock
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.resampled import Resampled

# Steps between two rows from which on what lies between is missing, not interpolated.
_GAP = 10


class Regular(Signal):
    """A table whose rows lie at irregular times, interpolated linearly at equal steps.

    Where two rows are more than 10 steps apart, the steps between them are missing: NaN. Step ``i`` has
    the value at ``i / rate`` seconds after the first row, as row ``i`` of a table of equal steps has.

    Args:
        signal: The rows.
        clock: Their places. Its rate is that of the steps.
    """

    def __init__(self, signal: Signal, clock: Clock, places: np.ndarray) -> None:
        self.path, self.channels, self.units = signal.path, signal.channels, signal.units
        self.rate, self.num_channels, self.clock = clock.rate, signal.num_channels, clock
        self.num_steps = int(places[-1]) + 1
        #: Steps for each step before :meth:`at`.
        self.ratio = 1.0
        self.choice = getattr(signal, "choice", None)
        self._rows, self._places = signal, places

    @property
    def gap(self) -> tuple[float, float] | None:
        """Start and length of the longest gap, in steps; None where there is none."""
        steps = np.diff(self._places)
        i = int(steps.argmax())
        return (float(self._places[i]), float(steps[i])) if steps[i] > _GAP else None

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)`` float32."""
        steps = np.arange(first, min(last, self.num_steps))
        if not len(steps):
            return np.empty((0, self.num_channels), np.float32)
        # The row before each step, or at it; the last row has none behind it.
        rows = np.searchsorted(self._places, steps, side="right") - 1
        rows = np.minimum(rows, len(self._places) - 2)
        low, high = int(rows[0]), int(rows[-1]) + 2
        values = np.asarray(self._rows.read(low, high), np.float64)
        start, apart = self._places[rows], self._places[rows + 1] - self._places[rows]
        part = ((steps - start) / apart)[:, None]
        before, after = values[rows - low], values[rows - low + 1]
        # A missing neighbour with a weight of 0 takes nothing away.
        found = np.where(part > 0, part * after, 0) + np.where(part < 1, (1 - part) * before, 0)
        found[(apart > _GAP) & (part[:, 0] > 0) & (part[:, 0] < 1)] = np.nan
        return found.astype(np.float32)

    def at(self, rate: float, *, source_rate: float | None = None) -> Signal:
        """The same at another rate: from the rows at once, where that is not much lower."""
        own = source_rate or self.clock.rate or rate
        if rate < own / 2:
            return Resampled(self, rate, source_rate=own)
        found = Regular(self._rows, self.clock._replace(rate=rate), self._places * (rate / own))
        found.ratio = rate / own
        return found
