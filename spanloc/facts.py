"""Facts of data: those that a model is sized by, and those of the signals it was trained on."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DataFacts:
    """Facts of the training data, which travel in a checkpoint; all but the last one size the model.

    Args:
        num_channels, num_classes: Of the features; of the labels.
        shortest: A typical short span, in steps: the 5 % quantile of the lengths.
        longest: The longest span, in steps.
        overlapping: Whether spans of known classes overlap, by more than rounding; None: not known.
    """

    num_channels: int
    num_classes: int
    shortest: float
    longest: float
    overlapping: bool | None = None

    def __post_init__(self) -> None:
        # They may come from a file, and decide how large a model becomes.
        sizes = self.num_channels >= 1 and self.num_classes >= 1
        if not (sizes and 0 <= self.shortest <= self.longest <= 1e9):
            raise ValueError(f"{self}: wanted sizes >= 1, 0 <= shortest <= longest <= 1e9")


@dataclass(frozen=True)
class InputFacts:
    """The signals that a model was trained on; they travel in its checkpoint.

    Args:
        num_channels: Of the signals, before features.
        rate: Steps per second, before features; None: not known.
        offset: Seconds from the start of a recording to its first step, of features of a video.
        channels, units: Of the channels, where they are known.
        features: Computed from the signals, such as ``log_spectrogram``; None: the signals themselves.
        feature_options: Of these.
        missing: ``interpolate`` where missing values were filled, else ``error``.
        time: Name of the column with the time, where a setting says it.
        numbers: Of the channels in the files, where they were chosen by number.
    """

    num_channels: int
    rate: float | None = None
    offset: float = 0.0
    channels: list[str] | None = None
    units: list[str] | None = None
    features: str | None = None
    feature_options: dict[str, Any] = field(default_factory=dict)
    missing: str = "error"
    time: str | None = None
    numbers: list[int] | None = None
