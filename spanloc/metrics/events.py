"""Metrics of events: by their boundaries, or segment by segment."""

import math
from collections.abc import Mapping

import numpy as np

from spanloc.metrics.kernels.events import active_segments, match_collars
from spanloc.metrics.metric import SpanMetric
from spanloc.metrics.rows import arrays, group
from spanloc.structures import Predictions, Targets


class EventF1(SpanMetric):
    """Precision, recall and F1 of whole events, by onset and offset collars; fractions in ``[0, 1]``.

    A prediction and a target of one sequence and label may be a pair where their starts differ by no
    more than ``onset`` and their ends by no more than ``offset`` or ``offset_share`` of the target's
    length, whichever is more. Each is in one pair at most, and as many pairs are made as can be.

    ``compute`` returns ``event_precision``, ``event_recall`` and ``event_F1`` over all events, and
    ``event_F1_macro``, the mean over the labels that occur in the targets. What is a share of nothing
    is 0, and so is F1 where precision and recall are.

    Args:
        onset, offset: Collars, at least 0, in the unit of the spans; None: that boundary is not compared.
        offset_share: At least 0.
        min_score: Predictions that score lower are left out.

    Raises:
        ValueError: An argument is below 0.

    Source:
        ``EventBasedMetrics`` of sed_eval (Mesaros et al. 2016, doi:10.3390/app6060162) with optimal
        matching and ``percentage_of_length`` 0.5. It leaves out of the mean over labels the precision
        and F1 of those without predictions.

    >>> import torch
    >>> metric = EventF1()
    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.1, 4.0]]), zero, zero, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[0.0, 5.0]]), zero, zero, ("a",))
    >>> metric.update(found, true)
    >>> float(metric.compute()["event_F1"])
    1.0
    """

    def __init__(
        self,
        onset: float | None = 0.2,
        offset: float | None = 0.2,
        offset_share: float = 0.5,
        *,
        min_score: float = 0.5,
    ) -> None:
        super().__init__()
        for name, value in (("onset", onset), ("offset", offset), ("offset_share", offset_share)):
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}; it must be at least 0, and finite")
        self.onset, self.offset, self.offset_share = onset, offset, offset_share
        self.min_score = _checked_score(min_score)

    def values(self, predictions: Predictions, targets: Targets) -> Mapping[str, float]:
        """The four."""
        (mine, theirs, _), labels = _events(predictions, targets, self.min_score)
        onset = math.inf if self.onset is None else self.onset
        offset = math.inf if self.offset is None else self.offset
        pairs = match_collars(*mine, *theirs, onset, offset, self.offset_share)
        counts = np.stack([np.diff(mine[1]), np.diff(theirs[1]), pairs], 1)
        return _fractions("event", counts, labels)


class SegmentF1(SpanMetric):
    """Precision, recall and F1 of the segments of a grid in which a label is active, in ``[0, 1]``.

    The sequences are cut into segments of equal length, from 0. A label is active in all that one of
    its spans touches. ``compute`` returns ``segment_precision``, ``segment_recall`` and ``segment_F1``
    over all segments and labels, and ``segment_F1_macro``, the mean over the labels that occur in the
    targets. What is a share of nothing is 0.

    Args:
        size: Of a segment, above 0, in the unit of the spans.
        min_score: Predictions that score lower are left out.

    Raises:
        ValueError: ``size`` is not above 0.

    Source:
        ``SegmentBasedMetrics`` of sed_eval (Mesaros et al. 2016, doi:10.3390/app6060162). It leaves
        out of the mean over labels the precision and F1 of those without predictions.

    >>> import torch
    >>> metric = SegmentF1(size=1.0)
    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.0, 2.5]]), zero, zero, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[1.0, 4.0]]), zero, zero, ("a",))
    >>> metric.update(found, true)
    >>> round(float(metric.compute()["segment_F1"]), 4)
    0.6667
    """

    def __init__(self, size: float = 1.0, *, min_score: float = 0.5) -> None:
        super().__init__()
        if not 0 < size < math.inf:
            raise ValueError(f"size is {size}; it must be above 0")
        self.size, self.min_score = size, _checked_score(min_score)

    def values(self, predictions: Predictions, targets: Targets) -> Mapping[str, float]:
        """The four."""
        parts, labels = _events(predictions, targets, self.min_score)
        predicted, true, either = (active_segments(*part, self.size) for part in parts)
        counts = np.stack([predicted, true, predicted + true - either], 1)
        return _fractions("segment", counts, labels)


def _checked_score(score: float) -> float:
    if math.isnan(score):
        raise ValueError(f"min_score is {score}; wanted a number")
    return score


def _events(
    predictions: Predictions, targets: Targets, min_score: float
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    # Spans and firsts of predictions, targets and both, for every group that either has; the groups' labels.
    found, true = arrays(predictions), arrays(targets)
    keep = found.scores >= min_score
    fields = zip(found, true, strict=True)
    spans, _, labels, sequences = (np.concatenate([mine[keep], own]) for mine, own in fields)
    both = group(spans, labels, sequences)
    ours = both.order < keep.sum()
    parts = [
        (both.spans[some], np.append(0, np.cumsum(some))[both.firsts])
        for some in (ours, ~ours, ours | ~ours)
    ]
    return parts, both.keys[:, 1]


def _fractions(name: str, counts: np.ndarray, labels: np.ndarray) -> Mapping[str, float]:
    # ``counts (groups, 3)``: predicted, true, both.
    predicted, true, both = counts.sum(0).tolist()
    names, place = np.unique(labels, return_inverse=True)
    by_label = np.zeros((len(names), 3))
    np.add.at(by_label, place, counts)
    by_label = by_label[by_label[:, 1] > 0]
    # The harmonic mean of precision and recall is both over the mean of the two numbers.
    macro = 2 * by_label[:, 2] / (by_label[:, 0] + by_label[:, 1])
    return {
        f"{name}_precision": both / max(predicted, 1),
        f"{name}_recall": both / max(true, 1),
        f"{name}_F1": 2 * both / max(predicted + true, 1),
        f"{name}_F1_macro": float(macro.mean()) if len(macro) else 0.0,
    }
