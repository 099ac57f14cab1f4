"""Some channels of a signal."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from spanloc.data.signals.clock import time_column
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import listed, shown_path


class Channels(Signal):
    """Chosen channels of a signal, in the order in which they are named.

    Args:
        chosen: Names, or numbers from 0. Their places in the signal become ``numbers``.

    Raises:
        ValueError: The signal has no such channel, or two of that name; it says what it has.
    """

    def __init__(self, signal: Signal, chosen: Sequence[str | int]) -> None:
        self.signal, self.path, self.num_steps = signal, signal.path, signal.num_steps
        self.rate = signal.rate
        self.numbers = numbers_of(signal, chosen)
        self.num_channels = len(self.numbers)
        self.channels = self._of(signal.channels)
        self.units = self._of(signal.units)

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        return self.signal.read(first, last)[:, self.numbers]

    def _of(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if names is None else tuple(names[i] for i in self.numbers)


class Choice(NamedTuple):
    """The channels that a file was opened for.

    Args:
        wanted: Names and numbers, as they were asked for.
        some: True unless they are all channels in their order.
        left: Names of the channels of the file that were not taken.
    """

    wanted: tuple[str | int, ...]
    some: bool
    left: tuple[str, ...]


def some_channels(signal: Signal, chosen: Sequence[str | int]) -> Signal:
    """The signal with the chosen channels alone: itself, where these are all in their order.

    A signal with a method ``only`` (of numbers) leaves out the others by itself, and reads less.
    """
    numbers = numbers_of(signal, chosen)
    if numbers == list(range(signal.num_channels)):
        return signal
    only = getattr(signal, "only", None)
    return Channels(signal, numbers) if only is None else cast(Signal, only(numbers))


def opened_for(signal: Signal, chosen: Sequence[str | int] | None) -> Signal:
    """A newly opened signal with the chosen channels alone, and the :class:`Choice` as ``choice``.

    None: all. A signal whose reader has chosen already stays as it is.
    """
    if chosen is None or getattr(signal, "choice", None) is not None:
        return signal
    numbers, choice = choose(signal, chosen)
    found = some_channels(signal, numbers)
    vars(found)["choice"] = choice
    return found


class Named(NamedTuple):
    """The channels of a file whose signal is not made yet."""

    path: Any
    channels: tuple[str, ...] | None
    num_channels: int


def numbers_of(signal: Signal | Named, chosen: Sequence[str | int]) -> list[int]:
    """The places of the chosen channels, from names, or numbers from 0; errors say which there are."""
    if isinstance(chosen, str | int) or not len(chosen):
        raise ValueError(f"data.channels is {chosen!r}; wanted a list of names or numbers")
    found = [_number(signal, channel) for channel in chosen]
    for i, number in enumerate(found):
        if number in found[:i]:
            where = shown_path(signal.path)
            raise ValueError(f"{where}: data.channels names channel {chosen[i]!r:.100} twice")
    return found


def choose(
    file: Signal | Named, chosen: Sequence[str | int] | None
) -> tuple[list[int], Choice | None]:
    """The places of the chosen channels of a file, and the :class:`Choice`; of None all, and None."""
    every = list(range(file.num_channels))
    if chosen is None:
        return every, None
    numbers = numbers_of(file, chosen)
    left = tuple(name for i, name in enumerate(file.channels or ()) if i not in numbers)
    return numbers, Choice(tuple(chosen), numbers != every, left)


def named_columns(
    path: Path,
    names: Sequence[str],
    kind_of: Callable[[str], str | None],
    chosen: Sequence[str | int] | None,
    time: str | None = None,
    skip: Sequence[str] = (),
) -> tuple[tuple[str, float] | None, list[str], Choice | None]:
    """The time column of a table and its unit in seconds, and the rest as of :func:`columns_for`, by name.

    Args:
        names: Of all columns, which differ.
        kind_of: Kind of content of a column by its name, None for numbers.
        time: Name of the column with the time; None: one of the usual names.
        skip: Names of columns that are no channels.
    """
    clock = time_column(names, time)
    columns = tuple(name for name in names if not ((clock and name == clock[0]) or name in skip))
    if not columns:
        raise ValueError(f"{shown_path(path)}: has no columns of numbers beside the time")
    kinds = {i: kind for i, name in enumerate(columns) if (kind := kind_of(name)) is not None}
    numbers, choice = columns_for(Named(path, columns, len(columns)), kinds, chosen)
    return clock, [columns[i] for i in numbers], choice


def columns_for(
    file: Named, kinds: Mapping[int, str], chosen: Sequence[str | int] | None
) -> tuple[list[int], Choice | None]:
    """The columns of a table that become channels, which must hold numbers; and the :class:`Choice`.

    Args:
        file: The columns but for that of the time.
        kinds: Kinds of content of the columns without numbers, by place.
        chosen: Names, or numbers from 0. None: all.
    """
    count, names = file.num_channels, file.channels or ()
    numbers, choice = choose(file, chosen)
    bad = [i for i in numbers if i in kinds]
    if not bad:
        return numbers, choice
    holds = f"s {listed([names[i] for i in bad])} hold" if len(bad) > 1 else ""
    holds = holds or f" {names[bad[0]]!r:.60} holds"
    what = " and ".join(list(dict.fromkeys(f"{kinds[i]:.60}" for i in bad))[:3])
    hint = "" if len(bad) == count else ": choose others with data.channels"
    raise ValueError(f"{shown_path(file.path)}: column{holds} {what}; wanted numbers{hint}")


def _number(signal: Signal | Named, channel: str | int) -> int:
    where, names = shown_path(signal.path), signal.channels
    has = f"its {signal.num_channels} channels have no names" if names is None else ""
    if isinstance(channel, str):
        found = [i for i, name in enumerate(names or ()) if name == channel]
        if len(found) > 1:
            raise ValueError(f"{where}: has {len(found)} channels {channel!r}; wanted numbers")
        if found:
            return found[0]
        has = has or f"it has {listed(names or ())}"
    elif type(channel) is int and 0 <= channel < signal.num_channels:
        return channel
    else:
        has = f"it has {signal.num_channels}, counted from 0"
    raise ValueError(f"{where}: has no channel {channel!r:.100}; {has}")
