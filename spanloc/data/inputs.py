"""Preparation of recordings as the input of a trained model."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

import numpy as np

from spanloc.data.signals import (
    ArraySignal,
    Filled,
    LogSpectrogram,
    MixedRates,
    Regular,
    Signal,
    open_signal,
)
from spanloc.data.signals.channels import Channels, some_channels
from spanloc.data.signals.mixed import at_rate, same_rate
from spanloc.data.signals.reading import listed, shown_path
from spanloc.facts import InputFacts
from spanloc.files import counted
from spanloc.structures import Timeline

_MOST_GAPS = 3
_VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6}
# Of a rate: a note would be of no use.
_ROUNDING = 1e-3
#: The ends of notes that are warnings: of another unit, and of a much lower rate.
CONVERT = "convert the values to the unit of training"
LACKS_HIGH = "so the model may miss spans"
#: Before the advice to choose channels, which is the same for many recordings.
CHOOSE = "; to choose them by hand: "


class Note(NamedTuple):
    """What was done to a recording, in a few words.

    ``of_many`` says it of several recordings, whose values stand for ``{}``; empty: as ``text``.
    """

    text: str
    of_many: str = ""
    value: str = ""


FEATURES = {"log_spectrogram": LogSpectrogram}


def facts_of(
    signal: Signal,
    timeline: Timeline,
    features: str | None,
    options: Mapping[str, Any],
    missing: str,
    time: str | None,
    chosen: Sequence[str | int] | None,
) -> InputFacts:
    """The facts of signals that are all like this one, of channels that were ``chosen``."""
    count, rate = signal.num_channels, 1 / timeline.seconds_per_step
    names, units = (list(known) if known else None for known in (signal.channels, signal.units))
    offset, options = timeline.offset, dict(options)
    numbers = [i for i in chosen or () if not isinstance(i, str)]
    known = numbers if len(numbers) == count else None
    return InputFacts(count, rate, offset, names, units, features, options, missing, time, known)


def open_recording(
    path: str | Path,
    facts: InputFacts | None,
    *,
    rate: float | None = None,
    channels: Sequence[str | int] | None = None,
    key: str | None = None,
) -> Signal:
    """The recording in a file, for a model that was trained on signals with these facts.

    Arguments and errors are those of :func:`~spanloc.data.signals.open_signal`.
    """
    names = facts.channels if facts and channels is None else None
    options: dict[str, Any] = {"key": key, "rate": rate, "time": facts.time if facts else None}
    try:
        return open_signal(path, **options, channels=channels)
    except ValueError:
        if Path(path).is_dir():
            where = shown_path(Path(path))
            raise ValueError(f"{where}: it is a folder; wanted the file of a recording") from None
        if not names:
            raise
    # What is wrong may be with channels that the model does not need, such as a column of notes.
    return open_signal(path, **options, channels=names)


def signal_of(values: Any) -> Signal:
    """A recording in memory as a signal: an array, or a data frame, whose columns name the channels."""
    if isinstance(values, Signal):
        return values
    names, array = getattr(values, "columns", None), np.asarray(values)
    texts = (
        [] if names is None else [n for n in names if np.asarray(values[n]).dtype.kind not in "fiu"]
    )
    if texts and len(array):
        one = np.asarray(values[texts[0]])[0]
        raise ValueError(
            f"array: column {texts[0]!r:.60} holds {str(one)!r:.30}; wanted numbers: leave it out"
        )
    return ArraySignal(array, channels=None if names is None else [*map(str, names)])


def without_gaps(signal: Signal, missing: str, on_fill: Callable[[], None] | None = None) -> Signal:
    """A signal with its missing values filled (``"interpolate"``), or refused if its times have gaps (``"error"``)."""
    if missing == "interpolate":
        fill = partial(Filled, on_fill=on_fill)
        return signal.each(fill) if isinstance(signal, MixedRates) else fill(signal)
    if missing != "error":
        raise ValueError(f"missing is {missing!r}; wanted 'interpolate' or 'error'")
    if isinstance(signal, Regular) and (gap := signal.gap):
        start, long = (steps / (signal.rate or 1.0) for steps in gap)
        raise ValueError(
            f"{shown_path(signal.path)}: {long:.6g} s of its times are missing, from {start:.6g} s on; "
            "data.missing=interpolate fills such gaps (in Python missing='interpolate'); or cut the recording there"
        )
    return signal


def as_input(
    signal: Signal,
    facts: InputFacts,
    rate: float | None = None,
    *,
    channels: Sequence[str | int] | None = None,
    on_rate: str = "resample",
    missing: str | None = None,
) -> tuple[Signal, list[Note]]:
    """The input of a model from a recording, and short notes of what was done to it.

    Values in V, mV or uV are converted to the unit of training, if that is another of these.
    Missing values are found when they are read: the note of them is added then.
    Channels are taken by name where the model and the recording have names, whatever their order; by number, if
    training took them so and no name is the same.

    Args:
        facts: Of the signals that the model was trained on.
        rate: Steps per second of the recording, where it does not say it.
        channels: Names or numbers, from 0, of its channels, in the order of those of training.
        on_rate: ``"resample"`` brings it to the rate of training, ``"error"`` refuses another rate.
        missing: As in :func:`without_gaps`; None: as in training.

    Raises:
        ValueError: It lacks a channel, has another number of them, its rate is not known or may not be
            changed; it names the file.
    """
    if on_rate not in ("resample", "error"):
        raise ValueError(f"on_rate is {on_rate!r}; wanted 'resample' or 'error'")
    where = shown_path(signal.path)
    if isinstance(signal, ArraySignal):
        require_floats(where, signal.read(0, 1), facts)
    notes: list[Note] = []
    if channels is None and (channels := _by_number(signal, facts)):
        taken = listed([(signal.channels or ())[i] for i in channels])
        text = "channel names differ from training; taken by number, as in training"
        notes.append(Note(f"{text}: {taken}"))
    signal, left = in_order(signal, facts, channels)
    if left:
        notes.append(Note(f"without the channels {listed(left)}"))
    gaps = ""
    if isinstance(signal, Regular):
        done = "times are not regular: interpolated at equal steps"
        notes.append(Note(f"its {done}", f"the {done}"))
        gaps = listed_gaps(signal, signal.rate or rate)
    how = "filled by interpolation; check predictions there"
    if gaps:
        notes.append(Note(f"{gaps} {how}", f"gaps in the times {how}"))
    filled = Note(f"missing values {how}")

    def on_fill() -> None:
        if not gaps and filled not in notes:
            notes.append(filled)

    signal = without_gaps(signal, missing or facts.missing, on_fill)
    source = signal.rate or rate
    if facts.rate is not None and source is None:
        raise ValueError(f"{where}: its rate is not known; set rate (steps per second)")
    if facts.rate is not None and source is not None and not same_rate(source, facts.rate):
        if on_rate == "error":
            raise ValueError(f"{where}: rate is {source:g}; wanted {facts.rate:g} (on_rate)")
        signal, _ = at_rate(signal, facts.rate, source)
        text, of_many = (f"resampled from {r} to {facts.rate:g} Hz" for r in (f"{source:g}", "{}"))
        if source < 0.9 * facts.rate:
            text += f": it has nothing above {source / 2:g} Hz, {LACKS_HIGH}"
            of_many += f": they have nothing above half their rate, {LACKS_HIGH}"
        if abs(source / facts.rate - 1) > _ROUNDING:
            notes.append(Note(text, of_many, f"{source:g}"))
    signal, converted = in_units(signal, facts.units)
    notes[:0] = converted
    if facts.features is not None:
        make = FEATURES[facts.features]
        signal = make(signal, source_rate=facts.rate or source, **facts.feature_options)
    return signal, notes


def require_floats(where: str, values: np.ndarray, facts: InputFacts) -> None:
    """Refuse integers where the model takes features of sound: their scale is not that of sound files."""
    if facts.features is not None and values.dtype.kind in "iu":
        raise ValueError(
            f"{where}: dtype is {values.dtype}; wanted floats in the scale of training: sound files are "
            "read as -1 to 1, so divide int16 by 32768"
        )


def listed_gaps(signal: Regular, rate: float | None) -> str:
    """The gaps in the times of a recording, such as ``"1 gap (3 s from 59.9 s)"``; empty without any."""
    gaps, rate = signal.gaps, rate or 1.0
    texts = [f"{long / rate:.3g} s from {start / rate:.6g} s" for start, long in gaps[:_MOST_GAPS]]
    more = f" and {len(gaps) - _MOST_GAPS} more" if len(gaps) > _MOST_GAPS else ""
    return f"{counted(len(gaps), 'gap')} ({', '.join(texts)}{more})" if gaps else ""


def in_order(
    signal: Signal, facts: InputFacts, chosen: Sequence[str | int] | None = None
) -> tuple[Signal, list[str]]:
    """The channels of training in their order, and the names of those that are left out."""
    there, left = signal.channels, list[str]()
    known = {normalize("NFC", name) for name in there or ()}
    trained = {normalize("NFC", name) for name in facts.channels or ()}
    if chosen is not None:
        signal = some_channels(signal, chosen)
    elif facts.channels and there and len(trained) == len(facts.channels):
        if lacking := [n for n in facts.channels if normalize("NFC", n) not in known]:
            enough = len(there) >= facts.num_channels
            hint = f"{CHOOSE}channels=[...], in the order of training" * enough
            raise ValueError(
                f"{shown_path(signal.path)}: it lacks the channels {listed(lacking)}; it has {listed(there)}{hint}"
            )
        left = [name for name in there if normalize("NFC", name) not in trained]
        signal = some_channels(signal, facts.channels)
    if signal.num_channels != facts.num_channels:
        wanted = f": {listed(facts.channels)}" if facts.channels else ""
        has = f": {listed(there)}" if there else ""
        hint = ""
        if signal.num_steps == facts.num_channels:
            hint = "; transposed? an array is (steps, channels)"
        elif chosen is None and signal.num_channels > facts.num_channels:
            numbers = ",".join(map(str, range(min(facts.num_channels, 4))))
            numbers += ",..." * (facts.num_channels > 4)
            hint = f"{CHOOSE}channels=[{numbers}], numbers from 0, in the order of training"
        raise ValueError(
            f"{shown_path(signal.path)}: it has {signal.num_channels} channels{has}; the model was "
            f"trained on {facts.num_channels}{wanted}{hint}"
        )
    return signal, left


def _by_number(signal: Signal, facts: InputFacts) -> list[int] | None:
    # Where a name is the same, the order may be another.
    there = {normalize("NFC", name) for name in signal.channels or ()}
    same = there & {normalize("NFC", name) for name in facts.channels or ()}
    known = there and facts.numbers and max(facts.numbers) < signal.num_channels
    return facts.numbers if known and not same else None


def require_units(own: InputFacts | None, trained: InputFacts | None) -> None:
    """Raise ValueError for data in V, mV or uV of a model that was trained on another of these."""
    units = ((facts and facts.units) or () for facts in (own, trained))
    for there, wanted in zip(*(map(_plain, some) for some in units), strict=False):
        if there != wanted and {there, wanted} <= {*_VOLTS}:
            raise ValueError(
                f"the unit of the data is {there!r:.20}; the model was trained on {wanted!r:.20}: {CONVERT}"
            )


def in_units(signal: Signal, units: Sequence[str] | None) -> tuple[Signal, list[Note]]:
    """The signal with values in V, mV or uV converted to these units, and notes of units that differ."""
    other: dict[tuple[str, str], list[int]] = {}
    for i, pair in enumerate(zip(signal.units or (), units or (), strict=False)):
        own, trained = map(_plain, pair)
        if own and trained and own != trained:
            other.setdefault((own, trained), []).append(i)
    factors, notes = [1.0] * signal.num_channels, list[Note]()
    for (own, trained), places in other.items():
        names = listed([signal.channels[i] if signal.channels else str(i) for i in places], 5)
        text = f"the unit of {names} is {own!r:.20}, in training it was {trained!r:.20}: "
        known = own in _VOLTS and trained in _VOLTS
        for i in places if known else ():
            factors[i] = _VOLTS[own] / _VOLTS[trained]
        notes.append(Note(text + ("the values are converted" if known else CONVERT)))
    if any(factor != 1 for factor in factors):
        signal = Channels(signal, range(len(factors)), factors, units)
    return signal, notes


def _plain(unit: str) -> str:
    # Micro is a sign of its own, a Greek letter, or a u.
    return unit.strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
