"""Facts of the training data and of the trainer, which the recipe chooses by."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spanloc.models.sizing import stride_for

# Spans of a label, and steps of a typical one: with fewer of either it may be a mistake, or cannot be learned.
_LEAST_SPANS, _LEAST_LENGTH = 20, 3
# One in so many spans of a label is left out of the longest where it is so many times longer than the others.
_RARE, _FAR = 50, 4


@dataclass(frozen=True)
class TrainingFacts:
    """Facts of the training recordings, and the lengths of the validation recordings."""

    seconds_per_step: float
    steps: Sequence[int]  # of each training recording
    val_steps: Sequence[int]  # of each validation recording
    shortest: float  # 5 % quantile of the lengths of the spans, in steps
    longest: float  # the longest span, in steps, without the few that are far longer than others of their label
    num_spans: int
    num_classes: int
    one_each: bool  # whether every recording has exactly one span
    num_longer: int = 0  # spans that are left out of the longest
    slow: bool = False  # whether reading takes work: resampling, decompression, a spectrogram
    counts: Sequence[int] = ()  # spans of each training recording; empty: not known
    # Of those with enough spans to say so, the label whose spans are shortest, and their median length in steps.
    short_label: str = ""
    short_median: float = math.inf
    num_channels: int = 0  # that the model sees; 0: not known
    # Share of the variance of a channel that is between the means of recordings, in [0, 1]; median over channels.
    offsets: float = 0.0
    # Standard deviation of a channel relative to its changes within a short span; the least of the channels.
    changes: float = 1.0
    coverage: float = 1.0  # share of the time that is in spans
    labels_each: float = 1.0  # labels that a recording has on average
    # Standard deviation of a channel relative to that of its values clipped to their usual range, from 1; the
    # largest of the channels.
    extremes: float = 1.0
    extreme_channel: str = ""  # which that is
    triples: Sequence[Sequence[int]] = ()  # channels x, y and z of a sensor, by name

    @classmethod
    def of(cls, datamodule: Any) -> "TrainingFacts":
        """The facts of a :class:`~spanloc.data.SpanDataModule` that is set up."""
        facts, sizes, lengths = datamodule.facts(), datamodule.sizes(), datamodule.span_lengths()
        counts = [len(own) for own in lengths]
        # Own data sets need not say them.
        labels = datamodule.span_labels() if hasattr(datamodule, "span_labels") else []
        each = [len(own.unique()) for own in labels if len(own)]
        extremes, channel = datamodule.extremes() if hasattr(datamodule, "extremes") else (1.0, "")
        longest, num_longer = _longest(lengths, labels)
        changes = getattr(datamodule, "changes", None)
        short_median, short_label = _shortest_label(lengths, labels, datamodule.classes)
        return cls(
            seconds_per_step=datamodule.seconds_per_step,
            steps=sizes["train"],
            val_steps=sizes["val"],
            shortest=facts.shortest,
            longest=longest,
            num_longer=num_longer,
            num_spans=sum(counts),
            num_classes=facts.num_classes,
            # A recording with one span is not divided: the parts of others have lost some.
            one_each=set(counts) == {1} and not getattr(datamodule, "in_parts", False),
            slow=getattr(datamodule, "slow", False),
            counts=counts,
            short_label=short_label,
            short_median=short_median,
            num_channels=facts.num_channels,
            offsets=datamodule.offsets() if hasattr(datamodule, "offsets") else 0.0,
            changes=changes(stride_for(facts.shortest)) if changes else 1.0,
            labels_each=sum(each) / len(each) if each else 1.0,
            extremes=extremes,
            extreme_channel=channel,
            triples=triples_of(getattr(getattr(datamodule, "input", None), "channels", None) or ()),
            coverage=float(torch.cat(lengths).sum()) / max(sum(sizes["train"]), 1),
        )


def triples_of(names: Sequence[str]) -> list[list[int]]:
    """The channels that are x, y and z of one sensor: neighbours whose names differ by these letters alone.

    >>> triples_of(["t", "acc_X", "acc_Y", "acc_Z", "hr", "x", "y", "z"])
    [[1, 2, 3], [5, 6, 7]]
    """
    found: list[list[int]] = []
    for i in range(len(names) - 2):
        x, y, z = (name.lower() for name in names[i : i + 3])
        alike = any(
            y == f"{x[:k]}y{x[k + 1 :]}" and z == f"{x[:k]}z{x[k + 1 :]}"
            for k in range(len(x))
            if x[k] == "x"
        )
        if alike:
            found.append([i, i + 1, i + 2])
    return found


def _longest(lengths: Sequence[Tensor], labels: Sequence[Tensor]) -> tuple[float, int]:
    """The longest span, and how many are left out because they are far longer than the others of their label."""
    sizes = torch.cat([*lengths])
    if not labels:
        return max(sizes.tolist(), default=0.0), 0
    own, longest = torch.cat([*labels]), 0.0
    for label in own.unique():
        mine = sizes[own == label].sort(descending=True).values
        if len(mine) >= _LEAST_SPANS:
            mine = mine[mine <= _FAR * mine[math.ceil(len(mine) / _RARE)]]
        longest = max(longest, float(mine[0]))
    return longest, int((sizes > longest).sum())


def _shortest_label(
    lengths: Sequence[Tensor], labels: Sequence[Tensor], classes: Sequence[str]
) -> tuple[float, str]:
    """The least median of the lengths of a label's spans, of those with enough of them, and the label."""
    if not labels:
        return math.inf, ""
    sizes, own = torch.cat([*lengths]), torch.cat([*labels])
    each = ((sizes[own == i], name) for i, name in enumerate(classes))
    medians = [(float(size.median()), name) for size, name in each if len(size) >= _LEAST_SPANS]
    return min((found for found in medians if found[0] >= _LEAST_LENGTH), default=(math.inf, ""))


def num_processes(trainer: Mapping[str, Any]) -> int:
    """The number of processes that share a step of a Trainer with these settings, on all machines."""
    devices = trainer.get("devices", 1)
    if isinstance(devices, str) and "," in devices:
        devices = [part for part in devices.split(",") if part.strip()]
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        count = len(devices)
    elif devices in (None, "auto", -1, "-1"):
        # Without GPUs it is one.
        count = 1 if trainer.get("accelerator") == "cpu" else torch.cuda.device_count()
    else:
        # What is no number is the Trainer's to refuse.
        count = int(devices) if str(devices).isdecimal() else 1
    nodes = str(trainer.get("num_nodes") or 1)
    return max(count, 1) * (int(nodes) if nodes.isdecimal() else 1)
