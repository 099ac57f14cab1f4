"""What the recipe looks at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class TrainingFacts:
    """What the recipe looks at: of the training recordings, but for the lengths of the others.

    Args:
        seconds_per_step: Of all recordings.
        steps: Of each training recording.
        val_steps: Of each validation recording.
        shortest: 5 % quantile of the lengths of the spans, in steps.
        longest: The longest span, in steps.
        num_spans: In all.
        num_classes: Labels.
        one_each: Whether every recording has exactly one span.
        slow: Whether reading takes work: resampling, decompression, a spectrogram.
        most_spans: Of one training recording; 0: not known.
        num_channels: That the model sees; 0: not known.
        offsets: Share of the variance of a channel that is between the means of recordings (median over the
            channels), in [0, 1].
        coverage: Share of the time that is in spans.
        labels_each: Labels that a recording has on average.
    """

    seconds_per_step: float
    steps: Sequence[int]
    val_steps: Sequence[int]
    shortest: float
    longest: float
    num_spans: int
    num_classes: int
    one_each: bool
    slow: bool = False
    most_spans: int = 0
    num_channels: int = 0
    offsets: float = 0.0
    coverage: float = 1.0
    labels_each: float = 1.0

    @classmethod
    def of(cls, datamodule: Any) -> "TrainingFacts":
        """Of a :class:`~spanloc.data.SpanDataModule` that is set up."""
        facts, sizes = datamodule.facts(), datamodule.sizes()
        counts = [len(lengths) for lengths in datamodule.span_lengths()]
        return cls(
            seconds_per_step=datamodule.seconds_per_step,
            steps=sizes["train"],
            val_steps=sizes["val"],
            shortest=facts.shortest,
            longest=facts.longest,
            num_spans=sum(counts),
            num_classes=facts.num_classes,
            one_each=set(counts) == {1},
            slow=getattr(datamodule, "slow", False),
            most_spans=max(counts, default=0),
            num_channels=facts.num_channels,
            offsets=datamodule.offsets() if hasattr(datamodule, "offsets") else 0.0,
            labels_each=datamodule.labels_each() if hasattr(datamodule, "labels_each") else 1.0,
            coverage=sum(map(float, map(torch.sum, datamodule.span_lengths())))
            / max(sum(sizes["train"]), 1),
        )
