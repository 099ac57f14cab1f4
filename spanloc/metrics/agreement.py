"""Agreement of two sets of spans: recall and precision at tIoU, and confusion of labels."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from spanloc.metrics.kernels.ranked import match_ranked
from spanloc.metrics.metric import SpanMetric
from spanloc.metrics.rows import (
    arrays,
    bands,
    checked_thresholds,
    decimal,
    find_groups,
    group,
    matched_rows,
    rank,
)
from spanloc.structures import Predictions, Targets


class Agreement(SpanMetric):
    """Agreement of two annotators on spans and labels, or of predictions with the targets.

    Spans are matched as for average precision, each with the best free one of its sequence and label.
    ``compute`` returns, at each threshold, ``recall@0.50``, the share of the targets that are matched,
    ``precision@0.50``, that of the predictions, and ``F1@0.50``, their harmonic mean; all in [0, 1], and 0
    where there is nothing. Exchanging the two sets exchanges recall and precision, up to ties. Predictions
    count whatever their scores: of a model, leave out low ones first.

    Args:
        thresholds: TIoU from which spans match, in ``(0, 1]``.

    Raises:
        ValueError: An argument is out of range.

    >>> import torch
    >>> zero, two = torch.zeros(1, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 4.0], [7.0, 9.0]]), two, two, ("a",), scores=torch.ones(2))
    >>> metric = Agreement([0.75])
    >>> metric.update(found, Targets(torch.tensor([[0.0, 5.0]]), zero, zero, ("a",)))
    >>> {name: round(float(value), 2) for name, value in metric.compute().items()}
    {'recall@0.75': 1.0, 'precision@0.75': 0.5, 'F1@0.75': 0.67}
    """

    def __init__(self, thresholds: Sequence[float] = (0.5, 0.75, 0.9)) -> None:
        super().__init__()
        self.thresholds = checked_thresholds(thresholds)

    def values(self, predictions: Predictions, targets: Targets) -> Mapping[str, float]:
        """Recall, precision and F1 at each threshold."""
        _, found = matched_rows(predictions, targets, self.thresholds)
        values = {}
        for threshold, hits in zip(self.thresholds, (found >= 0).sum(0).tolist(), strict=True):
            name = decimal(threshold)
            values[f"recall@{name}"] = hits / max(len(targets.spans), 1)
            values[f"precision@{name}"] = hits / max(len(found), 1)
            values[f"F1@{name}"] = 2 * hits / max(len(found) + len(targets.spans), 1)
        return values


class Confusion(TypedDict):
    """Number of targets of a label by the label of the prediction; ``prediction`` is None without one."""

    target: str
    prediction: str | None
    count: int


def confusion(
    predictions: Predictions,
    targets: Targets,
    classes: Sequence[str],
    *,
    threshold: float = 0.5,
    min_score: float | None = 0.5,
) -> list[Confusion]:
    """Counts of targets by their label and that of their prediction, the most frequent first.

    Predictions are matched with targets of their label first, then what is left of both whatever the
    label, each at most once. Targets of the label -1, whose class is not known, are not counted.

    Args:
        predictions, targets: Rows of whole sequences.
        classes: Names of the labels, from 0.
        threshold: TIoU of a match, in ``(0, 1]``.
        min_score: Predictions with a lower score are left out. Annotators have scores of 1. None: of each label
            the first of its ranking, as many as it has targets.

    >>> import torch
    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 4.0]]), zero + 1, zero, ("a",), scores=torch.ones(1))
    >>> confusion(found, Targets(torch.tensor([[0.0, 5.0]]), zero, zero, ("a",)), ["walk", "run"])
    [{'target': 'walk', 'prediction': 'run', 'count': 1}]
    """
    spans, scores, labels, sequences = arrays(predictions)
    order = rank(scores, sequences)
    true_spans, _, true_labels, true_sequences = arrays(targets)
    best = bands(labels[order], true_labels) == 0
    order = order[best if min_score is None else scores[order] >= min_score]
    spans, labels, sequences = spans[order].astype(np.float64), labels[order], sequences[order]
    given = np.full(len(true_labels), -1)
    free = np.ones(len(spans), bool)
    for same in (True, False):
        rest = np.flatnonzero(given < 0)
        grouped = group(true_spans[rest], true_labels[rest] * same, true_sequences[rest])
        groups = find_groups(grouped, labels[free] * same, sequences[free])
        found = match_ranked(
            spans[free], groups, grouped.spans, grouped.firsts, grouped.order, np.array([threshold])
        )[:, 0]
        mine = np.flatnonzero(free)[found >= 0]
        given[rest[grouped.order[found[found >= 0]]]] = labels[mine]
        free[mine] = False
    # A target of -1 is a span of no known class, which has no row.
    known = true_labels >= 0
    pairs, counts = np.unique(np.stack([true_labels, given], 1)[known], axis=0, return_counts=True)
    rows: list[Confusion] = [
        {"target": classes[target], "prediction": classes[k] if k >= 0 else None, "count": count}
        for (target, k), count in zip(pairs.tolist(), counts.tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: -row["count"])
