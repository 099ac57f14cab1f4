"""Output to predictions: candidates, their scores, suppression."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spanloc.structures import Batch, Output, Predictions

Suppress = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Scored(NamedTuple):
    """Spans ``(n, 2)`` in steps of one sequence, scores ``(n,)`` and labels ``(n,)``."""

    spans: Tensor
    scores: Tensor
    labels: Tensor


class Decode:
    """Turns the output of a batch into its predictions, best first within each sequence.

    Every pair of a predicted span and a label is a candidate, scored by the sigmoid of its logit.

    Args:
        min_score: Candidates scored lower are dropped.
        max_candidates: At most so many candidates of a sequence, the best-scored ones, are kept; of one
            that is evaluated in windows, of each window.
        suppress: Such as :func:`spanloc.ops.soft_nms`; takes spans, scores and labels of a sequence
            and gives indices and scores, best first. None keeps all.
        max_predictions: At most so many predictions per sequence, or window; 1 is one per sequence.
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
        lengths = batch.mask.sum(1).tolist()
        found = [self.candidates(output, i) for i in range(len(batch))]
        return joined(
            [self.select(*c, steps) for c, steps in zip(found, lengths, strict=True)], batch
        )

    def candidates(self, output: Output, i: int) -> Scored:
        """The best candidates of the sequence at place ``i``, best first."""
        num_labels = output.logits.shape[-1]
        scores = (output.logits[i].sigmoid() * output.mask[i][:, None]).flatten()
        # The mask again: where min_score is 0, padding would pass.
        valid = output.mask[i].repeat_interleave(num_labels)
        candidates = ((scores >= self.min_score) & valid).nonzero()[:, 0]
        order = scores[candidates].argsort(descending=True, stable=True)[: self.max_candidates]
        candidates = candidates[order]
        spans = output.spans[i][candidates // num_labels]
        return Scored(spans, scores[candidates], candidates % num_labels)

    def select(
        self, spans: Tensor, scores: Tensor, labels: Tensor, steps: int, *, times: int = 1
    ) -> Scored:
        """The predictions among the candidates of a sequence of ``steps`` steps.

        Args:
            spans, scores, labels: Best first.
            steps: Of the sequence, to which spans are clipped.
            times: How many windows it was seen in, each with as many predictions.
        """
        spans = spans.clamp(min=0, max=steps)
        if self.suppress is not None:
            kept, scores = self.suppress(spans, scores, labels)
            spans, labels = spans[kept], labels[kept]
        # One span per sequence is one, however long it is.
        cut = slice(self.max_predictions * (times if self.max_predictions > 1 else 1))
        return Scored(spans[cut], scores[cut], labels[cut])


def joined(parts: Sequence[Scored], batch: Batch) -> Predictions:
    """The predictions of a batch, in steps, from those of each sequence."""
    spans, scores, labels = (torch.cat(field) for field in zip(*parts, strict=True))
    counts = torch.tensor([len(part.scores) for part in parts], device=spans.device)
    places = torch.arange(len(parts), device=spans.device).repeat_interleave(counts)
    return Predictions(spans, labels, places, batch.ids, "steps", scores=scores)
