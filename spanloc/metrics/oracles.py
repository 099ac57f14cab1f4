"""Average precision with one part of the detector made perfect."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from spanloc.metrics.calibration import matches
from spanloc.metrics.detection import average_precision
from spanloc.metrics.rows import arrays, checked_thresholds, decimal, outside, overlaps
from spanloc.structures import Predictions, Targets

#: What is made perfect, in the order of the table.
ORACLES = ("as it is", "ranking", "labels", "boundaries", "selection", "outside")
_MEANS = {
    "mAP@0.30:0.70": (0.3, 0.4, 0.5, 0.6, 0.7),
    "mAP@0.50:0.95": (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
}
_SINGLE = (0.5, 0.75, 0.9)
#: The columns that every table has.
STANDARD = (*_MEANS, *(f"mAP@{decimal(t)}" for t in _SINGLE))


class Oracles(TypedDict):
    """Mean average precision by what is made perfect (:data:`ORACLES`), then by the thresholds.

    ``tiou`` is that from which a prediction means a target.
    """

    tiou: float
    mAP: dict[str, dict[str, float]]


def oracles(
    predictions: Predictions,
    targets: Targets,
    thresholds: Sequence[float] = (),
    *,
    tiou: float = 0.5,
) -> Oracles:
    """Mean average precision if one kind of error were corrected in **all** predictions.

    Where :func:`~spanloc.metrics.diagnose` says what the errors of each kind cost at one tIoU, this says
    what a better part of a detector could gain, at every tIoU. Each mends the predictions as they are:

    - **ranking**: each score is multiplied by the tIoU with the best target of its label. What overlaps
      none comes last.
    - **labels**: predictions with a tIoU of at least ``tiou`` with a target have the label of the one
      that they overlap most.
    - **boundaries**: predictions with a tIoU of at least ``tiou`` with a target of their label have the
      boundaries of the one that they overlap most.
    - **selection**: of the predictions of one target (matched at ``tiou``, or double detections of it)
      one is left: the one with the highest tIoU, with the score of the best-scored one.
    - **outside**: predictions outside the stretch from the first to the last target of their sequence
      are removed; all of a sequence without targets.

    Perfect predictions stay perfect. ``outside`` never lowers a value; nor do ``boundaries`` and
    ``selection`` at thresholds from ``tiou`` on, where targets of one label do not overlap. ``labels``
    can: a prediction that gets the right label may be the second of its target. So can ``ranking``,
    which puts a second, well-placed prediction before a first one of another target.

    Args:
        predictions, targets: Rows of whole sequences.
        thresholds: TIoU of further columns, in ``(0, 1]``; their mean is the column ``mAP``.
        tiou: From which a prediction means a target, in ``(0, 1]``.

    Returns:
        By :data:`ORACLES`, values in ``[0, 1]``: the means over tIoU 0.3:0.7:0.1 and 0.5:0.95:0.05, and
        those at 0.5, 0.75, 0.9 and ``thresholds``. All are 0 where there are no targets.

    Raises:
        ValueError: ``tiou`` or a threshold is out of range.

    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 8.0]]), zero, zero, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[0.0, 10.0]]), zero, zero, ("a",))
    >>> table = oracles(found, true)["mAP"]
    >>> table["as it is"]["mAP@0.90"], table["boundaries"]["mAP@0.90"]
    (0.0, 1.0)
    """
    if not 0 < tiou <= 1:
        raise ValueError(f"the tIoU of the oracles is {tiou}; it must lie in (0, 1]")
    asked = checked_thresholds(thresholds) if thresholds else []
    at = sorted({*asked, *_SINGLE, *(t for several in _MEANS.values() for t in several)})
    shown = {f"mAP@{decimal(t)}": (t,) for t in sorted({*asked, *_SINGLE})}
    columns: dict[str, Sequence[float]] = {"mAP": asked} if asked else {}
    columns |= {**_MEANS, **shown}

    table = {}
    for name in ORACLES:
        _, areas = average_precision(mended(name, predictions, targets, tiou), targets, at)
        mean = dict(zip(at, areas.mean(0) if len(areas) else np.zeros(len(at)), strict=True))
        table[name] = {of: float(np.mean([mean[t] for t in ts])) for of, ts in columns.items()}
    return Oracles(tiou=tiou, mAP=table)


def mended(name: str, predictions: Predictions, targets: Targets, tiou: float) -> Predictions:
    """The predictions with what :func:`oracles` calls ``name`` made perfect."""
    mend = _MENDS.get(name)
    return predictions if mend is None else mend(predictions.to("cpu"), targets.to("cpu"), tiou)


def _ranking(predictions: Predictions, targets: Targets, tiou: float) -> Predictions:
    scores = predictions.scores.double()
    # Times a tIoU, a score below zero would rise.
    scores = scores - scores.min().clamp(max=0) if len(scores) else scores
    shared = overlaps(arrays(predictions), arrays(targets), of_label=True).tiou
    return replace(predictions, scores=scores * torch.from_numpy(shared))


def _labels(predictions: Predictions, targets: Targets, tiou: float) -> Predictions:
    means, labels = _meant(predictions, targets, tiou, of_label=False, values=targets.labels)
    return replace(predictions, labels=torch.where(means, labels, predictions.labels))


def _boundaries(predictions: Predictions, targets: Targets, tiou: float) -> Predictions:
    means, spans = _meant(predictions, targets, tiou, of_label=True, values=targets.spans.double())
    spans = torch.where(means[:, None], spans, predictions.spans.double())
    return replace(predictions, spans=spans)


def _selection(predictions: Predictions, targets: Targets, tiou: float) -> Predictions:
    best = overlaps(arrays(predictions), arrays(targets), of_label=True)
    match = matches(predictions, targets, tiou)
    hit = match >= 0
    taker = np.full(len(targets), -1)
    taker[match[hit]] = np.flatnonzero(hit)
    double = ~hit & (best.tiou >= tiou)
    # A double detection gives the prediction that took its target its place, if that is the better one.
    source = np.arange(len(predictions))
    shared = best.tiou.copy()
    for row in np.flatnonzero(double):
        first = taker[best.target[row]]
        if best.target[first] == best.target[row] and best.tiou[row] > shared[first]:
            shared[first], source[first] = best.tiou[row], row
    kept = torch.from_numpy(~double)
    return replace(predictions, spans=predictions.spans[torch.from_numpy(source)])[kept]


def _outside(predictions: Predictions, targets: Targets, tiou: float) -> Predictions:
    return predictions[torch.from_numpy(~outside(arrays(predictions), arrays(targets)))]


_MENDS: dict[str, Callable[[Predictions, Targets, float], Predictions]] = {
    "ranking": _ranking,
    "labels": _labels,
    "boundaries": _boundaries,
    "selection": _selection,
    "outside": _outside,
}


def _meant(
    predictions: Predictions, targets: Targets, tiou: float, *, of_label: bool, values: Tensor
) -> tuple[Tensor, Tensor]:
    # Which predictions mean a target, and that one's value; zeros where there is no target.
    best = overlaps(arrays(predictions), arrays(targets), of_label=of_label)
    padded = torch.cat([values, values.new_zeros(1, *values.shape[1:])])
    return torch.from_numpy(best.tiou >= tiou), padded[torch.from_numpy(best.target)]
