"""Recordings of sound, and what a model sees of them."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from spanloc.data.annotations.records import Record
from spanloc.data.inputs import FEATURES
from spanloc.data.signals import LogSpectrogram
from spanloc.ops import length

#: The setting of a model that sees the samples themselves.
AS_THEY_ARE = "none"
# Samples a second. Files of sound with fewer hold other signals, such as accelerations.
_LEAST_RATE = 1000
# Frames that a short span is to have, as a model wants cells; and what lies between two, in seconds.
_FRAMES, _LEAST_HOP, _MOST_HOP = 12, 0.002, 0.01
# A window covers so many times what lies between two.
_OVERLAP = 2.5


def features_for(
    records: Sequence[Record], features: str | None, options: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """The features that a model is to see of recordings, and their options, where they are left open.

    Of sound these are bands of frequencies, in frames that a short span (5 % are shorter) has about 12 of.

    Args:
        features: As set: a name in ``FEATURES``, ``"none"``, or None: it is left open.
        options: As set; they stay.

    Returns:
        The name, or None for the samples as they are.

    Raises:
        ValueError: There are options, and no features.
    """
    if features in FEATURES:
        return features, dict(options)
    if features == AS_THEY_ARE or not _are_sound(records):
        if options:
            raise ValueError("data.feature_options is set, and no data.features")
        return None, {}
    lengths = [length(r.spans) * r.timeline.seconds_per_step for r in records if len(r.spans)]
    hop = _MOST_HOP
    if lengths:
        short = float(torch.cat(lengths).quantile(0.05))
        hop = round(min(max(short / _FRAMES, _LEAST_HOP), _MOST_HOP), 3)
    found = {"hop": hop, "window": _OVERLAP * options.get("hop", hop)}
    return "log_spectrogram", found | dict(options)


def _are_sound(records: Sequence[Record]) -> bool:
    return bool(records) and all(
        record.signal.path.suffix.lower() in (".wav", ".flac")
        and record.timeline.seconds_per_step <= 1 / _LEAST_RATE
        for record in records
    )


def require_features(features: str | None, options: Mapping[str, Any]) -> None:
    """Refuse features or options of features that there are not.

    Raises:
        ValueError: It names the setting, what came and what there is.
    """
    if features not in (None, AS_THEY_ARE, *FEATURES):
        wanted = ", ".join([*FEATURES, AS_THEY_ARE])
        raise ValueError(f"data.features is {features!r}; wanted one of {wanted}")
    make = FEATURES.get(features or "", LogSpectrogram)
    known = [name for name in inspect.signature(make).parameters if name != "signal"]
    for name in options:
        if name not in known:
            raise ValueError(
                f"data.feature_options.{name}: there is no such option; wanted some of "
                f"{', '.join(known)}"
            )
