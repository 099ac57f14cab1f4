"""Metrics of one span per sequence: the best-scored prediction against the target."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from spanloc.metrics.rows import Predictions, Targets, decimal
from spanloc.ops import tiou


class MeanTIoU(Metric):
    """Mean tIoU of each sequence's best-scored prediction with its target, in ``[0, 1]``.

    Labels are not compared. A sequence without a prediction counts 0, one without a target is left
    out, and one with several targets counts the best of them. 0 where there are no targets at all.

    >>> metric = MeanTIoU()
    >>> zero, one = torch.zeros(1, dtype=torch.int64), torch.ones(1)
    >>> metric.update(Predictions(torch.tensor([[0.0, 4.0]]), one, zero, zero),
    ...               Targets(torch.tensor([[0.0, 5.0]]), zero, zero))
    >>> metric.compute()
    tensor(0.8000, dtype=torch.float64)
    """

    full_state_update = False
    higher_is_better = True
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predictions: Predictions, targets: Targets) -> None:
        """Add whole sequences: all predictions and targets of a sequence belong in one call."""
        values = best_tiou(predictions, targets)
        self.total += values.sum()
        self.count += len(values)

    def compute(self) -> Tensor:
        """The mean, a float64 scalar."""
        return self.total / self.count.clamp(min=1)


class RecallAtTIoU(Metric):
    """Share of sequences whose best-scored prediction reaches a tIoU (R@1), in ``[0, 1]``.

    Which sequences count is as in :class:`MeanTIoU`. ``compute`` returns ``recall@0.50`` and so on.

    Args:
        thresholds: Decimals in ``(0, 1]``; a tIoU **>=** the threshold counts.

    Raises:
        ValueError: A threshold is out of range.

    >>> metric = RecallAtTIoU([0.8, 0.9])
    >>> zero, one = torch.zeros(1, dtype=torch.int64), torch.ones(1)
    >>> metric.update(Predictions(torch.tensor([[0.0, 4.0]]), one, zero, zero),
    ...               Targets(torch.tensor([[0.0, 5.0]]), zero, zero))
    >>> [float(value) for value in metric.compute().values()]
    [1.0, 0.0]
    """

    full_state_update = False
    higher_is_better = True
    hits: Tensor
    count: Tensor

    def __init__(self, thresholds: Sequence[float] = (0.5, 0.7, 0.9)) -> None:
        super().__init__()
        self.thresholds = list(thresholds)
        if not self.thresholds or not all(0 < t <= 1 for t in self.thresholds):
            raise ValueError(f"thresholds are {self.thresholds}; wanted decimals in (0, 1]")
        hits = torch.zeros(len(self.thresholds), dtype=torch.int64)
        self.add_state("hits", default=hits, dist_reduce_fx="sum")
        self.add_state("count", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predictions: Predictions, targets: Targets) -> None:
        """Add whole sequences: all predictions and targets of a sequence belong in one call."""
        values = best_tiou(predictions, targets)
        limits = torch.tensor(self.thresholds, dtype=torch.float64, device=values.device)
        self.hits += (values[:, None] >= limits).sum(0)
        self.count += len(values)

    def compute(self) -> dict[str, Tensor]:
        """The recall at each threshold, as float64 scalars."""
        recall = self.hits.double() / self.count.clamp(min=1)
        return {f"recall@{decimal(t)}": r for t, r in zip(self.thresholds, recall, strict=True)}


def best_tiou(predictions: Predictions, targets: Targets) -> Float[Tensor, " sequences"]:
    """TIoU of the best-scored prediction with the target, float64, one for each sequence with one.

    Equal scores are taken in input order. Sequences come in ascending order of their number.

    >>> zero, one = torch.zeros(1, dtype=torch.int64), torch.ones(1)
    >>> best_tiou(Predictions(torch.tensor([[0.0, 4.0]]), one, zero, zero),
    ...           Targets(torch.tensor([[0.0, 5.0], [0.0, 4.0]]), zero.repeat(2), zero.repeat(2)))
    tensor([1.], dtype=torch.float64)
    """
    names, place = torch.unique(targets.sequences, return_inverse=True)
    if not len(names) or not len(predictions.scores):
        return torch.zeros(len(names), dtype=torch.float64, device=targets.spans.device)
    rank = torch.argsort(predictions.scores, descending=True, stable=True)
    asked = predictions.sequences[rank][None] == names[:, None]
    first = rank[asked.int().argmax(1)]
    values = tiou(predictions.spans[first][place].double(), targets.spans.double())
    values = torch.where(asked.any(1)[place], values, 0.0)
    best = torch.zeros(len(names), dtype=torch.float64, device=values.device)
    return best.scatter_reduce(0, place, values, "amax")
