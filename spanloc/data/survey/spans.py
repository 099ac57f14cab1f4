"""Spans of a survey: lengths, coverage, overlaps, and what their ends look like."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from spanloc.data.annotations.folder import Record
from spanloc.data.survey.result import LabelSpans, Overlaps, Quantiles

# Steps. Spans are float32, and seconds in files are rounded: what is nearer than this is equal.
_NEAR = 0.02
#: Columns in which spans that are there twice agree.
SAME = ["place", "start", "end", "label"]


def span_table(records: Sequence[Record]) -> pd.DataFrame:
    """A row a span, sorted by recording and start.

    Columns: ``place`` (number of the recording), ``start`` and ``end`` in steps, ``label``, ``step`` and
    ``seconds`` (a step, and the span, in seconds), ``subset``, ``row`` (the place in the file, in words,
    where it is known), ``from`` and ``to`` (the ends in steps that count: those that were annotated and
    are not ignored), ``unseen`` (steps of the span that nobody looked at, as far as the source says so).
    """
    counts = [len(record.spans) for record in records]
    steps = np.array([record.timeline.seconds_per_step for record in records], float)
    spans = np.concatenate([np.zeros((0, 2)), *(r.spans.double().numpy() for r in records)])
    written = [r.source.rows if r.source else [""] * len(r.spans) for r in records]
    table = pd.DataFrame(
        {
            "place": np.repeat(np.arange(len(records)), counts),
            "start": spans[:, 0],
            "end": spans[:, 1],
            "label": np.concatenate([np.zeros(0, int), *(r.labels.numpy() for r in records)]),
            "step": np.repeat(steps, counts),
            "subset": np.repeat(np.array([r.subset for r in records], object), counts),
            "row": np.array([row for rows in written for row in rows], object),
        }
    )
    ends = table[["start", "end"]].to_numpy()
    firsts = np.cumsum([0, *counts])
    left_out, unseen = np.zeros_like(ends), np.zeros_like(ends)
    for record, first, last in zip(records, firsts, firsts[1:], strict=False):
        left_out[first:last] = _before(ends[first:last], record.ignored)
        if record.source is not None:
            unseen[first:last] = _before(ends[first:last], record.source.unseen)
    table[["from", "to"]] = ends - left_out
    table["unseen"] = unseen[:, 1] - unseen[:, 0]
    table["seconds"] = (table["end"] - table["start"]) * table["step"]
    return table.sort_values(["place", "start", "end", "label"], ignore_index=True)


def quantiles(values: np.ndarray) -> Quantiles:
    """Of these numbers."""
    if not len(values):
        return Quantiles(*[float("nan")] * 5)
    return Quantiles(*map(float, np.quantile(values, (0, 0.05, 0.5, 0.95, 1))))


def label_spans(
    table: pd.DataFrame, classes: Sequence[str], subsets: Sequence[str], seconds: float
) -> list[LabelSpans]:
    """The spans of a :func:`span_table` by label; ``seconds`` were annotated in all recordings."""
    found = []
    for label, name in enumerate(classes):
        rows = table[table["label"] == label]
        share = len(rows) / len(table) if len(table) else float("nan")
        by_subset = {subset: int((rows["subset"] == subset).sum()) for subset in subsets}
        lengths = quantiles(rows["seconds"].to_numpy())
        found.append(LabelSpans(name, len(rows), share, lengths, covered(rows, seconds), by_subset))
    return found


def covered(table: pd.DataFrame, seconds: float) -> float:
    """Share of so many annotated seconds that the spans cover, each moment of a recording counted once; NaN of none."""
    latest = table.groupby("place")["to"].cummax().groupby(table["place"]).shift(fill_value=0.0)
    new = table["to"] - np.maximum(table["from"], latest)
    return float((new.clip(lower=0) * table["step"]).sum()) / seconds if seconds else float("nan")


def overlapping(table: pd.DataFrame) -> Overlaps:
    """Numbers of overlapping spans."""
    same = int(_later(table, ["place", "label"]).sum())
    every = int(_later(table, ["place"]).sum())
    most = max((_most_at_once(rows) for _, rows in table.groupby("place")), default=0)
    return Overlaps(same, every - same, most)


def pairs(table: pd.DataFrame, *, same_label: bool) -> Iterator[tuple[int, int]]:
    """Rows of spans that overlap, with one label or with two."""
    labels, counts = table["label"].to_numpy(), _later(table, ["place"])
    for i in np.flatnonzero(counts):
        same = labels[i + 1 : i + 1 + counts[i]] == labels[i]
        for j in np.flatnonzero(same == same_label):
            yield int(i), int(i + 1 + j)


def gaps(table: pd.DataFrame) -> tuple[int, int, list[int]]:
    """Spans that follow each other, whatever their labels.

    The number of such pairs, that of those that touch, and the rows whose successor is one step apart.
    """
    following = table["place"].eq(table["place"].shift(-1))
    gap = (table["start"].shift(-1) - table["end"])[following]
    # Inclusive ends that were taken for half-open ones leave gaps of one step.
    apart = gap.index[(gap - 1).abs() < _NEAR].tolist()
    return len(gap), int((gap.abs() < _NEAR).sum()), apart


def _before(times: np.ndarray, stretches: Tensor) -> np.ndarray:
    """Steps of these stretches, which are in order and apart, before each of the times."""
    if not len(stretches):
        return np.zeros_like(times)
    ends = stretches.double().numpy()
    sums = np.cumsum(np.diff(ends, prepend=ends[:, :1], axis=1))
    return np.interp(times, ends.ravel(), sums)


def _later(table: pd.DataFrame, by: list[str]) -> np.ndarray:
    # Of the rows of a group that follow each row, how many start before its end.
    counts = np.zeros(len(table), int)
    for _, rows in table.groupby(by):
        starts, ends = rows["start"].to_numpy(), rows["end"].to_numpy()
        later = np.searchsorted(starts, ends - _NEAR) - np.arange(len(rows)) - 1
        counts[rows.index] = np.maximum(later, 0)
    return counts


def _most_at_once(rows: pd.DataFrame) -> int:
    starts, ends = rows["start"].to_numpy(), np.sort(rows["end"].to_numpy() - _NEAR)
    # At the start of each: itself and those before it, without those that have ended.
    open_ones = np.arange(1, len(rows) + 1) - np.searchsorted(ends, starts, "right")
    return int(max(open_ones.max(), 1))
