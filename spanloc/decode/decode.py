"""Output to predictions: candidates, their scores, suppression."""

from collections.abc import Callable

import torch
from torch import Tensor

from spanloc.structures import Batch, Output, Predictions

Suppress = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Decode:
    """Turns the output of a batch into its predictions, best first within each sequence.

    Every pair of a predicted span and a label is a candidate, scored by the sigmoid of its logit.

    Args:
        min_score: Candidates scored lower are dropped.
        max_candidates: At most so many candidates of a sequence, the best-scored ones, are kept.
        suppress: Such as :func:`spanloc.ops.soft_nms`; takes spans, scores and labels of a sequence
            and gives indices and scores, best first. None keeps all.
        max_predictions: At most so many predictions per sequence.
    """

    def __init__(
        self,
        *,
        min_score: float = 1e-3,
        max_candidates: int = 2000,
        suppress: Suppress | None = None,
        max_predictions: int = 200,
    ) -> None:
        self.min_score, self.max_candidates = min_score, max_candidates
        self.suppress, self.max_predictions = suppress, max_predictions

    def __call__(self, output: Output, batch: Batch) -> Predictions:
        """Predictions in steps, inside their sequence."""
        lengths = batch.mask.sum(1)
        parts = [self._sequence(output, i, lengths[i]) for i in range(len(batch))]
        spans, scores, labels = (torch.cat(field) for field in zip(*parts, strict=True))
        counts = torch.tensor([len(part[1]) for part in parts], device=spans.device)
        places = torch.arange(len(parts), device=spans.device).repeat_interleave(counts)
        return Predictions(spans, labels, places, batch.ids, "steps", scores=scores)

    def _sequence(self, output: Output, i: int, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        num_labels = output.logits.shape[-1]
        scores = (output.logits[i].sigmoid() * output.mask[i][:, None]).flatten()
        # The mask again: where min_score is 0, padding would pass.
        valid = output.mask[i].repeat_interleave(num_labels)
        candidates = ((scores >= self.min_score) & valid).nonzero()[:, 0]
        order = scores[candidates].argsort(descending=True, stable=True)[: self.max_candidates]
        candidates = candidates[order]
        spans = output.spans[i][candidates // num_labels].clamp(min=0)
        spans = torch.minimum(spans, steps.to(spans))
        scores, labels = scores[candidates], candidates % num_labels
        if self.suppress is not None:
            kept, scores = self.suppress(spans, scores, labels)
            spans, labels = spans[kept], labels[kept]
        cut = slice(self.max_predictions)
        return spans[cut], scores[cut], labels[cut]
