"""A part of a signal."""

import numpy as np

from spanloc.data.signals.protocol import Signal, place_of_row


class Stretch(Signal):
    """The steps of a signal from ``first`` to before ``last``, as a signal of their own."""

    def __init__(self, signal: Signal, first: int, last: int) -> None:
        self.signal, self.first, self.num_steps = signal, first, last - first
        self.path, self.rate, self.num_channels = signal.path, signal.rate, signal.num_channels
        self.channels, self.units = signal.channels, signal.units

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, counted from the beginning of the stretch."""
        return self.signal.read(self.first + first, self.first + last)

    def place_of_row(self, row: int) -> str:
        """The place of a step in the file."""
        return place_of_row(self.signal, self.first + row)
