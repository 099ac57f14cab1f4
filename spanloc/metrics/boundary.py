"""Errors of the boundaries of matched spans."""

from collections.abc import Mapping, Sequence

import numpy as np

from spanloc.metrics.metric import SpanMetric
from spanloc.metrics.rows import arrays, checked_thresholds, decimal, matched_rows
from spanloc.structures import Predictions, Targets


class BoundaryError(SpanMetric):
    """Errors of the boundaries of matched predictions, in the spans' unit.

    Predictions are matched as for average precision at one threshold: by rank, each the best free
    target of its sequence and label. ``compute`` returns, for ``start`` and ``end``: ``start_error``,
    the mean of the absolute error; ``start_bias``, the mean of the signed one, below 0 where
    predictions are too early; and its quantiles, ``start_q05`` and so on. Also ``matched@0.50``, the
    share of the targets that are; without any the errors are NaN, of nothing known.

    Args:
        threshold: TIoU from which a prediction is matched, in ``(0, 1]``.
        quantiles: In ``[0, 1]``, interpolated linearly.

    Raises:
        ValueError: An argument is out of range.

    >>> import torch
    >>> metric = BoundaryError()
    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> found = Predictions(torch.tensor([[0.5, 5.25]]), zero, zero, ("a",), scores=torch.ones(1))
    >>> true = Targets(torch.tensor([[1.0, 5.0]]), zero, zero, ("a",))
    >>> metric.update(found, true)
    >>> values = metric.compute()
    >>> float(values["start_bias"]), float(values["end_error"])
    (-0.5, 0.25)
    """

    higher_is_better = None
    plot_lower_bound = plot_upper_bound = None

    def __init__(
        self,
        threshold: float = 0.5,
        quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
    ) -> None:
        super().__init__()
        (self.threshold,) = checked_thresholds([threshold])
        self.quantiles = list(quantiles)
        if not all(0 <= q <= 1 for q in self.quantiles):
            raise ValueError(f"quantiles are {self.quantiles}; wanted fractions from 0 to 1")

    def values(self, predictions: Predictions, targets: Targets) -> Mapping[str, float]:
        """The share that is matched, and the errors."""
        errors = boundary_errors(predictions, targets, self.threshold)
        share = len(errors) / max(len(targets.spans), 1)
        values = {f"matched@{decimal(self.threshold)}": share}
        for column, end in enumerate(("start", "end")):
            signed = errors[:, column] if len(errors) else np.full(1, np.nan)
            values |= {f"{end}_error": np.abs(signed).mean(), f"{end}_bias": signed.mean()}
            for q, value in zip(self.quantiles, np.quantile(signed, self.quantiles), strict=True):
                percent = f"{100 * q:g}"
                values[f"{end}_q{'0' * (q < 0.1)}{percent}"] = value
        return values


def boundary_errors(predictions: Predictions, targets: Targets, threshold: float) -> np.ndarray:
    """Prediction minus target of the start and the end of each matched pair, ``(pairs, 2)`` float64.

    Conventions are those of :class:`BoundaryError`. The best-ranked pair comes first.
    """
    order, found = matched_rows(predictions, targets, [threshold])
    hits = found[:, 0] >= 0
    spans, true = (arrays(rows).spans.astype(np.float64) for rows in (predictions, targets))
    errors: np.ndarray = spans[order[hits]] - true[found[hits, 0]]
    return errors
