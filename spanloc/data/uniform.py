"""Recordings of different rates and channels, brought to one rate and one set of channels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from torch import Tensor

from spanloc.data.annotations.records import Record
from spanloc.data.inputs import FEATURES, in_units, listed_gaps, without_gaps
from spanloc.data.signals import Regular, Signal
from spanloc.data.signals.channels import Choice, some_channels
from spanloc.data.signals.clock import clock_time
from spanloc.data.signals.mixed import MixedRates, at_rate, require_one_rate, same_rate
from spanloc.data.signals.reading import checked_rate, listed, shown_path
from spanloc.files import counted
from spanloc.structures import Timeline


def uniform(
    records: Sequence[Record],
    *,
    rate: float | None = None,
    on_rate: str = "resample",
    channels: Sequence[str | int] | None = None,
    missing: str = "error",
) -> tuple[list[Record], list[str]]:
    """Bring recordings to one rate and to the same channels; the spans follow, in steps.

    Signals are wrapped, so that a stretch is computed when it is read. Spans and ignored stretches
    are cut at the end of the resampled signal; those that become empty are left out.

    Args:
        rate: Steps per second that all get. By default the rate that most seconds of the training
            recordings have, or of all recordings where none is for training; of two the higher one.
        on_rate: ``"resample"``, or ``"error"``, which refuses recordings of another rate, and those
            whose channels differ in their rate.
        channels: Names, or numbers from 0. By default all, where the recordings have the same number
            of them and no different names; and of different names those that all have, in the order
            of the first recording. Recordings that were opened for these channels have them already.
        missing: ``"interpolate"`` fills missing values (:class:`~spanloc.data.signals.Filled`); with
            ``"error"``, gaps in the times of a table are refused here, and missing values when they are
            read.

    Returns:
        The recordings in their order, and short notes of what was done.

    Raises:
        ValueError: A recording lacks a channel, or has another rate or number of channels that may
            not be changed; it names the file, and what it has.
    """
    if not records:
        return [], []
    found, notes = _with_channels(records, channels)
    notes += _time_notes(found, missing)
    found = [replace(record, signal=without_gaps(record.signal, missing)) for record in found]
    if rate is None:
        rate = _most_frequent_rate(found)
    checked_rate(found[0].signal.path, rate)
    for record in found:
        require_one_rate(record.signal, on_rate)
    other = [r for r in found if not any(same_rate(own, rate) for own in _rates(r))]
    if other and on_rate == "error":
        where = shown_path(other[0].signal.path)
        raise ValueError(f"{where}: rate is {_rate(other[0]):g}; wanted {rate:g}")
    notes += _mixed_note(found, rate)
    other = [record for record in other if not _is_mixed(record.signal)]
    found = [_with_rate(record, rate) for record in found]
    units = found[0].signal.units
    same = [in_units(record.signal, units)[0] for record in found]
    if turned := sum(r.signal is not new for r, new in zip(found, same, strict=True)):
        unit = f"the units of {shown_path(found[0].signal.path)}"
        notes.append(
            f"{turned} of {len(found)} recordings converted to {unit}: {listed(units or ())}"
        )
    found = [replace(record, signal=signal) for record, signal in zip(found, same, strict=True)]
    if other:
        rates = sorted({float(f"{max(_rates(record)):.6g}") for record in other})
        shown = " and ".join(f"{r:g}" for r in rates) if len(rates) < 4 else f"{len(rates)} rates"
        notes.append(
            f"{len(other)} of {len(found)} recordings resampled from {shown} to {rate:g} Hz"
        )
    lost = sum(len(old.spans) - len(new.spans) for old, new in zip(records, found, strict=True))
    if lost:
        notes.append(f"{lost} spans left out, which have no length at {rate:g} Hz")
    return found, notes


def _with_channels(
    records: Sequence[Record], wanted: Sequence[str | int] | None
) -> tuple[list[Record], list[str]]:
    signals = [record.signal for record in records]
    named = [signal for signal in signals if signal.channels is not None]
    chosen = wanted
    if chosen is None:
        other = next((s for s in signals if s.num_channels != signals[0].num_channels), None)
        if len({signal.channels for signal in named}) < 2:
            if other:
                raise _conflict(signals[0], other)
            return list(records), []
        different = next(s for s in named if s.channels != named[0].channels)
        if len(named) < len(signals):
            raise _conflict(*((signals[0], other) if other else (named[0], different)))
        every = [signal.channels or () for signal in signals]
        chosen = [name for name in every[0] if all(names.count(name) == 1 for names in every)]
        _require_usual(named, chosen)
        if not chosen:
            raise _conflict(named[0], different)
    taken: list[Signal] = []
    count, more = 0, set[str]()
    for signal in signals:
        choice: Choice | None = getattr(signal, "choice", None)
        if choice is not None and choice.wanted == tuple(chosen):
            taken.append(signal)
            count += choice.some
            more.update(choice.left)
        else:
            taken.append(some_channels(signal, chosen))
            count += taken[-1] is not signal
    notes = []
    if count:
        names = listed([str(channel) for channel in chosen])
        more.update(name for signal in named for name in signal.channels or ())
        left = sorted(more - {*map(str, chosen)})
        of = "all " * (len(records) > 1) + counted(len(records), "recording")
        notes.append(f"channels used: {names} (in {of})")
        if left and all(isinstance(channel, str) for channel in chosen):
            notes[0] += f"; not used: {listed(left)}"
    return [replace(r, signal=s) for r, s in zip(records, taken, strict=True)], notes


def _require_usual(signals: Sequence[Signal], shared: Sequence[str | int]) -> None:
    # A recording whose channels are misspelt must not take the others' channels away without a word.
    each = [Counter(signal.channels or ()) for signal in signals]
    counts = Counter(name for names in each for name, count in names.items() if count == 1)
    usual = [name for name, count in counts.items() if count > 0.5 * len(signals)]
    if 2 * len(shared) >= len(usual):
        return
    found = [
        (s, [n for n in usual if names[n] != 1]) for s, names in zip(signals, each, strict=True)
    ]
    odd = [signal for signal, lacks in found if lacks]
    lacks = next(lacks for _, lacks in found if lacks)
    others = f", and {len(odd) - 1} more like it" if len(odd) > 1 else ""
    every = ",".join(map(str, range(odd[0].num_channels)))
    alike = len({signal.num_channels for signal in signals}) == 1
    order = (
        f", choose them by number if their order is the same ('data.channels=[{every}]')" * alike
    )
    raise ValueError(
        f"{shown_path(odd[0].path)}{others}: lacks {len(lacks)} of the {len(usual)} channels that most recordings "
        f"have: {listed(lacks)}; it has {listed(odd[0].channels or ())}. Rename its channels{order}, or leave it out"
    )


def _conflict(first: Signal, second: Signal) -> ValueError:
    def has(signal: Signal) -> str:
        names = "" if signal.channels is None else f": {listed(signal.channels)}"
        return f"{counted(signal.num_channels, 'channel')}{names or ' without names'}"

    turned = all(signal.num_channels > signal.num_steps for signal in (first, second))
    hint = "; rows are steps: if these are (channels, steps), transpose them" if turned else ""
    return ValueError(
        f"{shown_path(second.path)}: has {has(second)}; {shown_path(first.path)} has {has(first)}; "
        f"wanted the same, or the channels to take (data.channels){hint}"
    )


def _mixed_note(records: Sequence[Record], rate: float) -> list[str]:
    names, counts = dict[str, dict[str, None]](), Counter[str]()
    for signal in (s for record in records if _is_mixed(s := record.signal)):
        shown = signal.channels or [*map(str, range(signal.num_channels))]
        other = [
            (f"{r:g} Hz", name)
            for r, name in zip(signal.rates, shown, strict=True)
            if not same_rate(r, rate)
        ]
        for own, name in other:
            names.setdefault(own, {})[name] = None
        counts.update({own for own, _ in other})
    texts = [
        f"{listed([*of], 8)} ({own}, in {'all ' * (1 < counts[own] == len(records))}"
        f"{counted(counts[own], 'recording')})"
        for own, of in names.items()
    ]
    more = f" and {len(texts) - 8} more rates" * (len(texts) > 8)
    return [f"resampled to {rate:g} Hz: {'; '.join(texts[:8])}{more}"] if texts else []


def _is_mixed(signal: Signal) -> TypeGuard[MixedRates]:
    return isinstance(signal, MixedRates) and len({*signal.rates}) > 1


def _most_frequent_rate(records: Sequence[Record]) -> float:
    counted = [record for record in records if record.subset == "training"] or records
    seconds: dict[float, float] = {}
    for record in counted:
        rate = next((known for known in seconds if same_rate(_rate(record), known)), _rate(record))
        seconds[rate] = seconds.get(rate, 0.0) + record.num_steps / rate
    return max(seconds, key=lambda rate: (seconds[rate], rate))


def _with_rate(record: Record, rate: float) -> Record:
    own = _rate(record)
    if same_rate(own, rate):
        return replace(record, timeline=Timeline(1 / rate, record.timeline.offset))
    signal, ratio = at_rate(record.signal, rate, own)
    return _over(record, signal, rate, ratio)


def with_features(record: Record, features: str, options: Mapping[str, Any]) -> Record:
    """The recording with features as its signal, such as bands of frequencies; ``features`` is in ``FEATURES``."""
    own = _rate(record)
    signal = FEATURES[features](record.signal, source_rate=own, **options)
    return _over(record, signal, signal.rate, signal.rate / own)


def _over(record: Record, signal: Signal, rate: float, ratio: float) -> Record:
    """The recording with another signal of this rate, ``ratio`` steps for each of the old one."""

    def scaled(spans: Tensor) -> Tensor:
        return (spans.double() * ratio).clamp(0, signal.num_steps).to(spans.dtype)

    spans, ignored = scaled(record.spans), scaled(record.ignored)
    kept = spans[:, 1] > spans[:, 0]
    return replace(
        record,
        signal=signal,
        timeline=Timeline(1 / rate, record.timeline.offset),
        spans=spans[kept],
        labels=record.labels[kept],
        ignored=ignored[ignored[:, 1] > ignored[:, 0]],
    )


def _time_notes(records: Sequence[Record], missing: str) -> list[str]:
    notes, of = [], f"of {len(records)} recordings"
    uneven = [record.signal for record in records if isinstance(record.signal, Regular)]
    if uneven:
        several, where = f"the times of {len(uneven)} {of} are not regular", uneven[0].path
        notes.append(f"{several}: interpolated at equal steps, as in {shown_path(where)}")
    gaps = [(shown_path(s.path), text) for s in uneven if (text := listed_gaps(s, s.rate))]
    if gaps and missing == "interpolate":
        first, text = gaps[0]
        several = f"gaps in the times of {len(gaps)} {of}"
        notes.append(f"{several} filled by interpolation, as in {first}: {text}")
    return notes


def _rate(record: Record) -> float:
    return 1 / record.timeline.seconds_per_step


def _rates(record: Record) -> list[float]:
    signal = record.signal
    return signal.rates if isinstance(signal, MixedRates) else [_rate(record)]


def late_beginnings(records: Sequence[Record]) -> list[str]:
    """A note where the time of recordings does not begin at 0."""
    late = [
        (record.signal.path, clock.begins)
        for record in records
        if (clock := getattr(record.signal, "clock", None))
        and abs(clock.begins) > record.timeline.seconds_per_step
    ]
    if not late:
        return []
    path, begins = late[0]
    return [
        f"the time of {path} begins at {clock_time(begins)}: times of spans count from the first row "
        f"({len(late)} of {len(records)} recordings)"
    ]
