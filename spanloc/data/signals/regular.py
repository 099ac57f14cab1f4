"""Rows at irregular times, as a signal of equal steps."""

from collections.abc import Sequence

import numpy as np

from spanloc.data.signals.channels import some_channels
from spanloc.data.signals.clock import Clock
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.resampled import Resampled

#: Steps between two rows from which on what lies between is missing, not interpolated.
GAP = 10


class Regular(Signal):
    """A table whose rows lie at irregular times, interpolated linearly at equal steps.

    Where two rows are more than 10 steps apart, the steps between them are missing: NaN. Step ``i`` has
    the value at ``i / rate`` seconds after the first row, as row ``i`` of a table of equal steps has.

    Args:
        signal: The rows.
        clock: Their times.
        places: Where they lie, in steps of the rate of the clock, from the first one.
        rate: Steps per second, where it is not that of the clock.
        ratio: Steps for each step of the clock.
    """

    def __init__(
        self,
        signal: Signal,
        clock: Clock,
        places: np.ndarray,
        *,
        rate: float | None = None,
        ratio: float = 1.0,
    ) -> None:
        self.path, self.channels, self.units = signal.path, signal.channels, signal.units
        self.num_channels, self.clock = signal.num_channels, clock
        self.rate, self.ratio = clock.rate if rate is None else rate, ratio
        self.num_steps = max(1, round((int(places[-1]) + 1) * ratio))
        self.choice = getattr(signal, "choice", None)
        if hasattr(signal, "texts"):
            self.texts = signal.texts
        self._rows, self._longest = signal, GAP * ratio
        # The middle of a step stays where it is, as in :class:`Resampled`.
        self._places, self._own = (places + 0.5) * ratio - 0.5, places

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Start and length of each gap, in steps."""
        steps = np.diff(self._places)
        return [
            (float(self._places[i]), float(steps[i])) for i in np.flatnonzero(steps > self._longest)
        ]

    @property
    def gap(self) -> tuple[float, float] | None:
        """Start and length of the longest gap, in steps; None where there is none."""
        return max(self.gaps, key=lambda gap: gap[1], default=None)

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)`` float32."""
        steps = np.arange(first, min(last, self.num_steps))
        if not len(steps):
            return np.empty((0, self.num_channels), np.float32)
        # The row before each step, or at it; the last row has none behind it, and the first none before.
        rows = np.searchsorted(self._places, steps, side="right") - 1
        rows = np.clip(rows, 0, len(self._places) - 2)
        low, high = int(rows[0]), int(rows[-1]) + 2
        values = np.asarray(self._rows.read(low, high), np.float64)
        start, apart = self._places[rows], self._places[rows + 1] - self._places[rows]
        part = np.clip((steps - start) / apart, 0, 1)[:, None]
        before, after = values[rows - low], values[rows - low + 1]
        # A missing neighbour with a weight of 0 takes nothing away.
        found = np.where(part > 0, part * after, 0) + np.where(part < 1, (1 - part) * before, 0)
        found[(apart > self._longest) & (part[:, 0] > 0) & (part[:, 0] < 1)] = np.nan
        return found.astype(np.float32)

    def only(self, numbers: Sequence[int]) -> "Regular":
        """The channels with these numbers, as a signal."""
        rows = some_channels(self._rows, numbers)
        return Regular(rows, self.clock, self._own, rate=self.rate, ratio=self.ratio)

    def at(self, rate: float, *, source_rate: float | None = None) -> Signal:
        """The same at another rate: from the rows at once, where that is not much lower."""
        own = source_rate or self.rate or rate
        if rate < own / 2:
            return Resampled(self, rate, source_rate=own)
        ratio = self.ratio * rate / own
        return Regular(self._rows, self.clock, self._own, rate=rate, ratio=ratio)
