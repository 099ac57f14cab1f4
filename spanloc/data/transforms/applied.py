"""A data set with transforms, and the kinds of transforms there are."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
from torch.utils.data import Dataset

from spanloc.data.datamodule import Samples
from spanloc.data.sampling import known_lengths
from spanloc.data.sequences import clipped
from spanloc.structures import Sample

# So that no other draw from the same numbers, such as that of a crop, is the same.
_OWN = 9

_Change = Callable[[Sample, np.random.Generator], Sample]


@runtime_checkable
class DrawsOthers(Protocol):
    """A transform that also needs other sequences of the data set."""

    def drawn_from(self, dataset: Samples, index: int, /) -> _Change:
        """The transform of one sample.

        Args:
            dataset: Of the sequences as they are.
            index: Of the sample; where it is an :class:`~spanloc.data.EpochIndex`, the others are to be
                asked for in the same epoch.
        """


Transform = _Change | DrawsOthers


class Transformed(Dataset[Sample]):
    """A data set whose sequences are changed at random, by one transform after the other.

    The changes depend on ``(seed, epoch, index)`` alone, so not on the number of workers; the epoch is
    that of an :class:`~spanloc.data.EpochIndex`, 0 for a plain number.

    Args:
        dataset: Of the sequences as they are; it gets the same index.
        transforms: In their order; by name, where None leaves one out, or listed. Each takes a sample, which
            it leaves as it is, and a generator, and gives a sample; or it is one that
            :class:`DrawsOthers`.
        seed: Of the changes.
        most: Steps that a sample may have in the end; what is beyond is cut off. Batches of ever new
            lengths would cost memory, as the CPU keeps a plan for each.
        min_kept: A span that is cut then is kept where at least this fraction of it is inside.
    """

    def __init__(
        self,
        dataset: Samples,
        transforms: Mapping[str, Transform | None] | Sequence[Transform],
        seed: int = 0,
        *,
        most: float = math.inf,
        min_kept: float = 0.5,
    ) -> None:
        named = transforms.values() if isinstance(transforms, Mapping) else transforms
        self.transforms = [transform for transform in named if transform is not None]
        self.dataset, self.seed = dataset, seed
        self.most, self.min_kept = most, min_kept
        #: Steps of the sequences before any change, where the data set knows them.
        self.lengths = known_lengths(dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        rng = np.random.default_rng([self.seed, getattr(index, "epoch", 0), int(index), _OWN])
        for transform in self.transforms:
            if isinstance(transform, DrawsOthers):
                sample = transform.drawn_from(self.dataset, index)(sample, rng)
            else:
                sample = transform(sample, rng)
        if sample.features.shape[1] <= self.most:
            return sample
        most = int(self.most)
        spans, labels, ignored = clipped(sample, 0, most, self.min_kept)
        features = sample.features[:, :most]
        return replace(sample, features=features, spans=spans, labels=labels, ignored=ignored)


def require(transform: object, name: str, low: float, high: float) -> None:
    """Refuse an option of a transform that does not lie in ``[low, high]``."""
    value = getattr(transform, name)
    if not low <= value <= high:
        kind = type(transform).__name__
        raise ValueError(f"{kind}: {name} is {value}; it must lie in [{low:g}, {high:g}]")
