"""Channels of several rates in one recording, as one signal."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from spanloc.data.signals.channels import some_channels
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import listed, shown_path
from spanloc.data.signals.resampled import Resampled

Order = Sequence[tuple[int, int]]


class MixedRates(Signal):
    """Channels of several rates, brought to one: by default the highest, so that nothing is lost.

    Each part is resampled by itself (:class:`Resampled`), directly to the wanted rate, and only the
    stretch that is read. All parts begin at the same time. Where rounding leaves a part a step short
    of the others, its last value is repeated.

    Args:
        parts: A signal for each rate.
        order: Of the channels: for each the number of its part, and its column there.
        rate: Steps per second that are wanted.
        source_rate: Of the fastest part, where the annotations say another than the file.
    """

    def __init__(
        self,
        parts: Sequence[Signal],
        order: Order,
        *,
        rate: float | None = None,
        source_rate: float | None = None,
    ) -> None:
        rates = [part.rate or 1.0 for part in parts]
        highest = max(rates)
        scale = (source_rate or highest) / highest
        wanted = highest * scale if rate is None else rate
        self.path, self._parts, self._order = parts[0].path, tuple(parts), tuple(order)
        self._signals = [
            part
            if same_rate(own * scale, wanted)
            else Resampled(part, wanted, source_rate=own * scale)
            for part, own in zip(parts, rates, strict=True)
        ]
        fastest = self._signals[rates.index(highest)]
        #: Steps for each step of the fastest part.
        self.ratio = float(fastest.ratio) if isinstance(fastest, Resampled) else 1.0
        self.num_steps, self.num_channels = fastest.num_steps, len(self._order)
        self.rate = wanted
        self.channels = self._of([part.channels for part in parts])
        self.units = self._of([part.units for part in parts])
        #: Rate of each channel in the file.
        self.rates = [rates[part] for part, _ in self._order]

    def read(self, first: int, last: int) -> np.ndarray:
        """The steps from ``first`` to before ``last``, ``(last - first, channels)``."""
        last = min(last, self.num_steps)
        array = np.empty((max(last - first, 0), self.num_channels), np.float32)
        if not len(array):
            return array
        for number, signal in enumerate(self._signals):
            end = signal.num_steps
            low = min(first, end - 1)
            values = signal.read(low, min(last, end))
            rows = np.minimum(np.arange(first, last), end - 1) - low
            for i, (part, column) in enumerate(self._order):
                if part == number:
                    array[:, i] = values[rows, column]
        return array

    def at(self, rate: float, *, source_rate: float | None = None) -> "MixedRates":
        """The same channels at another rate, each resampled once."""
        return MixedRates(self._parts, self._order, rate=rate, source_rate=source_rate)

    def each(self, make: Callable[[Signal], Signal]) -> "MixedRates":
        """The same of what ``make`` gives for each part, which has the rate and channels of the part."""
        return MixedRates([make(part) for part in self._parts], self._order, rate=self.rate)

    def only(self, numbers: Sequence[int]) -> Signal:
        """Some of the channels, at the same rate; parts without any of them are not read."""
        kept = [self._order[i] for i in numbers]
        # The fastest part says how long the recording is, and how many steps there are.
        fastest = max(range(len(self._parts)), key=lambda i: self._parts[i].rate or 1.0)
        parts = sorted({part for part, _ in kept} | {fastest})
        order = [(parts.index(part), column) for part, column in kept]
        if len(parts) == 1 and self._signals[fastest] is self._parts[fastest]:
            part = some_channels(self._parts[fastest], [column for _, column in order])
            part.rate = self.rate
            return part
        return MixedRates([self._parts[part] for part in parts], order, rate=self.rate)

    def _of(self, names: Sequence[tuple[str, ...] | None]) -> tuple[str, ...] | None:
        found = [own[column] for part, column in self._order if (own := names[part]) is not None]
        return tuple(found) if len(found) == len(self._order) else None


def require_one_rate(signal: Signal, on_rate: str) -> None:
    """Refuse channels of several rates where ``on_rate`` is ``"error"``, and words beside ``"resample"``."""
    if on_rate not in ("resample", "error"):
        raise ValueError(f"data.on_rate is {on_rate!r}; wanted 'resample' or 'error'")
    if on_rate == "error" and isinstance(signal, MixedRates):
        names = signal.channels or [str(i) for i in range(signal.num_channels)]
        rates = [f"{name} at {rate:g} Hz" for name, rate in zip(names, signal.rates, strict=True)]
        raise ValueError(
            f"{shown_path(signal.path)}: its channels differ in their rate: {listed(rates)}; wanted "
            "one: choose some with data.channels, or set data.on_rate=resample"
        )


def joined(
    chosen: Sequence[int], rates: Sequence[float], part_of: Callable[[list[int]], Signal]
) -> Signal:
    """Channels of a file as one signal, of :class:`MixedRates` where their rates differ.

    Args:
        chosen: Numbers of the channels in the file.
        rates: Of each, in any unit.
        part_of: Makes the signal of some channels of one rate.
    """
    groups: dict[float, list[int]] = {}
    order = []
    for number, rate in zip(chosen, rates, strict=True):
        own = groups.setdefault(rate, [])
        order.append((list(groups).index(rate), len(own)))
        own.append(number)
    parts = [part_of(group) for group in groups.values()]
    return parts[0] if len(parts) == 1 else MixedRates(parts, order)


def at_rate(signal: Signal, rate: float, source_rate: float) -> tuple[Signal, float]:
    """A signal at another rate, and how many of its steps there are for one of before.

    A signal with a method ``at`` has its own way, others are :class:`Resampled`.
    """
    found = getattr(signal, "at", partial(Resampled, signal))(rate, source_rate=source_rate)
    return found, float(found.ratio)


def same_rate(rate: float, other: float) -> bool:
    """True where two rates differ by no more than a millionth."""
    return abs(rate / other - 1) <= 1e-6
