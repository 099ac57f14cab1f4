"""Facts for the findings of a survey."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from spanloc.data.annotations.folder import Record
from spanloc.data.annotations.rows import Case
from spanloc.data.signals.arrays import shown_path
from spanloc.data.survey.result import LabelSpans, Overlaps
from spanloc.data.survey.signals import Scan


@dataclass(frozen=True)
class Facts:
    """Records, scans and tables that findings are made of.

    Attributes:
        spans, every: Span tables, without and with spans that are there twice.
        channels: The channel table.
        training: Share of the annotated training time that spans cover.
        unread: Ids of the recordings with annotations that could not be read or used.
        filled: True where training interpolates missing values.
    """

    records: Sequence[Record]
    classes: Sequence[str]
    scans: Sequence[Scan]
    spans: pd.DataFrame
    every: pd.DataFrame
    channels: pd.DataFrame
    labels: Sequence[LabelSpans]
    overlaps: Overlaps
    training: float
    unread: Collection[str] = ()
    filled: bool = False

    def span(self, row: int, table: pd.DataFrame | None = None) -> str:
        """A span in words."""
        found = (self.spans if table is None else table).loc[row]
        step, offset = self.records[found["place"]].timeline
        start, end = (_short(offset + found[end] * step) for end in ("start", "end"))
        label = found["label"]
        name = "no known label" if label < 0 else repr(self.classes[label])
        return f"{name} from {start} to {end} s"

    def of_span(self, row: int, more: str = "", table: pd.DataFrame | None = None) -> Case:
        """The case of a span, with more about it in words."""
        found = (self.spans if table is None else table).loc[row]
        record = self.records[found["place"]]
        file = "" if record.source is None else record.source.file
        return Case(file, record.id, found["row"], self.span(row, table) + more)


def of_record(record: Record, text: str = "", row: str = "") -> Case:
    """A case in the signal of a recording."""
    return Case(shown_path(record.signal.path), record.id, row, text)


def fitting(unit: str) -> str:
    """The advice where spans fit in another unit, from the question about it."""
    return f"{unit[0].upper()}{unit[1:]}; with this unit they fit in their recordings."


def _short(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
