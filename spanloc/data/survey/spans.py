"""Spans of a survey: lengths, coverage, overlaps, and what their ends look like."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from spanloc.data.annotations.folder import Record
from spanloc.data.survey.result import LabelSpans, Overlaps, Quantiles

# Steps. Spans are float32, and seconds in files are rounded: what is nearer than this is equal.
_NEAR = 0.02
#: Columns in which spans that are there twice agree.
SAME = ["place", "start", "end", "label"]


class Pair(NamedTuple):
    """Two rows of a span table that overlap."""

    first: int
    second: int


class Gaps(NamedTuple):
    """Spans that follow each other: all such pairs, those that touch, and those one unit apart.

    Attributes:
        unit: What the unit is, in words.
        example: A row of the span table whose successor starts one unit later.
    """

    neighbours: int
    touching: int
    apart: int
    unit: str
    example: int


def span_table(records: Sequence[Record]) -> pd.DataFrame:
    """A row a span, sorted by recording and start.

    Columns: ``place`` (number of the recording), ``start`` and ``end`` in steps, ``label``, ``step`` and
    ``seconds`` (a step, and the span, in seconds), ``subset``.
    """
    counts = [len(record.spans) for record in records]
    steps = np.array([record.timeline.seconds_per_step for record in records], float)
    spans = np.concatenate([np.zeros((0, 2)), *(r.spans.double().numpy() for r in records)])
    table = pd.DataFrame(
        {
            "place": np.repeat(np.arange(len(records)), counts),
            "start": spans[:, 0],
            "end": spans[:, 1],
            "label": np.concatenate([np.zeros(0, int), *(r.labels.numpy() for r in records)]),
            "step": np.repeat(steps, counts),
            "subset": np.repeat(np.array([r.subset for r in records], object), counts),
        }
    )
    table["seconds"] = (table["end"] - table["start"]) * table["step"]
    return table.sort_values(["place", "start", "end", "label"], ignore_index=True)


def quantiles(values: np.ndarray) -> Quantiles:
    """Of these numbers.

    >>> quantiles(np.array([1.0, 3.0, 5.0])).median
    3.0
    """
    if not len(values):
        return Quantiles(*[float("nan")] * 5)
    return Quantiles(*map(float, np.quantile(values, (0, 0.05, 0.5, 0.95, 1))))


def label_spans(
    table: pd.DataFrame, classes: Sequence[str], subsets: Sequence[str], seconds: float
) -> list[LabelSpans]:
    """The spans by label.

    Args:
        table: A :func:`span_table`.
        classes: Names of the labels.
        subsets: That are counted.
        seconds: Of all recordings, as far as they were annotated.
    """
    found = []
    for label, name in enumerate(classes):
        rows = table[table["label"] == label]
        by_subset = rows["subset"].value_counts()
        found.append(
            LabelSpans(
                name,
                len(rows),
                len(rows) / len(table) if len(table) else float("nan"),
                quantiles(rows["seconds"].to_numpy()),
                covered(rows) / seconds if seconds else float("nan"),
                {subset: int(by_subset.get(subset, 0)) for subset in subsets},
            )
        )
    return found


def covered(table: pd.DataFrame) -> float:
    """Seconds that the spans cover, each moment of a recording counted once."""
    latest = table.groupby("place")["end"].cummax().groupby(table["place"]).shift(fill_value=0.0)
    new = table["end"] - np.maximum(table["start"], latest)
    return float((new.clip(lower=0) * table["step"]).sum())


def overlapping(table: pd.DataFrame) -> tuple[Overlaps, Pair | None, Pair | None]:
    """How many spans overlap, and the first pair with one label and with two."""
    same, first_same, _ = _pairs(table, ["place", "label"])
    every, _, counts = _pairs(table, ["place"])
    first_different = None
    if every > same:
        first_different = _first_different(table, counts)
    most = max((_most_at_once(rows) for _, rows in table.groupby("place")), default=0)
    return Overlaps(same, every - same, most), first_same, first_different


def gaps(table: pd.DataFrame) -> Gaps:
    """What lies between spans that follow each other, whatever their labels.

    Inclusive ends that were taken for half-open ones leave gaps of one unit where there was none: one
    step, or one unit of the last digit.
    """
    following = table["place"].eq(table["place"].shift(-1))
    gap = (table["start"].shift(-1) - table["end"])[following]
    digit = _last_digit(table)
    touching = int((gap.abs() < _NEAR).sum())
    choices = [("step", (gap - 1).abs() < _NEAR)]
    if digit is not None:
        # Of a digit that is finer than a step: a coarser one is at least a step.
        size = digit / table["step"][following]
        choices.append((f"{digit:g} s", ((gap - size).abs() < 0.2 * size) & (size >= 2 * _NEAR)))
    unit, apart = max(choices, key=lambda choice: int(choice[1].sum()))
    example = int(apart.idxmax()) if len(apart) else 0
    return Gaps(len(gap), touching, int(apart.sum()), unit, example)


def _last_digit(table: pd.DataFrame) -> float | None:
    if not len(table):
        return None
    # Of the ends in seconds: the coarsest power of ten that they are all multiples of, as far as steps of
    # float32 can show it.
    ends = table[["start", "end"]].to_numpy() * table[["step"]].to_numpy()
    error = ends.max(initial=0) * 2.0**-22 + 1e-9
    for digits in (0, 1, 2, 3):
        scale = 10.0**digits
        if error * scale < 0.05 and np.abs(ends - (ends * scale).round() / scale).max() <= error:
            return 1 / scale
    return None


def _pairs(table: pd.DataFrame, by: list[str]) -> tuple[int, Pair | None, np.ndarray]:
    total, first = 0, None
    counts = np.zeros(len(table), int)
    for _, rows in table.groupby(by):
        starts, ends = rows["start"].to_numpy(), rows["end"].to_numpy()
        # Of those that start later or at the same time, the ones that start before it ends.
        later = np.searchsorted(starts, ends - _NEAR) - np.arange(len(rows)) - 1
        counts[rows.index] = later = np.maximum(later, 0)
        total += int(later.sum())
        if first is None and later.any():
            i = int(np.flatnonzero(later)[0])
            first = Pair(int(rows.index[i]), int(rows.index[i + 1]))
    return total, first, counts


def _first_different(table: pd.DataFrame, counts: np.ndarray) -> Pair | None:
    labels = table["label"].to_numpy()
    for i in np.flatnonzero(counts):
        others = labels[i + 1 : i + 1 + counts[i]] != labels[i]
        if others.any():
            return Pair(int(i), int(i + 1 + others.argmax()))
    return None


def _most_at_once(rows: pd.DataFrame) -> int:
    starts, ends = rows["start"].to_numpy(), np.sort(rows["end"].to_numpy() - _NEAR)
    # At the start of each: itself and those before it, without those that have ended.
    open_ones = np.arange(1, len(rows) + 1) - np.searchsorted(ends, starts, "right")
    return int(max(open_ones.max(), 1))
