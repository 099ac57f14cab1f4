"""Random changes that take from a second sequence."""

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from spanloc.data.datamodule import Samples
from spanloc.data.sampling import EpochIndex
from spanloc.data.transforms.applied import require
from spanloc.structures import Sample


@dataclass(frozen=True)
class MixBackground:
    """Adds the background of another training sequence to the whole of a sequence; no span moves.

    The background are the steps that no span, also of no known class, and no ignored stretch touches,
    joined end to end. They begin at a random one of them, and again at the first after the last, until
    the sequence is covered. Their mean is taken off first. Another sequence without such steps adds
    nothing, and so does a channel that is constant in either sequence.

    Where training draws crops, the part of a span that a crop holds but does not keep
    (:class:`~spanloc.data.Crops`) is background here as in training.

    Args:
        probability: That a sequence is changed; in [0, 1]. Only then is another one read.
        strength: Standard deviation of the added values, relative to each channel's own in the
            sequence; in [0, 10].

    Raises:
        ValueError: When called, the other sequence has another number of channels.
    """

    probability: float = 0.5
    strength: float = 0.3

    def __post_init__(self) -> None:
        require(self, "probability", 0, 1)
        require(self, "strength", 0, 10)

    def drawn_from(self, dataset: Samples, index: int, /) -> "partial[Sample]":
        """The transform of one sample; each other sequence of the data set is as likely."""
        return partial(self._mixed, dataset, index)

    def _mixed(
        self, dataset: Samples, index: int, sample: Sample, rng: np.random.Generator
    ) -> Sample:
        if rng.random() >= self.probability or len(dataset) < 2:
            return sample
        place = int(rng.integers(len(dataset) - 1))
        place += place >= index
        other = dataset[EpochIndex(place, getattr(index, "epoch", 0))]
        if len(other.features) != len(sample.features):
            raise ValueError(
                f"sequence {sample.id!r} has {len(sample.features)} channels; {other.id!r} has "
                f"{len(other.features)}, and all must have the same number"
            )
        # In float64 the values of a constant channel are their mean but for the last digits.
        found = other.features[:, _background(other)].double()
        count, steps = found.shape[1], sample.features.shape[1]
        if not count:
            return sample
        mean, std = found.mean(1, keepdim=True), found.std(1, correction=0, keepdim=True)
        wanted = self.strength * sample.features.double().std(1, correction=0, keepdim=True)
        scale = torch.where(std > 1e-7 * mean.abs(), wanted / std, 0.0)
        laid = found[:, (int(rng.integers(count)) + torch.arange(steps)) % count]
        return replace(sample, features=sample.features + (scale * (laid - mean)).float())


def _background(sample: Sample) -> Tensor:
    # True for steps that nothing touches, (T,). A span without length lies in the step of its start.
    free = torch.ones(sample.features.shape[1], dtype=torch.bool)
    for start, end in (*sample.spans.tolist(), *sample.ignored.tolist()):
        free[int(start) : max(math.ceil(end), int(start) + 1)] = False
    return free
