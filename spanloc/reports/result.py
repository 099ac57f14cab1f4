"""Result of an evaluation of spans: one record, one writer, one reader."""

import math
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from spanloc.files import read_record, record, write_json
from spanloc.metrics.agreement import Confusion
from spanloc.metrics.calibration import Reliability
from spanloc.metrics.oracles import Oracles


class TargetGroup(TypedDict):
    """Targets that are alike, as :func:`~spanloc.metrics.diagnose` groups them."""

    name: str
    least: float
    most: float
    targets: int
    found: float
    mAP_N: float


class LabelErrors(TypedDict):
    """Average precision of a label, its predictions by kind (all, and those that count), its targets by kind."""

    AP: float
    predictions: dict[str, int]
    first: dict[str, int]
    targets: dict[str, int]


class Wrong(TypedDict):
    """A prediction and the target that it is judged by, with its error; null where there is none of the two."""

    sequence: str
    error: str
    label: str | None
    start: float | None
    end: float | None
    score: float | None
    true_label: str | None
    true_start: float | None
    true_end: float | None


class Tally(TypedDict):
    """Numbers of true spans, and of right and wrong predictions, of a recording or subject."""

    name: str
    targets: int
    found: int
    wrong: int


class Diagnosis(TypedDict):
    """Return value of :func:`~spanloc.metrics.diagnose`."""

    tiou: float
    background: float
    num_predictions: int
    num_targets: int
    mAP: float
    predictions: dict[str, int]
    ranks: list[dict[str, int]]
    gain: dict[str, float]
    targets: dict[str, int]
    classes: dict[str, LabelErrors]
    wrong: list[Wrong]
    confused: NotRequired[Any]  # earlier versions write it
    counted: NotRequired[dict[str, int]]  # earlier versions do not write it
    outside: NotRequired[int]  # earlier versions do not write it
    tally: dict[str, list[Tally]]
    mAP_N: float
    sensitivity: dict[str, list[TargetGroup]]


@dataclass(frozen=True)
class ScoreResult:
    """Metrics of predictions, and the diagnosis of their errors.

    Args:
        metrics: By name.
        diagnosis: Of :func:`spanloc.metrics.diagnose`.
        num_sequences: How many were evaluated.
        subset: Of the annotations or the data; None: all of them.
        predictions, annotations: The files; None where there are none.
        settings: Those of the command.
        notes: Of :func:`spanloc.reports.notes`.
        surest: Predictions by kind, as in the diagnosis, of those that score ``min_score`` or more (0:
            all of them); None where no score is a limit.
        overlaps: Whether these may overlap.
        reliability: Of :func:`spanloc.metrics.reliability`; None where scores are no probabilities.
        confusion: Of :func:`spanloc.metrics.confusion`; None where not computed.
        oracles: Of :func:`spanloc.metrics.oracles`; None where not computed.
    """

    metrics: dict[str, float]
    diagnosis: Diagnosis
    num_sequences: int
    subset: str | None = None
    predictions: str | None = None
    annotations: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    min_score: float = 0.0
    surest: dict[str, int] | None = None
    overlaps: bool = False
    reliability: Reliability | None = None
    confusion: list[Confusion] | None = None
    oracles: Oracles | None = None

    @property
    def kinds(self) -> dict[str, int]:
        """Kinds of the surest predictions, or of the first of each label's ranking where no score is a limit."""
        return self.diagnosis["ranks"][0] if self.surest is None else self.surest

    @property
    def as_written(self) -> bool:
        """Whether the predictions that ``spanloc-predict`` would write are counted apart."""
        return self.surest is not None and self.min_score > 0

    @property
    def removed(self) -> str:
        """A remark where it would remove overlaps, so that they are not counted; or empty."""
        return ", overlaps removed" if self.as_written and not self.overlaps else ""

    @property
    def share_found(self) -> float:
        """The share of the targets to which a prediction is matched; NaN without targets."""
        total = self.diagnosis["num_targets"]
        return self.diagnosis["targets"].get("found", math.nan) / total if total else math.nan

    def write(self, path: str | Path) -> None:
        """Write it as JSON, atomically, with the metrics in the order of their names."""
        write_json(path, replace(self, metrics=dict(sorted(self.metrics.items()))))

    @classmethod
    def read(cls, path: str | Path) -> "ScoreResult":
        """Read what :meth:`write` wrote.

        Raises:
            ValueError: The file holds something else.
        """
        found: ScoreResult = read_record(path, partial(record, cls), "a result of scoring")
        return found
