"""Temporal average precision."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from spanloc.metrics.rows import Predictions, Targets, decimal
from spanloc.ops import match_ranked


class AveragePrecision(Metric):
    """Mean average precision of labelled spans at several tIoU thresholds, fractions in ``[0, 1]``.

    Spans are continuous. At tIoU **>=** a threshold a prediction takes the best still-free target
    of its sequence and label. Precision is interpolated as in VOC 2011 (its envelope). The mean
    runs over the labels that occur in the targets: a label without predictions counts 0, predicted
    labels without targets are left out. Equal scores rank in input order.

    ``compute`` returns ``mAP``, the mean over the thresholds, and ``mAP@0.50`` and so on, one for
    each; all are 0 where there are no targets.

    Args:
        thresholds: Decimals in ``(0, 1]``, judged as the nearest doubles of what is written.

    Raises:
        ValueError: A threshold is out of range.

    >>> metric = AveragePrecision(thresholds=[0.5])
    >>> zero, one = torch.zeros(1, dtype=torch.int64), torch.ones(1)
    >>> metric.update(Predictions(torch.tensor([[0.0, 4.0]]), one, zero, zero),
    ...               Targets(torch.tensor([[0.0, 5.0], [7.0, 8.0]]), zero.repeat(2), zero.repeat(2)))
    >>> metric.compute()["mAP@0.50"]
    tensor(0.5000, dtype=torch.float64)
    """

    full_state_update = False
    higher_is_better = True
    scores: list[Tensor] | Tensor  # a tensor once processes have been joined

    def __init__(self, thresholds: Sequence[float] = (0.3, 0.4, 0.5, 0.6, 0.7)) -> None:
        super().__init__()
        self.thresholds = list(thresholds)
        if not self.thresholds or not all(0 < t <= 1 for t in self.thresholds):
            raise ValueError(f"thresholds are {self.thresholds}; wanted decimals in (0, 1]")
        for name in (*Predictions._fields, *(f"target_{name}" for name in Targets._fields)):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, predictions: Predictions, targets: Targets) -> None:
        """Add the predictions and targets of some sequences; no sequence may come twice."""
        for name, value in predictions._asdict().items():
            getattr(self, name).append(value.detach())
        for name, value in targets._asdict().items():
            getattr(self, f"target_{name}").append(value.detach())

    def compute(self) -> dict[str, Tensor]:
        """``mAP`` and the mean at each threshold, as float64 scalars."""
        if len(self.scores) == 0:
            table = np.zeros((0, len(self.thresholds)))
        else:
            names = (*Predictions._fields, *(f"target_{name}" for name in Targets._fields))
            rows = [dim_zero_cat(getattr(self, name)).cpu().numpy() for name in names]
            table = average_precision(*rows, thresholds=np.asarray(self.thresholds, np.float64))
        mean = table.mean(0) if len(table) else np.zeros(len(self.thresholds))
        values = {f"mAP@{decimal(t)}": m for t, m in zip(self.thresholds, mean, strict=True)}
        values = {"mAP": mean.mean(), **values}
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def average_precision(
    spans: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    sequences: np.ndarray,
    target_spans: np.ndarray,
    target_labels: np.ndarray,
    target_sequences: np.ndarray,
    *,
    thresholds: np.ndarray,
) -> np.ndarray:
    """Average precision per label and threshold, ``(labels that occur in the targets, thresholds)``.

    Rows follow the labels in ascending order; conventions are those of :class:`AveragePrecision`.

    >>> zero = np.zeros(1, np.int64)
    >>> average_precision(np.array([[0.0, 4.0]]), np.ones(1), zero, zero,
    ...                   np.array([[0.0, 5.0]]), zero, zero,
    ...                   thresholds=np.array([0.8, 0.9]))
    array([[1., 0.]])
    """
    names, counts = np.unique(target_labels, return_counts=True)
    rank = np.argsort(-scores.astype(np.float64), kind="stable")
    rank = rank[np.isin(labels[rank], names)]
    # One number for each pair of sequence and label.
    place = np.unique(np.append(sequences[rank], target_sequences), return_inverse=True)[1]
    groups = place * len(names) + np.searchsorted(names, np.append(labels[rank], target_labels))
    hits = match_ranked(
        spans[rank], groups[: len(rank)], target_spans, groups[len(rank) :], thresholds
    )
    table = np.zeros((len(names), len(thresholds)))
    for row, (name, count) in enumerate(zip(names, counts, strict=True)):
        table[row] = _area(hits[labels[rank] == name], int(count))
    return table


def _area(hits: np.ndarray, num_targets: int) -> np.ndarray:
    # Recall only moves at hits, by 1 / num_targets each, so the area is the mean of the envelope there.
    found = np.cumsum(hits, axis=0)
    precision = found / np.arange(1, len(hits) + 1)[:, None]
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    return (envelope * hits).sum(0) / num_targets
