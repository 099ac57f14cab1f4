"""Random stretches of recordings, to train on."""

import math
from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from spanloc.data.annotations.folder import Record
from spanloc.data.sequences import cut
from spanloc.ops import length
from spanloc.structures import Sample


class Crops(Dataset[Sample]):
    """Random crops of recordings, as many per epoch as wanted, spread evenly over all their time.

    A crop is drawn from ``(seed, epoch, index)`` alone, so it does not depend on the number of workers;
    the epoch is that of an :class:`~spanloc.data.EpochIndex`, 0 for a plain number. The recordings are
    laid end to end, and each of the ``count`` crops of an epoch comes from a share of its own of the
    whole, so that no epoch misses a part that is longer than such a share. Where spans are rare, some
    crops are drawn around a span instead.

    Args:
        records: The recordings, from :func:`read_annotations`.
        crop: Steps of a crop; recordings no longer than that stay whole, and are drawn as often as ones
            of that length. ``inf``: all stay whole, each drawn as often as any other.
        count: Crops per epoch. None: as many as cover all recordings once.
        min_kept: A crop keeps a span, clipped, where at least this fraction of it is inside.
        with_spans: At least this fraction of the crops hold a span, on average, in [0, 1). Where spread
            evenly fewer would, as many as are missing are drawn around a span, each span as often as any
            other. 0: all are spread evenly.
        seed: Of the crops.
    """

    def __init__(
        self,
        records: Sequence[Record],
        crop: float,
        *,
        count: int | None = None,
        min_kept: float = 0.5,
        with_spans: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.records, self.crop, self.min_kept, self.seed = list(records), crop, min_kept, seed
        shares = np.array([max(record.num_steps / crop, 1.0) for record in self.records])
        self._ends = np.cumsum(shares)
        self.count = math.ceil(self._ends[-1]) if count is None else count
        holding = [_holding_a_span(record, crop, min_kept) for record in self.records]
        evenly = float(np.average(holding, weights=shares))
        # Those that are short enough for a crop to keep.
        spans = [own[min_kept * np.diff(own)[:, 0] <= crop] for own in map(_known, self.records)]
        self._spans = np.concatenate(spans)
        self._of = np.repeat(np.arange(len(spans)), [len(own) for own in spans])
        #: Fraction of the crops that are drawn around a span.
        self.around = 0.0
        if len(self._spans) and evenly < with_spans:
            self.around = (with_spans - evenly) / (1 - evenly)

    def __len__(self) -> int:
        return self.count

    def lengths(self, epoch: int = 0) -> list[int]:
        """Steps of every sample of an epoch, without reading any."""
        places = (self._place(epoch * self.count + index, index) for index in range(self.count))
        return [last - first for _, first, last in places]

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.count:
            raise IndexError(f"index {index} of {self.count} crops")
        number = getattr(index, "epoch", 0) * self.count + int(index)
        i, first, last = self._place(number, int(index))
        return cut(self.records[i], first, last, self.min_kept)

    def _place(self, number: int, index: int) -> tuple[int, int, int]:
        """Number of the recording, first step of the crop, and the step after its last."""
        rng = np.random.default_rng([self.seed, number])
        place = (index + rng.random()) / self.count * self._ends[-1]
        around = self.around and rng.random() < self.around
        if around:
            chosen = int(rng.integers(len(self._spans)))
            i = int(self._of[chosen])
        else:
            # Rounding may lead to the very end.
            i = min(int(np.searchsorted(self._ends, place, side="right")), len(self.records) - 1)
        steps = self.records[i].num_steps
        if steps <= self.crop:
            return i, 0, steps
        size = int(self.crop)
        if around:
            # Anywhere that has all of the span, or, of a longer one, nothing but the span.
            low, high = sorted((self._spans[chosen][0], self._spans[chosen][1] - size))
            first = int(low + rng.random() * (high - low))
        else:
            # Where the share lies in the recording, so that an epoch goes over all of it.
            share = 1 - (self._ends[i] - place) * self.crop / steps
            first = int(share * (steps - size + 1))
        first = min(max(first, 0), steps - size)
        return i, first, first + size


def _known(record: Record) -> np.ndarray:
    return record.spans[record.labels >= 0].double().numpy()


def _holding_a_span(record: Record, crop: float, min_kept: float) -> float:
    """Fraction of the crops of a recording that hold a span where they are spread evenly."""
    spans = _known(record)
    if record.num_steps <= crop or not len(spans):
        return float(len(spans) > 0)
    room = record.num_steps - crop
    kept = min_kept * (spans[:, 1] - spans[:, 0])
    # First steps of the crops that keep a span; of a span that is too long for any there are none.
    low, high = np.clip([spans[:, 0] + kept - crop, spans[:, 1] - kept], 0, room)
    order = np.argsort(low)
    low, high = low[order], high[order]
    before = np.maximum.accumulate(np.concatenate([[0.0], high[:-1]]))
    return float(np.maximum(high - np.maximum(low, before), 0).sum() / room)


def require_room(records: Sequence[Record], crop: float, min_kept: float, step: float) -> None:
    """Refuse crops of so many steps that hold less than the part ``min_kept`` of every span: nothing to learn."""
    lengths = [size for record in records for size in length(record.spans).tolist()]
    if lengths and crop < min_kept * min(lengths):
        raise ValueError(
            f"data.crop_seconds is {crop * step:g}: no crop holds {min_kept:.0%} of a span "
            f"(data.min_kept); the shortest has {min(lengths) * step:g} s"
        )
