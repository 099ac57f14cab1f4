"""Candidates of labelled sequences, kept to compare ways of decoding them without the model."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spanloc.decode.calibration import brier_score
from spanloc.decode.decode import Decode, Scored, joined
from spanloc.decode.windows import evaluating
from spanloc.metrics import average_precision
from spanloc.metrics.assessable import assessable
from spanloc.metrics.calibration import matches, reliability
from spanloc.structures import Batch, Output, Predictions, Targets, Timeline

_LOW, _HIGH = (0.3, 0.4, 0.5, 0.6, 0.7), tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
#: Names of the metrics that :func:`figures` gives, all fractions.
FIGURES = ("mAP", "mAP@0.50:0.95", "AP@0.75", "AP@0.90", "F1", "Brier", "ECE", "ECE_from_0.1")


class Kept(NamedTuple):
    """Candidates of a sequence before suppression, best first, and what else ``select`` needs."""

    candidates: Scored
    steps: int
    times: float


@dataclass(frozen=True)
class Collected:
    """Candidates of some sequences before suppression, and their targets.

    Args:
        rows, timelines: By sequence.
        targets: In seconds, of all sequences, in the same order.
    """

    rows: list[Kept]
    timelines: list[Timeline]
    targets: Targets

    def __len__(self) -> int:
        return len(self.rows)

    def predictions(self, decodes: Sequence[Decode]) -> Predictions:
        """Predictions in seconds, of each sequence by the :class:`Decode` at its place."""
        found = []
        for row, line, decode in zip(self.rows, self.timelines, decodes, strict=True):
            step = line.seconds_per_step
            rows = decode.select(*row.candidates, row.steps, times=row.times, seconds_per_step=step)
            found.append(rows._replace(scores=rows.scores.double()))
        return joined(found, self.targets).in_seconds(self.timelines)

    def judged(self, decodes: Sequence[Decode]) -> tuple[Predictions, Targets]:
        """The predictions and targets that can be right or wrong."""
        return assessable(self.predictions(decodes), self.targets)

    @property
    def seconds_per_step(self) -> Tensor:
        """Of each sequence, ``(n,)``."""
        return torch.tensor([line.seconds_per_step for line in self.timelines], dtype=torch.float64)


def collect(task: Any, batches: Iterable[Batch]) -> Collected:
    """Candidates that a model finds in batches of labelled sequences.

    Args:
        task: Such as a :class:`~spanloc.SpanLocalizer`: it has ``decode``, ``device`` and ``predict_step``.
        batches: Of whole sequences, each of them once. About 40 kB a sequence are kept (of a window, if it
            has several).

    Raises:
        ValueError: There are no sequences.
    """
    rows: list[Kept] = []
    timelines: list[Timeline] = []
    targets: list[Targets] = []
    with evaluating(task):
        for batch in batches:
            with keeping(task) as found:
                task.predict_step(batch.to(task.device))
            targets.append(batch.targets("seconds").to("cpu"))
            rows += found
            timelines += batch.timelines
    if not rows:
        raise ValueError("there are no sequences to fit the decoding on")
    return Collected(rows, timelines, _all(targets))


@contextmanager
def keeping(task: Any) -> Iterator[list[Kept]]:
    """Collect the candidates of each sequence that a model sees meanwhile; it predicts nothing in that time."""
    decode = task.decode
    task.decode = keeper = _Keeper(decode)
    try:
        yield keeper.found
    finally:
        task.decode = decode


class _Keeper(Decode):
    # Stands in for a Decode: keeps what it is to select from, and selects nothing.
    def __init__(self, decode: Decode) -> None:
        self.decode = decode
        self.found: list[Kept] = []

    def candidates(self, output: Output, i: int) -> Scored:
        return self.decode.candidates(output, i)

    def select(self, *candidates: Any, times: float = 1.0, **_: Any) -> Scored:
        *fields, steps = candidates
        self.found.append(Kept(Scored(*(field.cpu().clone() for field in fields)), steps, times))
        return Scored(*fields).at(slice(0))


def _all(parts: Sequence[Targets]) -> Targets:
    firsts = np.cumsum([0, *(len(part.ids) for part in parts)]).tolist()
    ignored = [
        part.ignored or tuple(torch.zeros(0, 2, dtype=torch.float64) for _ in part.ids)
        for part in parts
    ]
    return Targets(
        torch.cat([part.spans for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.places + first for part, first in zip(parts, firsts, strict=False)]),
        tuple(name for part in parts for name in part.ids),
        parts[0].unit,
        ignored=tuple(stretches for some in ignored for stretches in some),
    )


def figures(predictions: Predictions, targets: Targets) -> dict[str, float]:
    """Metrics of predictions, by the names in :data:`FIGURES`.

    ``mAP`` is over tIoU 0.3:0.7:0.1; ``F1`` is of all predictions as a set, at tIoU 0.5, over all labels;
    ``Brier`` (mean squared error) and the two ``ECE`` (:func:`~spanloc.metrics.reliability`) are of the scores
    as probabilities of being right at tIoU 0.5.
    """
    _, low = average_precision(predictions, targets, _LOW)
    _, high = average_precision(predictions, targets, _HIGH)
    right = matches(predictions, targets) >= 0
    total = len(predictions) + len(targets)
    reliable = reliability(predictions, targets)
    return {
        "mAP": _mean(low),
        "mAP@0.50:0.95": _mean(high),
        "AP@0.75": _mean(high[:, 5]),
        "AP@0.90": _mean(high[:, 8]),
        "F1": 2 * float(right.sum()) / total if total else 0.0,
        "Brier": brier_score(predictions.scores.numpy(), right),
        "ECE": reliable.error if reliable else math.nan,
        "ECE_from_0.1": reliable.error_from if reliable else math.nan,
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0
