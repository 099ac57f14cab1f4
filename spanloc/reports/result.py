"""What an evaluation of spans gave: one record, one writer, one reader."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from spanloc.files import record, write_json
from spanloc.metrics import FOUND, KINDS, ORACLES
from spanloc.metrics.agreement import Confusion
from spanloc.metrics.calibration import Reliability
from spanloc.metrics.oracles import Oracles
from spanloc.reports.content import one_line, read_values


class TargetGroup(TypedDict):
    """Targets that are alike, as :func:`~spanloc.metrics.diagnose` groups them."""

    name: str
    least: float
    most: float
    targets: int
    found: float
    mAP_N: float


class LabelErrors(TypedDict):
    """Average precision of a label, and its predictions and targets by kind."""

    AP: float
    predictions: dict[str, int]
    targets: dict[str, int]


class Diagnosis(TypedDict):
    """What :func:`~spanloc.metrics.diagnose` returns, which see."""

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
    mAP_N: float
    sensitivity: dict[str, list[TargetGroup]]


@dataclass(frozen=True)
class ScoreResult:
    """Metrics of predictions, and what their errors are.

    Args:
        metrics: By name.
        diagnosis: Of :func:`spanloc.metrics.diagnose`.
        num_sequences: How many were evaluated.
        subset: Of the annotations or the data; None: all of them.
        predictions, annotations: The files; None where there are none.
        settings: What was asked for.
        notes: What is not wrong, but likely not meant; see :func:`spanloc.reports.notes`.
        surest: Predictions by kind, as in the diagnosis, of those that score ``min_score`` or more; None
            where no score is a limit.
        reliability: Of :func:`spanloc.metrics.reliability`; None where scores are no probabilities.
        confusion: Of :func:`spanloc.metrics.confusion`; None where it was not looked at.
        oracles: Of :func:`spanloc.metrics.oracles`; None where they were not asked for.
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
    reliability: Reliability | None = None
    confusion: list[Confusion] | None = None
    oracles: Oracles | None = None

    @property
    def share_found(self) -> float:
        """The share of the targets to which a prediction is matched; NaN without targets."""
        total = self.diagnosis["num_targets"]
        return self.diagnosis["targets"]["found"] / total if total else math.nan

    @classmethod
    def of(cls, state: Any) -> "ScoreResult":
        """From plain values, in which null is NaN.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        found: ScoreResult = record(cls, state)
        diagnosis = found.diagnosis
        kinds: list[tuple[str, Mapping[str, Any], tuple[str, ...]]] = [
            ("diagnosis.gain", diagnosis["gain"], (*KINDS[1:], "missed")),
            ("diagnosis.sensitivity", diagnosis["sensitivity"], ("length", "coverage", "number")),
            ("diagnosis.predictions", diagnosis["predictions"], KINDS),
            ("diagnosis.targets", diagnosis["targets"], FOUND),
        ]
        kinds += [
            (f"diagnosis.ranks[{i}]", counts, KINDS) for i, counts in enumerate(diagnosis["ranks"])
        ]
        for label, row in diagnosis["classes"].items():
            kinds.append((f"diagnosis.classes.{label}.predictions", row["predictions"], KINDS))
            kinds.append((f"diagnosis.classes.{label}.targets", row["targets"], FOUND))
        if found.surest is not None:
            kinds.append(("surest", found.surest, KINDS))
        if found.oracles is not None:
            table = found.oracles["mAP"]
            kinds.append(("oracles.mAP", table, ORACLES))
            columns = tuple(table.get(ORACLES[0], ()))
            kinds += [(f"oracles.mAP.{name}", row, columns) for name, row in table.items()]
        for where, there, wanted in kinds:
            for name in (*wanted, *there):
                if (name in wanted) != (name in there):
                    what = "missing" if name in wanted else "unknown"
                    raise ValueError(f"{where}.{name} is {what}")
        return found

    def write(self, path: str | Path) -> None:
        """Write it as JSON, atomically; the metrics by name, whatever their order here."""
        write_json(path, replace(self, metrics=dict(sorted(self.metrics.items()))))

    @classmethod
    def read(cls, path: str | Path) -> "ScoreResult":
        """Read what :meth:`write` wrote.

        Raises:
            ValueError: The file holds something else.
        """
        try:
            return cls.of(read_values(Path(path)))
        except ValueError as error:
            why = one_line(str(error).removeprefix(f"{path}: "))
            raise ValueError(f"{path}: not a result of scoring: {why}") from None
