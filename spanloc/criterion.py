"""The total loss of an output: the only place that weights, masks and reduces."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, distributed, nn

from spanloc.losses import ScoreLoss, SpanLoss, focal_loss
from spanloc.losses.kinds import unwrap
from spanloc.losses.score import SOFT_LOSSES
from spanloc.losses.terms import CellTerm, Pairs, Term
from spanloc.matching import Matcher
from spanloc.matching.labels import labels_of_targets, unjudged
from spanloc.ops import tiou
from spanloc.structures import Batch, Output

Quality = Literal["tiou", "score"]
ScoreTarget = Literal["one", "tiou"]
_OWN = ("span", "score")


class Sums(NamedTuple):
    """Sums of a batch, which add up over the batches and processes of a step.

    ``terms`` are the weighted sums of the losses by name, with gradients; ``pairs`` those of the output
    and of each of its earlier layers; ``num_pairs`` the number of pairs of the output, each as its sequence
    weighs; ``mean`` the plain mean of the span loss over the output's pairs, 0 without any.
    """

    terms: dict[str, Tensor]
    pairs: tuple[Pairs, ...]
    num_pairs: Tensor
    mean: Tensor

    def span(self, loss: SpanLoss) -> Tensor:
        """The term ``span`` with another loss."""
        sums = [(p.weight * loss(p.pred, p.target)).sum() for p in self.pairs]
        return torch.stack(sums).sum()


class Losses(NamedTuple):
    """Losses of a batch, and the pairs that the span loss saw, detached.

    ``total`` is what is minimised. ``terms`` are for reading: ``span`` the plain mean of the span loss
    over the matched pairs, 0 without any, the others their sums over the number of pairs.
    ``pred (n, 2)`` and ``target (n, 2)`` are in steps. ``num_pairs`` is the batch's own number of pairs,
    weighted as their sequences are.
    """

    total: Tensor
    terms: dict[str, Tensor]
    pred: Tensor
    target: Tensor
    num_pairs: Tensor


class Criterion(nn.Module):
    """Matches predictions to targets and computes the total loss over the number of matched pairs.

    The total is the weighted sum of named terms: ``span``, ``score``, and those of ``terms``. The
    number of pairs is that of the whole training step, over all processes and micro-batches. So the
    gradient does not depend on how a step is split into batches. The number is at least 1: a batch
    without targets has a finite loss. In evaluation it is that of the batch.

    A sequence counts by its weight (:class:`~spanloc.structures.Sample`) in all terms and in the
    number: with weight 2 as if it were there twice, with 0 as if it were not.

    Predictions at points in an ignored stretch have no loss. A target whose label is not known (-1) is
    matched like any other, but its predictions have no score loss, nor do unmatched points inside it.

    Args:
        matcher: Such as :func:`spanloc.matching.match_points`.
        span_loss: Takes predictions ``(n, 2)`` and targets ``(n, 2)``, start and end in steps, in this
            order, and gives ``(n,)``; such as :func:`~spanloc.losses.giou_loss`.
        score_loss: Takes logits and targets of one shape, and gives that shape.
        span_weight, score_weight: Of the two in the total.
        terms: Further terms by name; None leaves one out.
        score_target: Target of the score of a matched prediction for its label: ``"one"``; or ``"tiou"``, that
            of its own span with its target, without a gradient, so that scores rank predictions by their
            boundaries too. None: ``"tiou"`` with a loss that is meant for it, such as
            :func:`~spanloc.losses.quality_focal_loss`.
        quality: Weight of a pair in the terms of pairs, times that of its sequence: ``"tiou"``, its tIoU, so
            that targets which the model cannot find, wrong ones among them, count less (a pair without
            overlap is then not learnt from); ``"score"``, the score that it gives the target's label; or
            None, 1. It gets no gradient, and does not enter into the number of pairs.
        momentum: Of a moving average of the number over steps, kept as a buffer, so that a step with
            few targets does not get a large gradient; in ``[0, 1)``. 0 takes each step's own.

    Attributes:
        pending: Number of pairs in the batches so far of a step that is not complete.

    Raises:
        ValueError: A function is none, a weight, ``score_target``, ``quality`` or ``momentum`` is out of range,
            or, when called, a loss reduces, or no term trains the curves of a head.
    """

    normaliser: Tensor

    def __init__(
        self,
        matcher: Matcher,
        span_loss: SpanLoss,
        score_loss: ScoreLoss = focal_loss,
        *,
        span_weight: float = 1.0,
        score_weight: float = 1.0,
        terms: Mapping[str, Term | CellTerm | None] | None = None,
        score_target: ScoreTarget | None = None,
        quality: Quality | None = None,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        parts = {"matcher": matcher, "span_loss": span_loss, "score_loss": score_loss}
        for name, part in parts.items():
            if not callable(part):
                raise ValueError(f"{name} is {part!r:.60}; wanted a function, such as giou_loss")
        if hasattr(unwrap(matcher)[0], "properties"):
            raise ValueError("matcher is a span loss; wanted Criterion(matcher, span_loss)")
        if quality not in (None, "tiou", "score"):
            raise ValueError(f"quality is {quality!r}; it may be 'tiou', 'score' or None (null)")
        if score_target not in (None, "one", "tiou"):
            raise ValueError(f"score_target is {score_target!r}; it may be 'one', 'tiou' or null")
        score_function = unwrap(score_loss)[0]
        if score_target == "tiou" and score_function is focal_loss:
            raise ValueError(
                "score_target is 'tiou', which the focal loss is not for: it is least elsewhere; "
                "score_loss=quality_focal is"
            )
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must lie in [0, 1)")
        self.matcher, self.span_loss, self.score_loss = matcher, span_loss, score_loss
        self.terms = {name: term for name, term in (terms or {}).items() if term is not None}
        if taken := [name for name in self.terms if name in _OWN]:
            raise ValueError(f"terms has {taken[0]!r}, which the criterion has itself")
        self.weights = {"span": span_weight, "score": score_weight}
        self.weights |= {name: term.weight for name, term in self.terms.items()}
        for name, weight in self.weights.items():
            if not 0 <= weight < math.inf:
                where = f"{name}_weight" if name in _OWN else f"terms.{name}.weight"
                raise ValueError(f"{where} is {weight}; it must be a number, at least 0")
        self.quality, self.momentum = quality, momentum
        self.score_target = score_target or ("tiou" if score_function in SOFT_LOSSES else "one")
        self.register_buffer("normaliser", torch.zeros(()))
        self.pending: Tensor | float = 0.0

    def forward(self, output: Output, batch: Batch, *, num_parts: int = 1) -> Losses:
        """The losses of a batch.

        Args:
            output: Of the batch.
            batch: A training step on its own (or this process's share of one), or a part of one.
            num_parts: The batches that make up a training step. With more than one, call :meth:`finish`
                when the gradients of all their totals are summed up, and multiply these by what it gives.
        """
        sums = self.sums(output, batch)
        own = sums.num_pairs.clamp(min=1)
        total = self.total(sums.terms)
        if not self.training:
            total = total / own
        elif num_parts == 1:
            self.pending = sums.num_pairs
            total = total / self._unit() * self.finish()
        else:
            # The number of the step is not known yet. The gradient is in the unit of the last step, one
            # for all parts, which keeps 16-bit gradients in range; the value is over the batch's own.
            self.pending = self.pending + sums.num_pairs
            part = total / self._unit()
            total = part + (total / own - part).detach()
        terms = {name: value.detach() / own for name, value in sums.terms.items()}
        pairs = sums.pairs[0]
        terms["span"] = sums.mean
        return Losses(total, terms, pairs.pred.detach(), pairs.target, sums.num_pairs)

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of terms by name."""
        first, *others = (self.weights[name] * value for name, value in terms.items())
        return sum(others, first)

    def sums(self, output: Output, batch: Batch) -> Sums:
        """The weighted sums of all terms, and the pairs that they are taken of."""
        if batch.weights is not None and batch.weights.shape != (len(batch),):
            raise ValueError(
                f"the batch's weights have the shape {tuple(batch.weights.shape)}; wanted "
                f"({len(batch)},), one a sequence"
            )
        trained = any(isinstance(term, CellTerm) for term in self.terms.values())
        if self.training and "boundaries" in output.extra and not trained:
            raise ValueError(
                "no term trains the head's curves of boundaries; give the criterion "
                "terms={'boundaries': CellTerm(boundary_focal, 0.5)} (criterion.terms.boundaries), or take a "
                "head without curves (head=points)"
            )
        first = self._layer(output, batch)
        layers = [first]
        for earlier in output.earlier:
            # Scores that two layers share are trained once.
            layers.append(self._layer(earlier, batch, scores=earlier.logits is not output.logits))
            for name, value in layers[-1].terms.items():
                first.terms[name] = first.terms[name] + value
        return first._replace(pairs=tuple(layer.pairs[0] for layer in layers))

    def _layer(self, output: Output, batch: Batch, *, scores: bool = True) -> Sums:
        ignored, silent = unjudged(output, batch)
        index = self.matcher(replace(output, mask=output.mask & ~ignored), batch)
        matched = (index >= 0) & ~ignored
        # Here the CPU waits for a GPU, to know how many pairs there are, and nowhere else in a step.
        pair = sequence, prediction = matched.nonzero().unbind(1)
        pred, target = output.spans[pair], batch.spans[sequence, index[pair]]
        labels = batch.labels.gather(1, index.clamp(min=0))
        unknown = matched & (labels < 0)
        overlap = tiou(pred.detach(), target)
        weights = batch.weights
        if weights is None:
            weights = output.logits.new_ones(len(batch))
        weight = weights[sequence]
        num_pairs = weight.sum()
        if self.quality == "tiou":
            weight = weight * overlap
        elif self.quality == "score":
            given = output.logits.detach().sigmoid()[pair]
            # Of a label that is not known, the best of all.
            own = given.gather(1, labels[pair].clamp(min=0)[:, None])[:, 0]
            own = torch.where(unknown[pair], given.amax(-1), own)
            weight = weight * own
        pairs = Pairs(pred, target, weight, sequence, prediction)
        values = {"span": self.span_loss(pred, target)}
        values |= {
            name: term.loss(output, pairs)
            for name, term in self.terms.items()
            if not isinstance(term, CellTerm)
        }
        for name, value in values.items():
            if not isinstance(value, Tensor):
                raise ValueError(
                    f"the {name} loss gave a {type(value).__name__}; wanted a tensor ({len(weight)},), one value a pair"
                )
            if value.shape != weight.shape:
                raise ValueError(
                    f"the {name} loss gave the shape {tuple(value.shape)} for {len(weight)} pairs; "
                    f"wanted ({len(weight)},), one value a pair, not reduced"
                )
            if len(weight) and pred.requires_grad and not value.requires_grad:
                raise ValueError(f"the {name} loss gave values without a gradient")
        span = values.pop("span")
        terms = {"span": (weight * span).sum()}
        if scores:
            scored = output.mask & torch.where(matched, ~unknown, ~silent)
            # Each query answers for one target, though another has the same span.
            named = labels_of_targets(
                batch, output.logits.shape[-1], shared=output.points is not None
            )
            place = index.clamp(min=0)[..., None].expand_as(output.logits)
            wanted = named.to(output.logits).gather(1, place) * (matched & ~unknown)[..., None]
            if self.score_target == "tiou":
                wanted[pair] *= overlap[:, None].to(wanted)
            losses = self.score_loss(output.logits, wanted) * scored[..., None]
            terms["score"] = (losses * weights[:, None, None]).sum()
        terms |= {name: (weight * value).sum() for name, value in values.items()}
        for name, term in self.terms.items():
            if isinstance(term, CellTerm):
                losses = term.loss(output, batch)
                losses = losses * (output.mask & ~ignored)[:, : losses.shape[1]]
                terms[name] = (losses * weights[:, None]).sum()
        mean = span.detach().sum() / max(len(weight), 1)
        return Sums(terms, (pairs,), num_pairs, mean)

    def finish(self) -> Tensor:
        """End a training step, and give the factor that the gradients of its parts are to be multiplied by.

        With several processes all of them call it, and their gradients are averaged, as
        ``DistributedDataParallel`` does.
        """
        count, num_processes = torch.as_tensor(self.pending).to(self.normaliser), 1
        if distributed.is_available() and distributed.is_initialized():
            count, num_processes = count.clone(), distributed.get_world_size()
            distributed.all_reduce(count)
        unit, self.pending = self._unit(), 0.0
        # The first step sets the average; a mix with the initial 0 would be too small.
        share = torch.where(self.normaliser > 0, 1 - self.momentum, 1.0)
        self.normaliser.lerp_(count, share)
        return num_processes * unit / self._unit()

    def _unit(self) -> Tensor:
        return self.normaliser.clamp(min=1)
