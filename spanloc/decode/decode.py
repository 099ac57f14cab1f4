"""Output to predictions: scores, proposals, suppression."""

from collections.abc import Callable

import torch
from torch import Tensor

from spanloc.metrics import Predictions
from spanloc.models import Output

Suppress = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Decode:
    """Turns the output of a batch into its predictions, best first within each sequence.

    Every pair of a predicted span and a label is a proposal, scored by the sigmoid of its logit.

    Args:
        min_score: Proposals scored lower are dropped.
        max_proposals: At most so many proposals of a sequence, the best-scored ones, are kept.
        suppress: Such as :func:`spanloc.ops.soft_nms`; takes spans, scores and labels of a sequence
            and gives indices and scores, best first. None keeps all.
        max_predictions: At most so many predictions per sequence.
    """

    def __init__(
        self,
        *,
        min_score: float = 1e-3,
        max_proposals: int = 2000,
        suppress: Suppress | None = None,
        max_predictions: int = 200,
    ) -> None:
        self.min_score, self.max_proposals = min_score, max_proposals
        self.suppress, self.max_predictions = suppress, max_predictions

    def __call__(self, output: Output, mask: Tensor) -> Predictions:
        """Predictions in steps, inside their sequence; ``sequences`` counts from 0 in the batch.

        Args:
            output: Of a batch.
            mask: The batch's ``(B, T)`` mask.
        """
        lengths = mask.sum(1)
        parts = [self._sequence(output, i, lengths[i]) for i in range(len(mask))]
        spans, scores, labels = (torch.cat(field) for field in zip(*parts, strict=True))
        counts = torch.tensor([len(part[1]) for part in parts], device=mask.device)
        numbers = torch.arange(len(parts), device=mask.device)
        return Predictions(spans, scores, labels, numbers.repeat_interleave(counts))

    def _sequence(self, output: Output, i: int, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        num_labels = output.logits.shape[-1]
        scores = (output.logits[i].sigmoid() * output.mask[i][:, None]).flatten()
        # The mask again: where min_score is 0, padding would pass.
        valid = output.mask[i].repeat_interleave(num_labels)
        proposals = ((scores >= self.min_score) & valid).nonzero()[:, 0]
        order = scores[proposals].argsort(descending=True, stable=True)[: self.max_proposals]
        proposals = proposals[order]
        spans = output.spans[i][proposals // num_labels].clamp(min=0)
        spans = torch.minimum(spans, steps.to(spans))
        scores, labels = scores[proposals], proposals % num_labels
        if self.suppress is not None:
            kept, scores = self.suppress(spans, scores, labels)
            spans, labels = spans[kept], labels[kept]
        cut = slice(self.max_predictions)
        return spans[cut], scores[cut], labels[cut]
