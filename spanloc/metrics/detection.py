"""Temporal average precision."""

from collections.abc import Mapping, Sequence

import numpy as np

from spanloc.metrics.kernels.ranked import ranked_areas
from spanloc.metrics.metric import SpanMetric
from spanloc.metrics.rows import (
    arrays,
    checked_thresholds,
    decimal,
    find_groups,
    group,
    require_names,
)
from spanloc.structures import Predictions, Targets

# Rows that are worked on at once, where the rankings are short: what bounds the memory.
_ROWS = 1 << 17


class AveragePrecision(SpanMetric):
    """Mean average precision of labelled spans at several tIoU thresholds, fractions in ``[0, 1]``.

    Spans are continuous. At a tIoU of at least the threshold a prediction takes the best still-free target
    of its sequence and label. Precision is interpolated as in VOC 2011 (its envelope). The mean
    runs over the labels that occur in the targets: a label without predictions counts 0, predicted
    labels without targets are left out. Equal scores rank by the id of their sequence, and
    within one as they are listed; of targets with equal tIoU the one that is listed last is taken; two
    empty spans do not match.

    ``compute`` returns ``mAP``, the mean over the thresholds, and ``mAP@0.50`` and so on, one for
    each; all are 0 where there are no targets. With ``classes`` also ``AP/<name>``, the mean over the
    thresholds of each label, NaN for one that does not occur in the targets.

    Args:
        thresholds: Decimals in ``(0, 1]``, judged as the nearest doubles of what is written.
        classes: Names of the labels, from 0.

    Raises:
        ValueError: A threshold is out of range.

    Source:
        The detection evaluation of ActivityNet (Caba Heilbron et al. 2015). It leaves equal scores, and
        targets of equal tIoU, to a sort that is not stable (of a few, the last usually comes first),
        and takes two equal empty spans as a match.

    >>> import torch
    >>> metric = AveragePrecision(thresholds=[0.5])
    >>> one, two = torch.zeros(1, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 4.0]]), one, one, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[0.0, 5.0], [7.0, 8.0]]), two, two, ("a",))
    >>> metric.update(found, true)
    >>> metric.compute()["mAP@0.50"]
    tensor(0.5000, dtype=torch.float64)
    """

    def __init__(
        self,
        thresholds: Sequence[float] = (0.3, 0.4, 0.5, 0.6, 0.7),
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.thresholds, self.classes = checked_thresholds(thresholds), list(classes)

    def values(self, predictions: Predictions, targets: Targets) -> Mapping[str, float]:
        """``mAP``, the mean at each threshold, and of each named label."""
        for rows in (predictions, targets) if self.classes else ():
            require_names(rows, self.classes)
        labels, table = average_precision(predictions, targets, self.thresholds)
        mean = table.mean(0) if len(table) else np.zeros(len(self.thresholds))
        values = {f"mAP@{decimal(t)}": m for t, m in zip(self.thresholds, mean, strict=True)}
        by_label = dict(zip(labels.tolist(), table.mean(1).tolist(), strict=True))
        named = {f"AP/{n}": by_label.get(i, np.nan) for i, n in enumerate(self.classes)}
        return {"mAP": mean.mean(), **values, **named}


def average_precision(
    predictions: Predictions,
    targets: Targets,
    thresholds: Sequence[float],
    *,
    by: str = "labels",
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision per label, or per sequence, and threshold.

    Rows follow the labels, or the ids, in ascending order; conventions are those of
    :class:`AveragePrecision`. Per sequence, labels are not compared.

    Args:
        predictions, targets: Rows of whole sequences.
        thresholds: In ``(0, 1]``.
        by: The field that makes a ranking of its own, ``labels`` or ``sequences``.

    Returns:
        The labels that occur in the targets, ``(k,)``, or the sequences (by their places among the sorted
        ids); and the table ``(k, thresholds)``.

    >>> import torch
    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 4.0]]), zero, zero, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[0.0, 5.0]]), zero, zero, ("a",))
    >>> average_precision(found, true, [0.8, 0.9])[1]
    array([[1., 0.]])
    """
    spans, scores, labels, sequences = arrays(predictions)
    target_spans, _, target_labels, target_sequences = arrays(targets)
    kinds, target_kinds = labels, target_labels
    if by == "sequences":
        kinds, target_kinds = sequences, target_sequences
        labels, target_labels = np.zeros_like(labels), np.zeros_like(target_labels)
    names, counts = np.unique(target_kinds, return_counts=True)
    grouped = group(target_spans, target_labels, target_sequences)
    limits = np.asarray(thresholds, np.float64)
    table = np.zeros((len(names), len(limits)))
    # Predictions by ranking; those of what does not occur in the targets come last.
    place = np.searchsorted(names, kinds)
    place[np.append(names, 0)[place] != kinds] = len(names)
    order = np.argsort(place, kind="stable")
    firsts = np.searchsorted(place[order], np.arange(len(names) + 1))
    begin = 0
    while begin < len(names):
        end = max(int(np.searchsorted(firsts, firsts[begin] + _ROWS, "right")) - 1, begin + 1)
        rows = order[firsts[begin] : firsts[end]]
        rows = rows[np.lexsort((sequences[rows], -scores[rows].astype(np.float64), place[rows]))]
        groups = np.empty(len(rows), np.int64)
        for i in range(0, len(rows), _ROWS):
            piece = rows[i : i + _ROWS]
            groups[i : i + _ROWS] = find_groups(grouped, labels[piece], sequences[piece])
        table[begin:end] = ranked_areas(
            spans,
            rows,
            groups,
            firsts[begin : end + 1] - firsts[begin],
            grouped.spans,
            grouped.firsts,
            grouped.order,
            counts[begin:end],
            limits,
        )
        begin = end
    return names, table
