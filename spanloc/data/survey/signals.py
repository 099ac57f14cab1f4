"""One pass over the signals of a survey, piece by piece."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from spanloc.data.annotations.folder import Record
from spanloc.data.extremes import usual_range
from spanloc.data.sequences import Moments
from spanloc.data.survey.result import Channel

# Values that are read at once, whatever the number of channels: 16 MB of float32.
_PIECE = 2**22
# Rows that the usual range is taken from.
_ENOUGH = 10_000
# A channel tells the labels where so much of its changes is so few steps from a start or end, and few steps are. Of
# a channel from 0 to 1 that holds little else it may be less, but so many times the share of the steps.
_SHARE_NEAR, _NEAR, _MOST_NEAR = 0.8, 2, 0.3
_FLAGS, _SHARE_OF_FLAGS, _TIMES_CHANCE = 0.95, 0.4, 10
# What is known of a channel in a recording. Squares are deviations from the mean; changes are those near starts and
# ends; a channel varies if it has many others.
_COLUMNS = ("count", "mean", "squares", "least", "most", "changes", "varies")

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
        columns: Of its channels, ``(7, C)``; the first five are of the finite values.
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
    digest = hashlib.blake2b(str(len(names)).encode(), digest_size=16)
    odd: dict[str, NotFinite] = {}
    codes: list[_Code] = []
    moments, least, most = Moments(), np.inf, -np.inf
    near, changes, flags = _near_boundaries(record), np.zeros((2, len(names))), np.zeros(len(names))
    rows = max(1, _PIECE // max(1, len(names)))
    for first in range(0, record.num_steps, rows):
        last = min(first + rows, record.num_steps)
        try:
            values = _read(record, first, last, len(names))
        except Exception as error:  # of as many kinds as there are readers of files
            problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return Scan(names, np.empty((0, 0)), "", odd, problem=" ".join(problem.split()))
        digest.update(values.data)
        finite = np.isfinite(values)
        if not finite.all():
            for kind, bad in (("not finite", np.isinf(values)), ("missing", np.isnan(values))):
                if bad.any():
                    row, column = np.argwhere(bad)[0]
                    value = float(values[row, column])
                    known = odd.get(kind, NotFinite(0, int(first + row), names[column], value))
                    odd[kind] = known._replace(total=known.total + int(bad.sum()))
        kept = bool(finite.all()) or finite.T
        moments.add(values.T, kept)
        least = np.minimum(least, values.T.min(1, where=kept, initial=np.inf))
        most = np.maximum(most, values.T.max(1, where=kept, initial=-np.inf))
        flags += ((values == 0) | (values == 1)).sum(0)
        changed = values[1:] != values[:-1]
        changes += changed.sum(0), changed[near[first + 1 : last]].sum(0)
        codes += _codes(values, finite, names)
    lower = np.clip(_TIMES_CHANCE * near.mean(), _SHARE_OF_FLAGS, _SHARE_NEAR)
    flag = (flags >= _FLAGS * record.num_steps) & (least >= 0) & (most <= 1)
    share = np.where(flag, lower, _SHARE_NEAR)
    # Where all steps are near, or nothing changes, nothing is known.
    telling = np.where(near.all() | (changes[0] == 0), np.nan, changes[1] >= share * changes[0])
    counted, varies = changes[1] * (not near.all()), 1 - telling
    rows_of = moments.count, moments.mean, moments.squares, least, most, counted, varies
    columns = np.stack(np.broadcast_arrays(*rows_of))
    return Scan(names, columns, digest.hexdigest(), odd, codes=codes)


def _near_boundaries(record: Record) -> np.ndarray:
    """Which steps lie near the start or the end of a span; all, where hardly any do not."""
    borders = np.concatenate([record.spans.numpy(), record.ignored.numpy()])
    places = np.round(borders).astype(int).reshape(-1, 1)
    near = np.zeros(record.num_steps, bool)
    near[np.clip(places + np.arange(-_NEAR, _NEAR + 1), 0, len(near) - 1)] = True
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
