"""Metrics of one query per sequence: whether the first few predictions find its target."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from spanloc.metrics.detection import average_precision
from spanloc.metrics.metric import SpanMetric
from spanloc.metrics.proposals import First, in_turn, reached_tiou
from spanloc.metrics.rows import checked_numbers, checked_thresholds, decimal
from spanloc.structures import Predictions, Targets


class MeanTIoU(SpanMetric):
    """Mean tIoU of each sequence's first prediction with its target, in ``[0, 1]``, as ``tiou``.

    Labels are not compared. A sequence without a prediction counts 0, one without a target is left
    out, and one with several targets counts the best of them. 0 where there are no targets at all.

    Args:
        first: Which prediction is first: the best ``"scored"`` one (of equal scores the one listed
            first), or the one ``"listed"`` first, whatever the scores.

    >>> metric = MeanTIoU()
    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 4.0]]), zero, zero, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[0.0, 5.0]]), zero, zero, ("a",))
    >>> metric.update(found, true)
    >>> metric.compute()
    {'tiou': tensor(0.8000, dtype=torch.float64)}
    """

    def __init__(self, first: First = "scored") -> None:
        super().__init__()
        self.first = _checked_first(first)

    def values(self, predictions: Predictions, targets: Targets) -> Mapping[str, float]:
        """The mean."""
        best = best_tiou(predictions, targets, [1], first=self.first)
        return {"tiou": float(best.mean()) if len(best) else 0.0}


class RecallAtTIoU(SpanMetric):
    """Recall at k: the share of sequences where one of the first k predictions reaches a tIoU.

    Which sequences count, and how, is as in :class:`MeanTIoU`. ``compute`` returns ``R1@0.50`` and so
    on; with ``lengths``, ``R1@0.50/10-30``.

    Args:
        thresholds: Decimals in ``(0, 1]``, judged as the nearest doubles of what is written.
        numbers: Of predictions that are looked at, each at least 1.
        first: As in :class:`MeanTIoU`.
        lengths: Only targets longer than the first and up to the second count (from 0: those of
            length 0 too), and only sequences that have one; in the unit of the spans. None: all.

    Raises:
        ValueError: An argument is out of range.

    Source:
        With ``numbers=[1]`` and ``first="listed"``, QVHighlights' evaluation of moment retrieval (Lei
        et al. 2021, arXiv:2107.09609), which counts the sequences that have a prediction.

    >>> metric = RecallAtTIoU([0.5, 0.9])
    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 4.0]]), zero, zero, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[0.0, 5.0]]), zero, zero, ("a",))
    >>> metric.update(found, true)
    >>> [float(value) for value in metric.compute().values()]
    [1.0, 0.0]
    """

    def __init__(
        self,
        thresholds: Sequence[float] = (0.5, 0.7, 0.9),
        numbers: Sequence[int] = (1,),
        *,
        first: First = "scored",
        lengths: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.thresholds, self.numbers = checked_thresholds(thresholds), checked_numbers(numbers)
        self.first, self.lengths = _checked_first(first), _checked_lengths(lengths)

    def values(self, predictions: Predictions, targets: Targets) -> Mapping[str, float]:
        """The recall for each number and threshold."""
        targets = _within(targets, self.lengths)
        best = best_tiou(predictions, targets, self.numbers, first=self.first)
        reached = best[..., None] >= np.asarray(self.thresholds, np.float64)
        table = reached.mean(0) if len(best) else np.zeros(reached.shape[1:])
        return {
            f"R{number}@{decimal(threshold)}{_suffix(self.lengths)}": table[i, j]
            for i, number in enumerate(self.numbers)
            for j, threshold in enumerate(self.thresholds)
        }


class RetrievalPrecision(SpanMetric):
    """Average precision within each sequence, averaged over the sequences, in ``[0, 1]``.

    The average precision is that of :class:`~spanloc.metrics.AveragePrecision`, of one sequence at a
    time and without labels. A sequence without a prediction counts 0, one without a target is left
    out. ``compute`` returns ``MR-mAP``, the mean over the thresholds, and ``MR-mAP@0.50`` and so on;
    with ``lengths``, ``MR-mAP@0.50/10-30``.

    Args:
        thresholds: Decimals in ``(0, 1]``, judged as the nearest doubles of what is written.
        max_predictions: At most so many of a sequence are taken; None takes all.
        first: Which of them are taken: the best ``"scored"``, or those ``"listed"`` first. They are
            ranked by score either way.
        lengths: As in :class:`RecallAtTIoU`.

    Raises:
        ValueError: An argument is out of range.

    Source:
        With the defaults, QVHighlights' evaluation of moment retrieval (Lei et al. 2021,
        arXiv:2107.09609), which averages over the sequences that have a prediction.

    >>> metric = RetrievalPrecision([0.5])
    >>> one, two = torch.zeros(1, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 4.0]]), one, one, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[0.0, 5.0], [7.0, 8.0]]), two, two, ("a",))
    >>> metric.update(found, true)
    >>> metric.compute()["MR-mAP@0.50"]
    tensor(0.5000, dtype=torch.float64)
    """

    def __init__(
        self,
        thresholds: Sequence[float] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
        max_predictions: int | None = 10,
        *,
        first: First = "listed",
        lengths: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.thresholds = checked_thresholds(thresholds)
        if max_predictions is not None and max_predictions < 1:
            raise ValueError(f"max_predictions is {max_predictions}; wanted at least 1, or None")
        self.max_predictions = max_predictions
        self.first, self.lengths = _checked_first(first), _checked_lengths(lengths)

    def values(self, predictions: Predictions, targets: Targets) -> Mapping[str, float]:
        """The mean over all and at each threshold."""
        targets = _within(targets, self.lengths)
        if self.max_predictions is not None:
            order, place = in_turn(predictions, self.first)
            rows = torch.from_numpy(np.sort(order[place < self.max_predictions]))
            predictions = predictions[rows.to(predictions.scores.device)]
        _, table = average_precision(predictions, targets, self.thresholds, by="sequences")
        mean = table.mean(0) if len(table) else np.zeros(len(self.thresholds))
        suffix = _suffix(self.lengths)
        values = {
            f"MR-mAP@{decimal(t)}{suffix}": m for t, m in zip(self.thresholds, mean, strict=True)
        }
        return {f"MR-mAP{suffix}": mean.mean(), **values}


def best_tiou(
    predictions: Predictions, targets: Targets, numbers: Sequence[int], *, first: First = "scored"
) -> np.ndarray:
    """The best tIoU of each sequence's first predictions with any of its targets.

    Args:
        predictions, targets: Rows of whole sequences; labels are not compared.
        numbers: How many predictions are looked at, ``(k,)``.
        first: As in :class:`MeanTIoU`.

    Returns:
        ``(sequences with a target, k)`` float64, sorted by the id of the sequence.

    >>> one, two = torch.zeros(1, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 4.0]]), one, one, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[0.0, 5.0], [0.0, 4.0]]), two, two, ("a",))
    >>> best_tiou(found, true, [1])
    array([[1.]])
    """
    # By the hull, as QVHighlights' evaluation has it.
    reached, firsts = reached_tiou(predictions, targets, numbers, first=first, hull=True)
    return np.maximum.reduceat(reached, firsts[:-1], axis=0) if len(reached) else reached


def _within(targets: Targets, lengths: tuple[float, float] | None) -> Targets:
    if lengths is None:
        return targets
    least, most = lengths
    spans = targets.spans.double()
    size = spans[:, 1] - spans[:, 0]
    keep = ((size > least) | (least == 0)) & (size <= most)
    return targets[keep]


def _suffix(lengths: tuple[float, float] | None) -> str:
    return "" if lengths is None else f"/{lengths[0]:g}-{lengths[1]:g}"


def _checked_first(first: First) -> First:
    if first not in ("scored", "listed"):
        raise ValueError(f"first is {first!r}; it may be scored or listed")
    return first


def _checked_lengths(lengths: Sequence[float] | None) -> tuple[float, float] | None:
    if lengths is None:
        return None
    if len(lengths) != 2 or not 0 <= lengths[0] < lengths[1]:
        raise ValueError(f"lengths is {list(lengths)}; wanted [least, most]")
    return float(lengths[0]), float(lengths[1])
