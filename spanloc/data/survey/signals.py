"""One pass over the signals of a survey, piece by piece."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from spanloc.data.annotations.folder import Record
from spanloc.data.extremes import usual_range
from spanloc.data.survey.result import Channel

# Values that are read at once, whatever the number of channels: 16 MB of float32.
_PIECE = 2**22
# Rows that the usual range is taken from.
_ENOUGH = 10_000
# Of fewer, it means nothing that a channel only rises.
_FEW_STEPS = 20
# A channel tells the labels where so much of its changes is so few steps from a start or end, and few steps are.
_SHARE_NEAR, _NEAR, _MOST_NEAR = 0.8, 2, 0.3
# What is known of a channel in a recording. Squares are deviations from the mean; in a rising channel nearly every
# step is a rise, and none a fall; changes are counted where they can tell the labels, and vary elsewhere.
_COLUMNS = ("count", "mean", "squares", "least", "most", "rising", "changes", "varies")

#: Called with how many recordings are done, and how many there are.
Progress = Callable[[int, int], None]
_Code = tuple[str, float, int, int]


class NotFinite(NamedTuple):
    """Infinite or missing values of a recording: how many, and where the first is."""

    total: int
    row: int
    column: str
    value: float


@dataclass(frozen=True)
class Scan:
    """Statistics of the values of one recording.

    Attributes:
        names: Of its channels; their numbers where the file has no names.
        columns: Of its channels, ``(8, C)``; the first five are of the finite values.
        digest: Of all its values as float32; empty where it cannot be read.
        odd: Its values that are ``not finite``, and those that are ``missing`` (NaN).
        problem: Why it cannot be read.
        codes: Of its channels with values far outside the usual range, a piece after the other: the channel,
            the most frequent such value, how often it is there, and the number of such values.
    """

    names: tuple[str, ...]
    columns: np.ndarray
    digest: str
    odd: Mapping[str, NotFinite] = field(default_factory=dict)
    problem: str = ""
    codes: Sequence[_Code] = ()


def scan(records: Sequence[Record], progress: Progress | None = None) -> list[Scan]:
    """Read every signal once, in pieces; what cannot be read is a problem, and the others go on."""
    found = []
    for done, record in enumerate(records, 1):
        found.append(_scan(record))
        if progress is not None:
            progress(done, len(records))
    return found


def channel_table(scans: Sequence[Scan]) -> pd.DataFrame:
    """A row for each channel of each recording: ``place`` (its number), ``name`` and the columns."""
    read = [(place, one) for place, one in enumerate(scans) if not one.problem]
    empty = np.zeros((len(_COLUMNS), 0))
    values = np.concatenate([empty, *(one.columns for _, one in read)], axis=1)
    table = pd.DataFrame(dict(zip(_COLUMNS, values, strict=True)))
    table["place"] = np.repeat([place for place, _ in read], [len(one.names) for _, one in read])
    table["name"] = np.array([name for _, one in read for name in one.names], object)
    return table


def channels(table: pd.DataFrame) -> list[Channel]:
    """The rows of a :func:`channel_table` by channel, over all recordings."""
    found = []
    for name, rows in table.groupby("name", sort=False):
        known = rows[rows["count"] > 0]
        count = known["count"].sum()
        mean = std = least = most = np.nan
        if count:
            mean = (known["count"] * known["mean"]).sum() / count
            squares = known["squares"] + known["count"] * (known["mean"] - mean) ** 2
            std = np.sqrt(squares.sum() / count)
            least, most = known["least"].min(), known["most"].max()
        numbers = (float(value) for value in (mean, std, least, most))
        found.append(Channel(str(name), len(rows), *numbers))
    return found


def _scan(record: Record) -> Scan:
    names = _names(record)
    moments, digest = _nothing(len(names)), hashlib.blake2b(digest_size=16)
    digest.update(str(len(names)).encode())
    odd: dict[str, NotFinite] = {}
    codes: list[_Code] = []
    near, before, never_fell = _near_boundaries(record), None, np.ones(len(names), bool)
    rose, changed, changed_near = np.zeros((3, len(names)))
    rows = max(1, _PIECE // max(1, len(names)))
    for first in range(0, record.num_steps, rows):
        last = min(first + rows, record.num_steps)
        try:
            values = _read(record, first, last, len(names))
        except Exception as error:  # of as many kinds as there are readers of files
            problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return Scan(names, _nothing(0), "", odd, problem=" ".join(problem.split()))
        digest.update(values.data)
        finite = np.isfinite(values)
        if not finite.all():
            for kind, bad in (("not finite", np.isinf(values)), ("missing", np.isnan(values))):
                if bad.any():
                    row, column = np.argwhere(bad)[0]
                    value = float(values[row, column])
                    known = odd.get(kind, NotFinite(0, int(first + row), names[column], value))
                    odd[kind] = known._replace(total=known.total + int(bad.sum()))
        with np.errstate(invalid="ignore"):  # infinity less infinity
            steps = np.diff(values if before is None else np.concatenate([before, values]), axis=0)
        before = values[-1:]
        never_fell &= (steps >= 0).all(0)
        rose += (steps > 0).sum(0)
        changed += np.count_nonzero(steps, axis=0)
        changed_near += np.count_nonzero(steps[near[last - len(steps) : last]], axis=0)
        moments = _joined(moments, _of(values, finite))
        codes += _codes(values, finite, names)
    rising = never_fell & (rose > 0.5 * record.num_steps) & (record.num_steps > _FEW_STEPS)
    varies = changed_near < _SHARE_NEAR * changed
    columns = np.vstack([moments, rising, changed * (not near.all()), varies])
    return Scan(names, columns, digest.hexdigest(), odd, codes=codes)


def _near_boundaries(record: Record) -> np.ndarray:
    """Which steps lie near the start or the end of a span; all, where hardly any do not."""
    borders = np.concatenate([record.spans.numpy(), record.ignored.numpy()])
    places = np.round(borders).astype(int).reshape(-1, 1)
    places = np.unique(places + np.arange(-_NEAR, _NEAR + 1))
    near = np.zeros(record.num_steps, bool)
    near[places[(places >= 0) & (places < record.num_steps)]] = True
    return near if near.mean() < _MOST_NEAR else np.ones_like(near)


def _codes(values: np.ndarray, finite: np.ndarray, names: Sequence[str]) -> Iterator[_Code]:
    low, high = usual_range(values[:: -(-len(values) // _ENOUGH)])
    outside = finite & ((values < low) | (values > high))
    for column in np.flatnonzero(outside.any(0)).tolist():
        found, counts = np.unique(values[outside[:, column], column], return_counts=True)
        most = counts.argmax()
        yield names[column], float(found[most]), int(counts[most]), int(counts.sum())


def _read(record: Record, first: int, last: int, num_channels: int) -> np.ndarray:
    piece = np.asarray(record.signal.read(first, last))
    if piece.shape != (last - first, num_channels):
        raise ValueError(f"rows {first} to {last} have the shape {piece.shape}")
    # What a model sees. A number that float32 cannot hold is infinite to it.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(piece, np.float32)


def _names(record: Record) -> tuple[str, ...]:
    names, count = record.signal.channels, record.signal.num_channels
    if names is None or len(set(names)) != count:
        return tuple(str(i) for i in range(count))
    return tuple(names)


def _nothing(count: int) -> np.ndarray:
    return np.repeat([[0.0], [0.0], [0.0], [np.inf], [-np.inf]], count, axis=1)


def _of(values: np.ndarray, finite: np.ndarray) -> np.ndarray:
    kept = True if finite.all() else finite
    count = finite.sum(0)
    mean = values.sum(0, np.float64, where=kept) / np.maximum(count, 1)
    squares = np.square(values - mean).sum(0, where=kept)
    least = values.min(0, where=kept, initial=np.inf)
    most = values.max(0, where=kept, initial=-np.inf)
    return np.stack([count, mean, squares, least, most])


def _joined(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    # Sums of squares about two means, as one about their common mean: no digits are lost.
    count = old[0] + new[0]
    apart, weight = new[1] - old[1], new[0] / np.maximum(count, 1)
    squares = old[2] + new[2] + apart**2 * old[0] * weight
    mean = old[1] + apart * weight
    return np.stack([count, mean, squares, np.minimum(old[3], new[3]), np.maximum(old[4], new[4])])
