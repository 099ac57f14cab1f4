"""The protocol of signals."""

from pathlib import Path
from typing import Protocol, SupportsIndex, runtime_checkable

import numpy as np


@runtime_checkable
class Signal(Protocol):
    """A recording; any stretch of it can be read without the rest.

    It travels to the workers of a loader, so it must pickle, and it keeps no file open between reads.

    Attributes:
        path: Of the file, for errors.
        num_steps: Rows.
        num_channels: Columns.
        rate: Steps per second, where the file says it.
        channels: Names of the channels, where the file has them.
        units: Of the channels, where the file has them.
    """

    path: Path
    num_steps: int
    num_channels: int
    rate: float | None = None
    channels: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``, of any number type."""


def channel_of(source: object, number: SupportsIndex) -> str:
    """A channel, for errors: by its name, or else its column, from 0."""
    names = getattr(source, "channels", None)
    return f"channel {names[number]!r}" if names else f"column {number}"


def place_of_row(source: object, row: int) -> str:
    """The place of a step in its file, for errors: a line of a text, else a row from 0.

    Of rows at irregular times: its time.
    """
    if (own := getattr(source, "place_of_row", None)) is not None:
        return str(own(row))
    if (clock := getattr(source, "clock", None)) and clock.places is not None:
        return f"at {row / (getattr(source, 'rate', None) or clock.rate):.6g} s"
    first = getattr(source, "first_line", None)
    return f"row {row}" if first is None else f"line {first + row}"
