"""What the findings of a survey are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from spanloc.data.annotations.folder import Record
from spanloc.data.survey.result import LabelSpans, Overlaps
from spanloc.data.survey.signals import Scan
from spanloc.data.survey.spans import Pair


@dataclass(frozen=True)
class Facts:
    """What findings are made of.

    Attributes:
        spans, every: Span tables, without and with spans that are there twice.
        channels: The channel table.
        pairs: The first spans that overlap, with one label and with two.
    """

    records: Sequence[Record]
    classes: Sequence[str]
    scans: Sequence[Scan]
    spans: pd.DataFrame
    every: pd.DataFrame
    channels: pd.DataFrame
    labels: Sequence[LabelSpans]
    overlaps: Overlaps
    pairs: Sequence[Pair | None]

    def span(self, row: int, table: pd.DataFrame | None = None) -> str:
        """A span in words."""
        found = (self.spans if table is None else table).loc[row]
        step, offset = self.records[found["place"]].timeline
        start, end = (_short(offset + found[end] * step) for end in ("start", "end"))
        label = found["label"]
        name = "no known label" if label < 0 else repr(self.classes[label])
        return f"{name} from {start} to {end} s"

    def id_of(self, row: int) -> str:
        """The recording of a span."""
        return self.records[self.spans["place"][row]].id


def counted(count: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(2, "span")
    '2 spans'
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _short(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
