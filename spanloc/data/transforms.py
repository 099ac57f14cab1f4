"""Random changes of training sequences: of their values, and of time, with which the spans move."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spanloc.data.datamodule import Samples
from spanloc.structures import Sample

Transform = Callable[[Sample, np.random.Generator], Sample]
# So that no other draw from the same numbers, such as that of a crop, is the same.
_OWN = 9
_WAVES = 4
# So that every step still has a share of a quarter at least in one that is made of it.
_FASTEST = 1.5


class Transformed(Dataset[Sample]):
    """A data set whose sequences are changed at random, by one transform after the other.

    What is drawn depends on ``(seed, epoch, index)`` alone, so not on the number of workers; the epoch is
    that of an :class:`~spanloc.data.EpochIndex`, 0 for a plain number.

    Args:
        dataset: Of the sequences as they are; it gets the same index.
        transforms: In their order; by name, where None leaves one out, or listed. Each takes a sample, which
            it leaves as it is, and a generator, and gives a sample.
        seed: Of the changes.
    """

    def __init__(
        self,
        dataset: Samples,
        transforms: Mapping[str, Transform | None] | Sequence[Transform],
        seed: int = 0,
    ) -> None:
        named = transforms.values() if isinstance(transforms, Mapping) else transforms
        self.transforms = [transform for transform in named if transform is not None]
        self.dataset, self.seed = dataset, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        rng = np.random.default_rng([self.seed, getattr(index, "epoch", 0), int(index), _OWN])
        for transform in self.transforms:
            sample = transform(sample, rng)
        return sample


@dataclass(frozen=True)
class Jitter:
    """Adds noise to every value.

    Args:
        std: Of the noise, relative to each channel's own standard deviation in the sequence; in [0, 10].

    Raises:
        ValueError: ``std`` is out of range.
    """

    std: float = 0.05

    def __post_init__(self) -> None:
        _require(self, "std", 0, 10)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with noise."""
        features = sample.features
        noise = torch.from_numpy(rng.standard_normal(tuple(features.shape), np.float32))
        size = self.std * features.std(1, correction=0, keepdim=True)
        return replace(sample, features=features + size * noise)


@dataclass(frozen=True)
class Scale:
    """Multiplies every channel by a factor of its own, around 1.

    Args:
        std: Of the factors' logarithm: 0.1 for about 10 % more or less; in [0, 1].

    Raises:
        ValueError: ``std`` is out of range.
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        _require(self, "std", 0, 1)

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

    Raises:
        ValueError: ``probability`` is out of range.
    """

    probability: float = 0.1

    def __post_init__(self) -> None:
        _require(self, "probability", 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with fewer channels that say something."""
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
        max_degrees: The largest angle; in [0, 180].
        triples: Channels that are x, y and z of one sensor, from 0; None: 0 to 2, 3 to 5 and so on.

    Raises:
        ValueError: ``max_degrees`` is out of range, or triples are none; or, when called, the sequence
            does not have such channels.
    """

    max_degrees: float = 15.0
    triples: Sequence[Sequence[int]] | None = None

    def __post_init__(self) -> None:
        _require(self, "max_degrees", 0, 180)
        for triple in self.triples or ():
            if len(set(triple)) != 3 or len(triple) != 3 or min(triple) < 0:
                raise ValueError(f"Rotate: a triple is {triple}; wanted three channels, from 0")
        channels = [channel for triple in self.triples or () for channel in triple]
        if len(set(channels)) != len(channels):
            raise ValueError(f"Rotate: triples is {self.triples}; a channel is there twice")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with its axes turned."""
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
class Speed:
    """Plays a sequence faster or slower: it gets another number of steps, and spans scale with it.

    A step still takes as long. Values are interpolated linearly.

    Args:
        low, high: The least and the most speed, 0.5 for twice as many steps; ``0.5 <= low <= high <= 1.5``,
            since much faster, interpolation would pass over steps. In between the logarithm is uniform.

    Raises:
        ValueError: They are out of range.
    """

    low: float = 0.9
    high: float = 1.1

    def __post_init__(self) -> None:
        _require(self, "low", 0.5, _FASTEST)
        _require(self, "high", self.low, _FASTEST)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample at another speed."""
        steps = sample.features.shape[1]
        speed = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        num_steps = max(round(steps / speed), math.ceil(steps / _FASTEST))
        # Spans scale by what the number of steps does, not by what was drawn.
        places = (np.arange(num_steps) + 0.5) * steps / num_steps
        return _moved(sample, places, lambda ends: ends * (num_steps / steps))


@dataclass(frozen=True)
class TimeWarp:
    """Lets time run faster here and slower there, smoothly; the sequence stays as long as it is.

    At time ``t`` there is now what was at ``t + T * sum(a_k * sin(pi k t / T) / (pi k))``, with four waves,
    so that the sequence plays at ``1 + sum(a_k * cos(pi k t / T))`` times its speed.

    Args:
        strength: The most that the speed may be off 1, the sum of all ``|a_k|``; in [0, 0.5].

    Raises:
        ValueError: ``strength`` is out of range.
    """

    strength: float = 0.2

    def __post_init__(self) -> None:
        _require(self, "strength", 0, _FASTEST - 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with its time warped."""
        steps = sample.features.shape[1]
        shares = rng.dirichlet(np.ones(_WAVES)) * rng.uniform(-1, 1, _WAVES) * self.strength
        waves = np.pi * np.arange(1, _WAVES + 1)

        def before(times: np.ndarray) -> np.ndarray:
            bend = np.sin(times[..., None] / steps * waves) @ (shares / waves)
            return times + steps * bend

        def after(ends: np.ndarray) -> np.ndarray:
            # Bisection down to the last digit: the map has no inverse in closed form.
            low, high = np.zeros_like(ends), np.full_like(ends, steps)
            for _ in range(60):
                middle = (low + high) / 2
                early = before(middle) < ends
                low, high = np.where(early, middle, low), np.where(early, high, middle)
            # What is a border stays one.
            return np.where((ends <= 0) | (ends >= steps), ends, (low + high) / 2)

        return _moved(sample, before(np.arange(steps) + 0.5), after)


def _moved(sample: Sample, places: np.ndarray, move: Callable[[np.ndarray], np.ndarray]) -> Sample:
    # Each new step has the value at one of the places; move says when an old time is now.
    steps = sample.features.shape[1]
    # A value is that of the middle of its step.
    x = np.clip(places - 0.5, 0, steps - 1)
    low = torch.from_numpy(np.floor(x).astype(np.int64))
    share = torch.from_numpy(x - np.floor(x)).float()
    # lerp is exact at both ends, and where the two are equal.
    features = torch.lerp(
        sample.features[:, low], sample.features[:, (low + 1).clamp(max=steps - 1)], share
    )

    def spans(before: Tensor) -> Tensor:
        moved = torch.from_numpy(move(before.double().numpy())).to(before.dtype)
        return moved.clamp(min=0, max=len(places))

    return replace(
        sample, features=features, spans=spans(sample.spans), ignored=spans(sample.ignored)
    )


def _require(transform: object, name: str, low: float, high: float) -> None:
    value = getattr(transform, name)
    if not low <= value <= high:
        kind = type(transform).__name__
        raise ValueError(f"{kind}: {name} is {value}; it must lie in [{low:g}, {high:g}]")
