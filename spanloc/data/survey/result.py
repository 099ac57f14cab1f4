"""Result of a survey of annotated recordings: one record, one writer, one reader."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from spanloc.data.annotations.rows import Case
from spanloc.files import read_json, record, write_json

#: The gravest first: training refuses errors, or its results would mean nothing.
SEVERITIES = ("error", "warning", "note")
#: That a finding lists.
MOST_CASES = 1000


class Quantiles(NamedTuple):
    """Minimum, 5 %, median, 95 % and maximum; NaN of nothing."""

    least: float
    q5: float
    median: float
    q95: float
    most: float


class Channel(NamedTuple):
    """Statistics of a channel over its recordings, as float32, without NaN and infinity."""

    name: str
    num_recordings: int
    mean: float
    std: float
    least: float
    most: float


class Part(NamedTuple):
    """A subset: recordings, those of them without a span, seconds, spans, and subjects that are named."""

    name: str
    num_recordings: int
    num_empty: int
    seconds: float
    num_spans: int
    num_subjects: int


class LabelSpans(NamedTuple):
    """The spans of a label.

    Attributes:
        num_spans: How many there are.
        share: Of all spans; NaN without any.
        seconds: Their lengths.
        coverage: Share of the annotated time that they cover, each moment counted once.
        subsets: How many there are in each subset.
    """

    name: str
    num_spans: int
    share: float
    seconds: Quantiles
    coverage: float
    subsets: dict[str, int]


class Overlaps(NamedTuple):
    """Pairs of spans that overlap, with one label or with two, and the most spans at one moment."""

    same_label: int
    different_labels: int
    most_at_once: int


@dataclass(frozen=True)
class Finding:
    """One kind of problem, with its cases.

    Args:
        severity: ``error``, ``warning`` or ``note``.
        kind: A short name, the same in every survey.
        text: A sentence without its full stop.
        count: How many cases there are.
        advice: What to do about it, a sentence.
        cases: The first of them, at most :data:`MOST_CASES`; none where the finding is about the whole.
    """

    severity: str
    kind: str
    text: str
    count: int
    advice: str
    cases: list[Case] = field(default_factory=list)


@dataclass(frozen=True)
class Survey:
    """Counts over annotated recordings, and findings. Lengths of spans are in seconds.

    Args:
        root: The folder.
        parts: The subsets that occur; those that training draws, where it was asked for them.
        num_recordings, seconds: In all.
        annotated: Seconds of those that were annotated.
        rates: How many recordings there are of each rate, in steps per second, the most frequent first.
        num_channels: How many recordings there are of each number of channels, likewise.
        steps: Of the recordings.
        longest: Id of the longest one; empty without recordings.
        channels: In the order of the files.
        labels: In the order of the classes.
        spans: Of all labels, in seconds.
        coverage: Share of the annotated time that spans cover.
        imbalance: Spans of the most frequent label over those of the rarest that occurs; NaN without.
        overlaps: Of the spans.
        findings: The gravest first.
    """

    root: str
    parts: list[Part]
    num_recordings: int
    seconds: float
    annotated: float
    rates: list[tuple[float, int]]
    num_channels: list[tuple[int, int]]
    steps: Quantiles
    longest: str
    channels: list[Channel]
    labels: list[LabelSpans]
    spans: Quantiles
    coverage: float
    imbalance: float
    overlaps: Overlaps
    findings: list[Finding] = field(default_factory=list)

    def of(self, severity: str) -> list[Finding]:
        """The findings of a severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def write(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        write_json(path, self)

    @classmethod
    def read(cls, path: str | Path) -> "Survey":
        """Read what :meth:`write` wrote.

        Raises:
            ValueError: The file holds something else.
        """
        try:
            found: Survey = record(cls, read_json(path))
        except ValueError as error:
            why = str(error).removeprefix(f"{path}: ")
            raise ValueError(f"{path}: not the result of a check: {why}") from None
        return found
