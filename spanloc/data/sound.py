"""Features of recordings of sound."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from spanloc.data.annotations.records import Record
from spanloc.data.inputs import FEATURES
from spanloc.data.signals import LogSpectrogram
from spanloc.ops import length

#: The setting of ``data.features`` for the samples themselves.
AS_THEY_ARE = "none"
# Samples a second. Files of sound with fewer hold other signals, such as accelerations.
_LEAST_RATE = 1000
# Frames that a short span should have; and the limits of the time between two, in seconds.
_FRAMES, _LEAST_HOP, _MOST_HOP = 12, 0.002, 0.01
# Length of a window, in times between two frames.
_OVERLAP = 2.5
# Samples between two frames, at least.
_LEAST_SAMPLES = 4


def features_for(
    records: Sequence[Record], features: str | None, options: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """The features of recordings (None: the samples) and their options; what is not set follows from the recordings.

    For sound these are bands of frequencies. Frames are 2 to 10 ms apart, so that a short span (5 % are shorter)
    has about 12 of them where that allows it.

    Raises:
        ValueError: There are options, and no features.
    """
    options = {name: value for name, value in options.items() if value is not None}
    if features in FEATURES:
        return features, options
    if features == AS_THEY_ARE or not records or not all(map(_is_sound, records)):
        if options:
            raise ValueError("data.feature_options is set, and no data.features")
        return None, {}
    step = max(record.timeline.seconds_per_step for record in records)
    lengths = torch.cat([length(r.spans) * r.timeline.seconds_per_step for r in records])
    hop = _MOST_HOP
    if len(lengths):
        short = float(lengths.quantile(0.05))
        # A window needs some samples.
        least = max(_LEAST_HOP, math.ceil(1000 * _LEAST_SAMPLES * step) / 1000)
        hop = round(min(max(short / _FRAMES, least), _MOST_HOP), 3)
    found = {"hop": hop, "window": _OVERLAP * options.get("hop", hop)}
    return "log_spectrogram", found | options


def note_on_sound(records: Sequence[Record]) -> list[str]:
    """A note where a model sees the samples of sound, since other recordings are none."""
    if len({*map(_is_sound, records)}) < 2:
        return []
    return ["not all recordings are sound, so the model sees the samples of those that are"]


def _is_sound(record: Record) -> bool:
    fast = record.timeline.seconds_per_step <= 1 / _LEAST_RATE
    return fast and record.signal.path.suffix.lower() in (".wav", ".flac")


def require_features(features: str | None, options: Mapping[str, Any]) -> None:
    """Refuse unknown features, and options that they do not have."""
    if features not in (None, AS_THEY_ARE, *FEATURES):
        wanted = ", ".join([*FEATURES, AS_THEY_ARE])
        raise ValueError(f"data.features is {features!r}; wanted one of {wanted}")
    make = FEATURES.get(features or "", LogSpectrogram)
    known = [n for n in inspect.signature(make).parameters if n not in ("signal", "source_rate")]
    for name, value in options.items():
        if name not in known:
            raise ValueError(
                f"data.feature_options.{name}: there is no such option; wanted some of "
                f"{', '.join(known)}"
            )
        least = 0 if name == "low" else math.ulp(0)
        if value is not None and not (isinstance(value, int | float) and value >= least):
            wanted = "at least 0" if name == "low" else "above 0"
            raise ValueError(f"data.feature_options.{name} is {value!r}; wanted a number, {wanted}")
