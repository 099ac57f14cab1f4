"""Random stretches of recordings, to train on."""

import math
from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from spanloc.data.annotations.folder import Record
from spanloc.data.sequences import cut
from spanloc.structures import Sample


class Crops(Dataset[Sample]):
    """Random crops of recordings, as many per epoch as wanted, spread evenly over all their time.

    A crop is drawn from ``(seed, epoch, index)`` alone, so it does not depend on the number of workers;
    the epoch is that of an :class:`~spanloc.data.EpochIndex`, 0 for a plain number. The recordings are
    laid end to end, and each of the ``count`` crops of an epoch comes from a share of its own of the
    whole, so that no epoch misses a part that is longer than such a share.

    Args:
        records: The recordings, from :func:`read_annotations`.
        crop: Steps of a crop; recordings no longer than that stay whole, and are drawn as often as ones
            of that length. ``inf``: all stay whole, each drawn as often as any other.
        count: Crops per epoch. None: as many as cover the time of all recordings once.
        min_kept: A crop keeps a span, clipped, where at least this fraction of it is inside.
        seed: Of the crops.
    """

    def __init__(
        self,
        records: Sequence[Record],
        crop: float,
        *,
        count: int | None = None,
        min_kept: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.records, self.crop, self.min_kept, self.seed = list(records), crop, min_kept, seed
        shares = [max(record.num_steps / crop, 1.0) for record in self.records]
        self._ends = np.cumsum(shares)
        self.count = math.ceil(self._ends[-1]) if count is None else count

    def __len__(self) -> int:
        return self.count

    def lengths(self) -> list[int] | None:
        """Steps of every sample, where each is one whole recording, in their order; else None."""
        # Where every share is 1 and there are as many samples, sample i lies in the share of recording i.
        if not self.count == len(self.records) == self._ends[-1]:
            return None
        return [record.num_steps for record in self.records]

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.count:
            raise IndexError(f"index {index} of {self.count} crops")
        number = getattr(index, "epoch", 0) * self.count + int(index)
        rng = np.random.default_rng([self.seed, number])
        place = (index + rng.random()) / self.count * self._ends[-1]
        # Rounding may lead to the very end.
        i = min(int(np.searchsorted(self._ends, place, side="right")), len(self.records) - 1)
        record = self.records[i]
        if record.num_steps <= self.crop:
            return cut(record, 0, record.num_steps, self.min_kept)
        # Where the share lies in the recording, so that an epoch goes over all of it.
        share = 1 - (self._ends[i] - place) * self.crop / record.num_steps
        room = record.num_steps - int(self.crop)
        first = min(max(int(share * (room + 1)), 0), room)
        return cut(record, first, first + int(self.crop), self.min_kept)
