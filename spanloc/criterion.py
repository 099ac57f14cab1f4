"""The total loss of an output: the only place that weights, masks and reduces."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spanloc.data import Batch
from spanloc.losses import focal_loss
from spanloc.models import Output

Loss = Callable[[Tensor, Tensor], Tensor]


class Losses(NamedTuple):
    """What a batch costs, and the pairs that the span loss saw, detached.

    ``total`` is what is minimised. ``span`` is the mean span loss of the matched pairs, 0 without
    any; ``score`` is the sum of the score losses over the normaliser. ``pred (n, 2)`` and
    ``target (n, 2)`` are in steps.
    """

    total: Tensor
    span: Tensor
    score: Tensor
    pred: Tensor
    target: Tensor


class Matched(NamedTuple):
    """Pairs of spans ``pred (n, 2)`` and ``target (n, 2)`` in steps, and the sum of all score losses."""

    pred: Tensor
    target: Tensor
    score: Tensor


class Criterion(nn.Module):
    """Assigns, takes both losses, and divides by the number of matched predictions.

    The divisor is a moving average, a buffer, so that a batch with few targets does not get a loud
    gradient; it is at least 1, and a batch without targets has a finite loss.

    Args:
        assign: An assigner, such as :func:`spanloc.assigners.assign_points`.
        span_loss: Of pairs ``(n, 2), (n, 2)``, unreduced.
        score_loss: Of logits and targets of one shape, unreduced.
        span_weight, score_weight: Of the two in the total.
        momentum: Of the moving average, in ``[0, 1)``; 0 divides by the batch's own number.

    Raises:
        ValueError: ``momentum`` is out of range, or, when called, the span loss reduces.
    """

    normaliser: Tensor

    def __init__(
        self,
        assign: Callable[[Output, Batch], Tensor],
        span_loss: Loss,
        score_loss: Loss = focal_loss,
        *,
        span_weight: float = 1.0,
        score_weight: float = 1.0,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must lie in [0, 1)")
        self.assign, self.span_loss, self.score_loss = assign, span_loss, score_loss
        self.span_weight, self.score_weight = span_weight, score_weight
        self.momentum = momentum
        self.register_buffer("normaliser", torch.zeros(()))

    def match(self, output: Output, batch: Batch) -> Matched:
        """What both losses are taken of, with gradients; sums of them add up over batches."""
        index = self.assign(output, batch)
        matched = index >= 0
        sequence = matched.nonzero()[:, 0]
        target = index[matched]
        labels = F.one_hot(batch.labels.gather(1, index.clamp(min=0)), output.logits.shape[-1])
        wanted = labels.to(output.logits) * matched[..., None]
        scores = self.score_loss(output.logits, wanted) * output.mask[..., None]
        return Matched(output.spans[matched], batch.spans[sequence, target], scores.sum())

    def forward(self, output: Output, batch: Batch) -> Losses:
        """The losses of a batch."""
        pred, target, scores = self.match(output, batch)
        values = self.span_loss(pred, target)
        if values.shape != target.shape[:1]:
            raise ValueError(
                f"the span loss gave the shape {tuple(values.shape)} for {len(target)} pairs; "
                f"wanted ({len(target)},), one value a pair, not reduced"
            )
        divisor = self._divisor(len(target))
        spans = values.sum()
        score = scores / divisor
        total = self.span_weight * spans / divisor + self.score_weight * score
        mean = spans.detach() / max(len(target), 1)
        return Losses(total, mean, score.detach(), pred.detach(), target)

    def _divisor(self, num_matched: int) -> Tensor:
        if self.training:
            # The first batch sets the average; a mix with the initial 0 would be too small.
            share = torch.where(self.normaliser > 0, 1 - self.momentum, 1.0)
            self.normaliser.lerp_(torch.full_like(self.normaliser, num_matched), share)
        return self.normaliser.clamp(min=1)
