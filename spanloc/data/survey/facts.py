"""Facts for the findings of a survey."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spanloc.data.annotations.folder import Record
from spanloc.data.annotations.rows import Case
from spanloc.data.signals.reading import shown_path
from spanloc.data.survey.result import LabelSpans, Overlaps
from spanloc.data.survey.signals import Scan


@dataclass(frozen=True)
class Facts:
    """Records, scans and tables that findings are made of.

    Attributes:
        spans, every: Span tables, without and with spans that are there twice.
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

    def span(self, found: "pd.Series[Any]") -> str:
        """A span in words, from its row of a table."""
        step, offset = self.records[found["place"]].timeline
        seconds = (f"{offset + found[end] * step:.3f}" for end in ("start", "end"))
        start, end = (text.rstrip("0").rstrip(".") for text in seconds)
        label = found["label"]
        name = "no known label" if label < 0 else repr(self.classes[label])
        return f"{name} from {start} to {end} s"

    def of_span(self, found: "pd.Series[Any]", more: str = "") -> Case:
        """The case of a span, with more about it in words."""
        record = self.records[found["place"]]
        file = "" if record.source is None else record.source.file
        return Case(file, record.id, found["row"], self.span(found) + more)

    def of_spans(self, table: pd.DataFrame) -> Iterator[Case]:
        """The cases of the spans of a table."""
        return (self.of_span(row) for _, row in table.iterrows())

    def of_channel(self, place: int, name: str, more: str = "") -> Case:
        """The case of a channel of a recording, with more about it in words."""
        return of_record(self.records[place], f"column {name}{more}")


def of_record(record: Record, text: str = "", row: str = "") -> Case:
    """A case in the signal of a recording."""
    return Case(shown_path(record.signal.path), record.id, row, text)


def fitting(unit: str) -> str:
    """The advice where spans fit in another unit, or at another time of the clock, from the question about it."""
    end = "; with this unit they fit in their recordings."
    if "data.feature_stride" in unit:
        end = "; then the spans fit in their recordings."
    elif "data.unit" not in unit:
        end = " Correct the times of the annotations or of the recordings: then they fit."
    return f"{unit[0].upper()}{unit[1:]}{end}"
