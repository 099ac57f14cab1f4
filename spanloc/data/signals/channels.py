"""Some channels of a signal."""

from collections.abc import Sequence

import numpy as np

from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import listed, shown_path


class Channels:
    """Chosen channels of a signal, in the order in which they are named.

    Args:
        chosen: Names, or numbers from 0. Their places in the signal become ``numbers``.

    Raises:
        ValueError: The signal has no such channel, or two of that name; it says what it has.
    """

    def __init__(self, signal: Signal, chosen: Sequence[str | int]) -> None:
        if isinstance(chosen, str) or not len(chosen):
            raise ValueError(f"channels is {chosen!r}; wanted a list of names or numbers")
        self.signal, self.path, self.num_steps = signal, signal.path, signal.num_steps
        self.rate = signal.rate
        self.numbers = [_number(signal, channel) for channel in chosen]
        self.num_channels = len(self.numbers)
        self.channels = self._of(signal.channels)
        self.units = self._of(signal.units)

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        return self.signal.read(first, last)[:, self.numbers]

    def _of(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if names is None else tuple(names[i] for i in self.numbers)


def _number(signal: Signal, channel: str | int) -> int:
    where, names = shown_path(signal.path), signal.channels
    has = f"its {signal.num_channels} channels have no names" if names is None else ""
    if isinstance(channel, str):
        found = [i for i, name in enumerate(names or ()) if name == channel]
        if len(found) > 1:
            raise ValueError(f"{where}: has {len(found)} channels {channel!r}; wanted numbers")
        if found:
            return found[0]
        has = has or f"it has {listed(names or ())}"
    elif not isinstance(channel, bool) and 0 <= channel < signal.num_channels:
        return channel
    else:
        has = f"it has {signal.num_channels}, counted from 0"
    raise ValueError(f"{where}: has no channel {channel!r:.100}; {has}")
