"""Parts of a signal: some of its channels, or a stretch of it."""

import re
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast
from unicodedata import normalize

import numpy as np

from spanloc.data.quotes import quoted
from spanloc.data.signals.protocol import Signal, place_of_row
from spanloc.data.signals.reading import listed, shown_path


class Channels(Signal):
    """Chosen channels of a signal, in the order in which they are named.

    Args:
        chosen: Names, or numbers from 0. Their places in the signal become ``numbers``.
        factors: Multiply their values, one a channel; None: values as they are.
        units: Their units after that; None: those of the signal.

    Raises:
        ValueError: The signal has no such channel, or two of that name; it says what it has.
    """

    def __init__(
        self,
        signal: Signal,
        chosen: Sequence[str | int],
        factors: Sequence[float] | None = None,
        units: Sequence[str] | None = None,
    ) -> None:
        self.signal, self.path, self.num_steps = signal, signal.path, signal.num_steps
        self.rate = signal.rate
        self.numbers = numbers_of(signal, chosen)
        self.num_channels = len(self.numbers)
        self.channels = self._of(signal.channels)
        self.units = self._of(signal.units) if units is None else tuple(units)
        self._factors = None if factors is None else np.array(factors, np.float32)

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        values = self.signal.read(first, last)[:, self.numbers]
        return values if self._factors is None else values * self._factors

    def _of(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if names is None else tuple(names[i] for i in self.numbers)


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


def columns_for(
    path: Path,
    names: Sequence[str],
    kinds: Mapping[int, str],
    chosen: Sequence[str | int] | None,
    beside: Container[int | None],
    *,
    named: bool = True,
) -> tuple[list[int], Choice | None]:
    """The places of the columns of a table that become channels, and the :class:`Choice`.

    Args:
        names: Of all columns.
        kinds: Kinds of content of the columns without numbers, by place.
        chosen: Names, or numbers from 0 that do not count those ``beside``. None: all.
        beside: Places of the columns that are no channels, such as the time.
        named: Whether the names are those of the file.
    """
    where = shown_path(path)
    places = [i for i in range(len(names)) if i not in beside]
    if not places:
        raise ValueError(f"{where}: has no columns of numbers beside the time")
    own = tuple(names[i] for i in places)
    numbers, choice = choose(Named(path, own if named else None, len(own)), chosen)
    found = [places[i] for i in numbers]
    bad = [i for i in found if i in kinds]
    if not bad:
        return found, choice
    shown = listed([names[i] for i in bad])
    holds = f"s {shown} hold" if len(bad) > 1 else f" {shown} holds"
    what = " and ".join(list(dict.fromkeys(f"{kinds[i]:.60}" for i in bad))[:3])
    hint = "" if len(bad) == len(own) else ": choose others with data.channels"
    if len(bad) == 1 and re.search(r"\d:\d\d", kinds[bad[0]]):
        hint = f": if it is the time, 'data.columns={{time: {quoted(names[bad[0]])}}}'"
    raise ValueError(f"{where}: column{holds} {what}; wanted numbers{hint}")


def _number(signal: Signal | Named, channel: str | int) -> int:
    where, names, count = shown_path(signal.path), signal.channels, signal.num_channels
    if type(channel) is int and 0 <= channel < count:
        return channel
    wanted = normalize("NFC", channel) if isinstance(channel, str) else channel
    found = [i for i, name in enumerate(names or ()) if normalize("NFC", name) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{where}: has {len(found)} channels {channel!r}; wanted numbers")
    if not isinstance(channel, str):
        has = f"it has {count}, counted from 0"
    else:
        has = f"it has {listed(names)}" if names else f"its {count} channels have no names"
    raise ValueError(f"{where}: has no channel {channel!r:.100}; {has}")
