"""Random changes of values: no span moves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from spanloc.data.datamodule import Samples
from spanloc.data.extremes import usual_std
from spanloc.data.sampling import EpochIndex
from spanloc.data.transforms.applied import require
from spanloc.structures import Sample


@dataclass(frozen=True)
class Jitter:
    """Adds noise to every value.

    Args:
        std: Of the noise, relative to each channel's own standard deviation in the sequence; in [0, 10].
            None: 0.05.
        usual: Take that standard deviation after clipping rare values far outside the usual range
            (:mod:`spanloc.data.extremes`). None: no.
    """

    std: float | None = None
    usual: bool | None = None

    def __post_init__(self) -> None:
        if self.std is not None:
            require(self, "std", 0, 10)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with noise."""
        features = sample.features
        noise = torch.from_numpy(rng.standard_normal(tuple(features.shape), np.float32))
        std = 0.05 if self.std is None else self.std
        own = usual_std(features) if self.usual else features.std(1, correction=0, keepdim=True)
        return replace(sample, features=features + std * own * noise)


@dataclass(frozen=True)
class Scale:
    """Multiplies every channel by a factor of its own, around 1.

    Args:
        std: Of the factors' logarithm: 0.1 for about 10 % more or less; in [0, 1].
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        require(self, "std", 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample at another scale."""
        factors = np.exp(self.std * rng.standard_normal(len(sample.features))).astype(np.float32)
        return replace(sample, features=sample.features * torch.from_numpy(factors)[:, None])


@dataclass(frozen=True)
class ChannelDrop:
    """Takes channels away: all their values become their mean over the sequence.

    One channel at least stays.

    Args:
        probability: That a channel goes, each for itself; in [0, 1].
    """

    probability: float = 0.1

    def __post_init__(self) -> None:
        require(self, "probability", 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with some of its channels constant."""
        features = sample.features
        gone = rng.random(len(features)) < self.probability
        gone[rng.integers(len(features))] &= not gone.all()
        mean = features.mean(1, keepdim=True)
        return replace(
            sample, features=torch.where(torch.from_numpy(gone)[:, None], mean, features)
        )


@dataclass(frozen=True)
class Rotate:
    """Turns the axes of three-dimensional sensors: as if the device were worn another way.

    All triples turn alike, as the sensors of one device do; several devices are several transforms. The
    axis is uniform over all directions, the angle up to the largest.

    Args:
        max_degrees: The largest angle; in [0, 180]. None: nothing is turned.
        triples: Channels that are x, y and z of one sensor, from 0; None: 0 to 2, 3 to 5 and so on.

    Raises:
        ValueError: When called, the sequence does not have such channels.
    """

    max_degrees: float | None = 15.0
    triples: Sequence[Sequence[int]] | None = None

    def __post_init__(self) -> None:
        if self.max_degrees is not None:
            require(self, "max_degrees", 0, 180)
        triples = self.triples or ()
        channels = [channel for triple in triples for channel in triple]
        whole = all(len(triple) == 3 and min(triple) >= 0 for triple in triples)
        if not whole or len(set(channels)) != len(channels):
            wanted = "wanted three channels in each, from 0, and none twice"
            raise ValueError(f"Rotate: triples is {self.triples}; {wanted}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with its axes turned."""
        if self.max_degrees is None:
            return sample
        axis = rng.standard_normal(3)
        x, y, z = axis / np.linalg.norm(axis)
        angle = math.radians(self.max_degrees) * rng.uniform(-1, 1)
        # Rodrigues' formula.
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        turn = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
        features = sample.features.clone()
        for triple in self._triples(sample):
            features[triple] = torch.from_numpy(turn.astype(np.float32)) @ sample.features[triple]
        return replace(sample, features=features)

    def _triples(self, sample: Sample) -> list[list[int]]:
        num_channels = len(sample.features)
        if self.triples is None:
            if num_channels % 3:
                raise ValueError(
                    f"sequence {sample.id!r}: {num_channels} channels are no triples; Rotate needs "
                    "triples, such as [[0, 1, 2]]"
                )
            return [[i, i + 1, i + 2] for i in range(0, num_channels, 3)]
        most = max((max(triple) for triple in self.triples), default=-1)
        if most >= num_channels:
            raise ValueError(
                f"sequence {sample.id!r}: there is no channel {most}, which is in a triple of Rotate; "
                f"there are {num_channels}, from 0"
            )
        return [list(triple) for triple in self.triples]


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
