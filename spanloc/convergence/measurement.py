"""The loss and the residual gradient over training data, at fixed weights."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.nn.utils import get_total_norm

from spanloc.convergence.result import ConvergenceResult, Histogram, LossAtConvergence, Spread
from spanloc.criterion import Criterion
from spanloc.losses import SpanLoss
from spanloc.ops import length, tiou
from spanloc.structures import Batch

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # those of Spread
#: Borders of the bins of the relative gradients; what lies outside counts in the first or last one.
EDGES = torch.logspace(-5, 1, 49)


class Norms(NamedTuple):
    """Of one span loss: its plain mean over the pairs, the total loss, and the norms of the gradients.

    The total and both gradients are of what training minimises, with every weight; the mean is not,
    since a pair that counts by its tIoU would show the less loss the worse it is.
    """

    loss: float
    total: float
    grad_span: float
    grad_total: float


class Measurement(NamedTuple):
    """All matched pairs ``pred (n, 2)`` and ``target (n, 2)``, and :class:`Norms` by loss."""

    pred: Float[Tensor, "n 2"]
    target: Float[Tensor, "n 2"]
    score: float
    norms: dict[str, Norms]
    num_sequences: int


def measure(
    model: nn.Module,
    criterion: Criterion,
    batches: Iterable[Batch],
    losses: Mapping[str, SpanLoss],
) -> Measurement:
    """One pass over a training set as it is: no dropout, 32-bit precision.

    The objective is the one that training minimises, over all sequences at once: the criterion's terms,
    weighted, over the number of matched pairs. If there are several processes, they share the sequences,
    and all get the same result. Nothing about the training changes.

    Args:
        model: Features and mask to an output; its parameters are those of the gradient.
        criterion: Of the training.
        batches: This process's share of the training set, on the model's device.
        losses: Span losses by name, all taken of the same pairs.
    """
    parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device
    # Of the sum of each span loss, and of the other terms of the total.
    others = [name for name in criterion.weights if name != "span"]
    by_loss = {name: [torch.zeros_like(p) for p in parameters] for name in losses}
    rest = [torch.zeros_like(p) for p in parameters]
    values = dict.fromkeys(others, 0.0)
    earlier = dict.fromkeys(losses, 0.0)  # the span terms of earlier layers
    pairs: list[tuple[Tensor, ...]] = []
    count, num_sequences = 0.0, 0
    with _as_it_is(model, criterion):
        for batch in batches:
            with torch.autocast(device.type, enabled=False):
                sums = criterion.sums(model(batch.features, batch.mask), batch)
            terms = {name: sums.terms[name] for name in others}
            _add_gradient(rest, criterion.total(terms), parameters)
            for name, value in terms.items():
                values[name] += float(value.detach())
            for name, loss in losses.items():
                _add_gradient(by_loss[name], sums.span(loss), parameters)
                for pred, target, weight, *_ in sums.pairs[1:]:
                    earlier[name] += float((weight * loss(pred.detach(), target)).sum())
            pred, target, weight, *_ = sums.pairs[0]
            pairs.append((pred.detach(), target, weight))
            count += float(sums.num_pairs)
            num_sequences += len(batch)
    none = torch.zeros(0, 2, device=device)
    pred, target, weight = (
        torch.cat(part) for part in zip((none, none, none[:, 0]), *pairs, strict=True)
    )
    if distributed.is_available() and distributed.is_initialized():
        every: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(
            every, (pred, target, weight, values, earlier, count, num_sequences)
        )
        *tensors, found, spans_of, counts, numbers = zip(*every, strict=True)
        pred, target, weight = (torch.cat([p.to(none) for p in part]) for part in tensors)
        values = {name: sum(part[name] for part in found) for name in others}
        earlier = {name: sum(part[name] for part in spans_of) for name in losses}
        count, num_sequences = sum(counts), sum(numbers)
        for gradient in (rest, *by_loss.values()):
            for part in gradient:
                distributed.all_reduce(part)
    count = max(count, 1)
    norms = {}
    for name, loss in losses.items():
        plain = loss(pred, target).double()
        terms = {k: plain.new_tensor(values[k]) for k in others}
        terms = {"span": (weight * plain).sum() + earlier[name], **terms}
        spans = [criterion.weights["span"] * part / count for part in by_loss[name]]
        both = [span + other / count for span, other in zip(spans, rest, strict=True)]
        norms[name] = Norms(
            loss=float(plain.sum()) / max(len(plain), 1),
            total=float(criterion.total(terms)) / count,
            grad_span=float(get_total_norm(spans)),
            grad_total=float(get_total_norm(both)),
        )
    return Measurement(pred, target, values["score"] / count, norms, num_sequences)


def summarise(
    found: Measurement, losses: Mapping[str, SpanLoss], **about: Any
) -> ConvergenceResult:
    """A measurement as numbers; with each loss, its relative gradient at the same pairs.

    Args:
        found: Of the losses.
        losses: By name.
        about: The fields of a :class:`ConvergenceResult` that are not of the measurement.
    """
    sizes = length(found.target)
    known = sizes > 0
    errors = (found.pred - found.target)[known].abs() / sizes[known, None]
    table = {}
    for name, loss in losses.items():
        relative = relative_gradient(loss, found.pred, found.target)
        bins = torch.bucketize(relative.cpu(), EDGES).clamp(1, len(EDGES) - 1) - 1
        counts = bins.bincount(minlength=len(EDGES) - 1)
        table[name] = LossAtConvergence(
            **found.norms[name]._asdict(),
            relative_gradient=_spread(relative),
            histogram=Histogram(EDGES.tolist(), counts.tolist()),
        )
    return ConvergenceResult(
        num_sequences=found.num_sequences,
        num_pairs=len(found.pred),
        score_loss=found.score,
        tiou=float(tiou(found.pred, found.target).mean()),
        endpoint_error=_spread(errors.flatten()),
        losses=table,
        **about,
    )


def relative_gradient(
    span_loss: SpanLoss,
    pred: Float[Tensor, "n 2"],
    target: Float[Tensor, "n 2"],
) -> Float[Tensor, " n"]:
    """Norm over start and end of the target's length times the gradient, one for each pair.

    It has no unit and does not depend on the length: near the match it is ``sqrt(2)`` for a sharp
    loss, however small the loss, and falls with the loss for a smooth one.

    Args:
        span_loss: Unreduced, of pairs.
        pred, target: In one unit.

    >>> from spanloc.losses import giou_loss
    >>> target = torch.tensor([[0.0, 10.0]])
    >>> relative_gradient(giou_loss, target + torch.tensor([[-1e-3, 1e-3]]), target)
    tensor([1.4136])
    """
    pred = pred.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(span_loss(pred, target).sum(), pred)
    return length(target) * gradient.norm(dim=-1)


@contextmanager
def _as_it_is(*models: nn.Module) -> Iterator[None]:
    modes = {module: module.training for model in models for module in model.modules()}
    for model in models:
        model.eval()
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _add_gradient(totals: list[Tensor], value: Tensor, parameters: list[Tensor]) -> None:
    if not value.requires_grad:
        return  # No pair in this batch, or a loss of none of the parameters.
    parts = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    for total, part in zip(totals, parts, strict=True):
        if part is not None:
            total += part


def _spread(values: Tensor) -> Spread:
    if not len(values):
        return Spread(*6 * [np.nan])
    numbers = values.double().cpu().numpy()
    quantiles = np.quantile(numbers, _QUANTILES).tolist()
    return Spread(float(numbers.mean()), *quantiles)
