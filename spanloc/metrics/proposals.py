"""Average recall of proposals."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from spanloc.metrics.kernels.ranked import best_reached
from spanloc.metrics.metric import SpanMetric
from spanloc.metrics.rows import arrays, checked_numbers, checked_thresholds, find_groups, group
from spanloc.structures import Predictions, Targets

First = Literal["scored", "listed"]


class AverageRecall(SpanMetric):
    """Average recall at a number of proposals per sequence (``AR@AN``), fractions in ``[0, 1]``.

    The share of the targets that one of the ``AN`` best-scored predictions of their sequence reaches,
    averaged over the thresholds. Labels are not compared, and a prediction may find several targets.
    ``compute`` returns ``AR@10`` and so on; 0 where there are no targets.

    Args:
        numbers: Of proposals per sequence, each at least 1.
        thresholds: Decimals in ``(0, 1]``, judged as the nearest doubles of what is written.

    Raises:
        ValueError: An argument is out of range.

    Source:
        ActivityNet's evaluation of proposals, which takes the same share of the proposals of every
        sequence: the same where all have equally many.

    >>> import torch
    >>> metric = AverageRecall([1, 2], [0.5])
    >>> spans, zeros = torch.tensor([[0.0, 4.0], [7.0, 8.0]]), torch.zeros(2, dtype=torch.int64)
    >>> found = Predictions(spans, zeros, zeros, ("a",), scores=torch.tensor([0.9, 0.8]))
    >>> true = Targets(spans, zeros, zeros, ("a",))
    >>> metric.update(found, true)
    >>> [float(value) for value in metric.compute().values()]
    [0.5, 1.0]
    """

    def __init__(
        self,
        numbers: Sequence[int] = (1, 5, 10, 50, 100),
        thresholds: Sequence[float] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    ) -> None:
        super().__init__()
        self.numbers, self.thresholds = checked_numbers(numbers), checked_thresholds(thresholds)

    def values(self, predictions: Predictions, targets: Targets) -> Mapping[str, float]:
        """The average recall at each number."""
        limits = np.asarray(self.thresholds, np.float64)
        best, _ = reached_tiou(predictions, targets, self.numbers)
        table = (best[..., None] >= limits).mean((0, 2)) if len(best) else np.zeros(best.shape[1])
        return {f"AR@{n}": value for n, value in zip(self.numbers, table, strict=True)}


def reached_tiou(
    predictions: Predictions,
    targets: Targets,
    numbers: Sequence[int],
    *,
    first: First = "scored",
    hull: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The best tIoU of each target with the first predictions of its sequence.

    Args:
        predictions, targets: Rows of whole sequences; labels are not compared.
        numbers: How many predictions of a sequence are looked at, ``(k,)``.
        first: As in :func:`in_turn`.
        hull: As in :func:`spanloc.metrics.kernels.ranked.best_reached`.

    Returns:
        ``(targets, k)`` float64, sorted by sequence and start; and where the targets of each sequence
        begin, ``(sequences with a target + 1,)``.
    """
    spans, _, labels, sequences = arrays(predictions)
    target_spans, _, target_labels, target_sequences = arrays(targets)
    grouped = group(target_spans, np.zeros_like(target_labels), target_sequences)
    order, place = in_turn(predictions, first)
    order, place = order[place < max(numbers)], place[place < max(numbers)]
    groups = find_groups(grouped, np.zeros_like(labels[order]), sequences[order])
    rising = np.sort(numbers)
    # The first number that a place is within.
    column = np.searchsorted(rising, place, "right")
    first_spans = spans[order].astype(np.float64)
    best = best_reached(
        first_spans, groups, column, grouped.spans, grouped.firsts, len(numbers), hull
    )
    best = np.maximum.accumulate(best, axis=1)
    return best[:, np.searchsorted(rising, numbers)], grouped.firsts


def in_turn(predictions: Predictions, first: First) -> tuple[np.ndarray, np.ndarray]:
    """The rows by sequence, first ones first, and the place of each within its sequence, from 0.

    Args:
        predictions: Rows.
        first: Which come first: the best ``"scored"`` (of equal scores as they are listed), or those
            ``"listed"`` first.
    """
    _, scores, _, sequences = arrays(predictions)
    keys = (sequences,) if first == "listed" else (-scores.astype(np.float64), sequences)
    order = np.lexsort(keys)
    _, begins, counts = np.unique(sequences[order], return_index=True, return_counts=True)
    return order, np.arange(len(order)) - np.repeat(begins, counts)
