"""The total loss of an output: the only place that weights, masks and reduces."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from spanloc.data import Batch
from spanloc.losses import focal_loss
from spanloc.models import Output
from spanloc.ops import tiou

Loss = Callable[[Tensor, Tensor], Tensor]
Quality = Literal["tiou", "score"]


class Losses(NamedTuple):
    """What a batch costs, and the pairs that the span loss saw, detached.

    ``total`` is what is minimised. ``span`` is the plain mean of the span loss over the matched
    pairs, 0 without any; ``score`` is the sum of the score losses over the number of pairs.
    ``pred (n, 2)`` and ``target (n, 2)`` are in steps. ``count`` is the batch's own number of pairs,
    weighted as their sequences are.
    """

    total: Tensor
    span: Tensor
    score: Tensor
    pred: Tensor
    target: Tensor
    count: Tensor


class Matched(NamedTuple):
    """What both losses are taken of; sums of them add up over batches.

    Pairs of spans ``pred (n, 2)`` and ``target (n, 2)`` in steps, the ``weight (n,)`` of each pair in
    the span loss, the sum of the score losses, and the ``count`` of pairs: the sum of the weights of
    their sequences.
    """

    pred: Tensor
    target: Tensor
    weight: Tensor
    score: Tensor
    count: Tensor


class Criterion(nn.Module):
    """Assigns, takes both losses, and divides by the number of matched pairs in a training step.

    That number is of all processes and all micro-batches of a step, so that the gradient is the same
    however a step is shared out: see :meth:`part`. It is at least 1, and a batch without targets
    has a finite loss. While evaluating it is the batch's own.

    A sequence counts by its weight (:class:`~spanloc.data.Sample`) in both losses and in the number:
    with weight 2 as if it were there twice, with 0 as if it were not.

    Args:
        assign: An assigner, such as :func:`spanloc.assigners.assign_points`.
        span_loss: Of pairs ``(n, 2), (n, 2)``, unreduced.
        score_loss: Of logits and targets of one shape, unreduced.
        span_weight, score_weight: Of the two in the total.
        quality: What a pair counts in the span loss beside its sequence's weight: its tIoU, so that
            targets which the model cannot find, wrong ones among them, count less (a pair without
            overlap is then not learnt from); or the score that it gives the target's label; or, with
            None, 1. It gets no gradient, and does not enter into the number of pairs.
        momentum: Of a moving average of the number over steps, kept as a buffer, so that a step with
            few targets does not get a loud gradient; in ``[0, 1)``. 0 takes each step's own.

    Raises:
        ValueError: A weight, ``quality`` or ``momentum`` is out of range, or, when called, the span loss
            reduces.
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
        quality: Quality | None = None,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        if quality not in (None, "tiou", "score"):
            raise ValueError(f"quality is {quality!r}; it may be 'tiou', 'score' or None (null)")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must lie in [0, 1)")
        for name, weight in (("span_weight", span_weight), ("score_weight", score_weight)):
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} is {weight}; it must be a number, at least 0")
        self.assign, self.span_loss, self.score_loss = assign, span_loss, score_loss
        self.span_weight, self.score_weight = span_weight, score_weight
        self.quality, self.momentum = quality, momentum
        self.register_buffer("normaliser", torch.zeros(()))
        self._count: Tensor | float = 0.0

    def match(self, output: Output, batch: Batch) -> Matched:
        """The pairs of a batch and their weights, with gradients but for the weights."""
        index = self.assign(output, batch)
        matched = index >= 0
        sequence = matched.nonzero()[:, 0]
        pred, target = output.spans[matched], batch.spans[sequence, index[matched]]
        labels = F.one_hot(batch.labels.gather(1, index.clamp(min=0)), output.logits.shape[-1])
        wanted = labels.to(output.logits) * matched[..., None]
        scores = self.score_loss(output.logits, wanted) * output.mask[..., None]
        weights = torch.ones_like(target[:, 0])
        if batch.weights is not None:
            if batch.weights.shape != (len(batch),):
                raise ValueError(
                    f"the batch's weights have the shape {tuple(batch.weights.shape)}; wanted "
                    f"({len(batch)},), one a sequence"
                )
            scores = scores * batch.weights[:, None, None]
            weights = batch.weights[sequence]
        count = weights.sum()
        if self.quality == "tiou":
            weights = weights * tiou(pred.detach(), target)
        elif self.quality == "score":
            given = (output.logits.detach().sigmoid() * wanted)[matched].sum(-1)
            weights = weights * given
        return Matched(pred, target, weights, scores.sum(), count)

    def forward(self, output: Output, batch: Batch) -> Losses:
        """The losses of a batch that is a whole step, or this process's share of one."""
        self.drop()
        losses = self._sums(output, batch)
        if not self.training:
            return losses._replace(total=losses.total / losses.count.clamp(min=1))
        return losses._replace(total=losses.total / self._unit() * self.finish())

    def part(self, output: Output, batch: Batch) -> Losses:
        """The losses of a batch that is a part of a training step: of one to accumulate over.

        Sum up the gradients of the totals of all parts, multiply them by what :meth:`finish` gives,
        and the optimizer may step. :class:`~spanloc.SpanLocalizer` does so by itself. The total is
        over the batch's own number of pairs; its gradient is in the unit of the last step, one for
        all parts, which keeps 16-bit gradients in range.
        """
        losses = self._sums(output, batch)
        own, total = losses.count.clamp(min=1), losses.total / self._unit()
        return losses._replace(total=total + (losses.total / own - total).detach())

    def _sums(self, output: Output, batch: Batch) -> Losses:
        matched = self.match(output, batch)
        values = self.span_loss(matched.pred, matched.target)
        if values.shape != matched.weight.shape:
            raise ValueError(
                f"the span loss gave the shape {tuple(values.shape)} for {len(matched.weight)} pairs; "
                f"wanted ({len(matched.weight)},), one value a pair, not reduced"
            )
        if self.training:
            self._count = self._count + matched.count
        own = matched.count.clamp(min=1)
        total = self.span_weight * (matched.weight * values).sum()
        total = total + self.score_weight * matched.score
        mean, score = values.detach().sum() / max(len(values), 1), matched.score.detach() / own
        pairs = matched.pred.detach(), matched.target
        return Losses(total, mean, score, *pairs, matched.count)

    def finish(self) -> Tensor:
        """Ends a training step: what the gradients of its parts are to be multiplied by.

        With several processes all of them call it, and their gradients are averaged, as
        ``DistributedDataParallel`` does.
        """
        count, num_processes = torch.as_tensor(self._count).to(self.normaliser), 1
        if distributed.is_available() and distributed.is_initialized():
            count, num_processes = count.clone(), distributed.get_world_size()
            distributed.all_reduce(count)
        unit, self._count = self._unit(), 0.0
        # The first step sets the average; a mix with the initial 0 would be too small.
        share = torch.where(self.normaliser > 0, 1 - self.momentum, 1.0)
        self.normaliser.lerp_(count, share)
        return num_processes * unit / self._unit()

    def drop(self) -> None:
        """Forgets the parts of a step that was not finished."""
        self._count = 0.0

    def _unit(self) -> Tensor:
        return self.normaliser.clamp(min=1)
