"""Data sets of annotated sequences from files."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spanloc.data.annotations.folder import Record
from spanloc.data.extremes import EXTREMES, limits_of, ratios, sampled, usual_range
from spanloc.data.signals import Signal
from spanloc.data.signals.protocol import channel_of, place_of_row
from spanloc.structures import Sample, Timeline

# Steps that are read at once for the statistics.
_PIECE = 2**20
# A channel that varies by less than this part of its mean does not vary.
_CONSTANT = 1e-6


class AnnotatedSequences(Dataset[Sample]):
    """Whole sequences from files.

    Args:
        records: The sequences, from :func:`read_annotations`.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = list(records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        return cut(record, 0, record.num_steps)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """As :func:`channel_statistics`, of the whole sequences.

        Where a channel has extremes (:mod:`spanloc.data.extremes`), they are those of its values clipped to
        their usual range.
        """
        low, high = (limit[:, None] for limit in usual_range(sampled(self.records)))
        every, usual, outside = Moments(), Moments(), np.zeros(())
        for record in self.records:
            for first in range(0, record.num_steps, _PIECE):
                piece = record.signal.read(first, min(first + _PIECE, record.num_steps))
                require_finite(record.signal, piece, first)
                values = np.array(piece.T, np.float64)
                every.add(values)
                outside = outside + ((values < low) | (values > high)).sum(1)
                usual.add(np.clip(values, low, high, out=values))
        there = ratios(every.std, usual.std, outside / every.count) > EXTREMES
        mean = np.where(there, usual.mean, every.mean)
        return _safe(mean, np.where(there, usual.std, every.std))


class TiledSequences(Dataset[Sample]):
    """Sequences from files, memory-mapped, cut into equal tiles without gaps: each step once.

    Args:
        records: The sequences, from :func:`read_annotations`.
        most: Steps of a tile, at most; sequences no longer than that stay whole.
        min_kept: A tile keeps a span, clipped, where at least this fraction of it is inside.
    """

    def __init__(self, records: Sequence[Record], most: int, *, min_kept: float = 0.5) -> None:
        self.min_kept = min_kept
        self._tiles: list[tuple[Record, int, int]] = []
        for record in records:
            steps = record.num_steps
            count = -(-steps // most)
            ends = [steps * k // count for k in range(count + 1)]
            self._tiles += [(record, first, last) for first, last in pairwise(ends)]

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, index: int) -> Sample:
        return cut(*self._tiles[index], self.min_kept)


def cut(record: Record, first: int, last: int, min_kept: float = 0.5) -> Sample:
    """The sample of a record from step ``first`` to before ``last``, with its spans :func:`clipped`."""
    values = np.array(record.signal.read(first, last).T, np.float32, order="C")
    require_finite(record.signal, values.T, first)
    spans, labels, ignored = clipped(record, first, last, min_kept)
    step, offset = record.timeline
    return Sample(
        id=record.id,
        features=torch.from_numpy(values),
        spans=spans,
        labels=labels,
        timeline=Timeline(step, offset + first * step),
        weight=record.weight,
        ignored=ignored,
    )


def clipped(
    whole: Record | Sample, first: int, last: int, min_kept: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The spans, labels and ignored stretches from step ``first`` to before ``last``, counted from ``first``.

    Spans that are cut are kept where at least ``min_kept`` of them is inside, clipped. The rest of the
    others is background: where windows of a recording overlap, another one has more of that span.
    """
    inside, ignored = whole.spans.clamp(first, last), whole.ignored.clamp(first, last)
    size, kept = whole.spans.diff(dim=1)[:, 0], inside.diff(dim=1)[:, 0]
    keep = (kept > 0) & (kept >= min_kept * size)
    ignored = ignored[ignored[:, 0] < ignored[:, 1]]
    return inside[keep] - first, whole.labels[keep], ignored - first


def offset_share(records: Sequence[Record]) -> float:
    """Share of the variance that lies between the means of recordings, in [0, 1]; the median over channels.

    Of up to 32 recordings, at most 10,000 steps from the middle of each are read. Rare extreme values are
    clipped.
    """
    means, variances = [], []
    for values in _middles(records):
        means.append(values.mean(0))
        variances.append(values.var(0))
    between, within = np.var(means, axis=0), np.mean(variances, axis=0)
    # A constant channel has neither.
    return float(np.median(between / np.maximum(between + within, np.finfo(np.float64).tiny)))


def change_ratio(records: Sequence[Record], steps: int) -> float:
    """Standard deviation relative to the size of the changes over so many steps; the least of the channels.

    It is large where a signal varies far more than it usually changes: rare jumps, such as those of a lost eye,
    do not count. Nor do channels that hardly ever change. The steps are those of :func:`offset_share`.
    """
    moments, squares, count = Moments(), np.zeros(1), 0
    for values in _middles(records):
        moments.add(values.T)
        changes = np.abs(values[steps:] - values[:-steps])
        if not len(changes):
            continue
        # The standard deviation of Gaussian changes with this quantile; not of all values, which may be many.
        size = np.quantile(changes[:: -(-changes.size // 1_000_000)], 0.9, axis=0) / 1.645
        squares, count = squares + len(changes) * np.square(size), count + len(changes)
    varies = (moments.std > 0) & (squares > 0)
    if not varies.any():
        return 1.0
    return float((moments.std[varies] * np.sqrt(count / squares[varies])).min())


def _middles(records: Sequence[Record]) -> Iterator[np.ndarray]:
    low, high = limits_of(records)
    for record in records[:: -(-len(records) // 32)]:
        first = max(0, record.num_steps - 10_000) // 2
        last = min(record.num_steps, first + 10_000)
        yield np.clip(np.asarray(record.signal.read(first, last), np.float64), low, high)


def channel_statistics(sequences: Iterable[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel over all steps of all sequences, ``(C,)``.

    A constant channel has a standard deviation of 1, so that dividing by it is safe. Constant is one
    that varies by less than a millionth of its magnitude, which rounding and resampling do too; so the
    unit of a channel does not matter.

    Args:
        sequences: Features ``(C, T)``, one after the other, so that they need not fit in memory at once.

    >>> channel_statistics([np.array([[1.0, 3.0], [7.0, 7.0]]), np.array([[5.0], [7.0]])])
    (tensor([3., 7.]), tensor([1.6330, 1.0000]))
    """
    moments = Moments()
    for features in sequences:
        moments.add(np.asarray(features, np.float64))
    return _safe(moments.mean, moments.std)


class Moments:
    """Running mean and standard deviation of every channel."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, np.zeros(()), np.zeros(())

    def add(self, values: np.ndarray, kept: np.ndarray | Literal[True] = True) -> None:
        """Add a piece ``(C, T)``, or those of its values that are ``kept``."""
        number = values.shape[1] if kept is True else kept.sum(1)
        own = values.sum(1, np.float64, where=kept) / np.maximum(number, 1)
        # Sums of squares about two means, as one about their common mean: no digits are lost.
        apart, weight = own - self.mean, number / np.maximum(self.count + number, 1)
        squares = np.square(values - own[:, None]).sum(1, where=kept)
        self.squares = self.squares + squares + apart**2 * self.count * weight
        self.mean, self.count = self.mean + apart * weight, self.count + number

    @property
    def std(self) -> np.ndarray:
        """Of every channel."""
        return np.asarray(np.sqrt(self.squares / self.count))


def _safe(mean: np.ndarray, std: np.ndarray) -> tuple[Tensor, Tensor]:
    # Zeros are constant too, and so is a deviation that float32 cannot divide by.
    constant = (std < _CONSTANT * np.abs(mean)) | (std < np.finfo(np.float32).tiny)
    std = np.where(constant, 1.0, std)
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


def require_finite(source: Signal | Path, values: np.ndarray, first: int = 0) -> None:
    """Refuse values ``(steps, channels)`` from step ``first`` on that are not finite; the error names row and channel."""
    if not np.isfinite(values).all():
        row, channel = np.argwhere(~np.isfinite(values))[0]
        value = values[row, channel]
        place = place_of_row(source, int(first + row))
        path = source if isinstance(source, Path) else source.path
        # Of a stream, whose source is a path, the neighbours are not known yet.
        fills = np.isnan(value) and not isinstance(source, Path)
        hint = "; missing='interpolate' (data.missing) fills missing values" if fills else ""
        raise ValueError(f"{path}: {place}, {channel_of(source, channel)} is {value}{hint}")
