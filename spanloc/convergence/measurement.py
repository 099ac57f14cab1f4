"""What is left of loss and gradient over a whole training set, at fixed weights."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from pytorch_lightning import Trainer
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.utils.data import DataLoader, IterableDataset

from spanloc.convergence import SpanLoss, relative_gradient
from spanloc.ops import length, tiou

_QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
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


def measure(trainer: Trainer, task: Any, losses: Mapping[str, SpanLoss]) -> Measurement:
    """One pass over the training set as it is: no dropout, no crops, 32-bit precision.

    The objective is the one that training minimises, over all sequences at once: weighted sums of
    the span losses and of the score losses over the number of matched pairs, each counting as the
    criterion has it. Several processes
    share the sequences, and all get the same result. Nothing about the training changes.

    Args:
        trainer: While it fits.
        task: Such as :class:`~spanloc.SpanLocalizer`; it has a ``criterion``.
        losses: Span losses by name, all taken of the same pairs.
    """
    parameters = [p for p in task.parameters() if p.requires_grad]
    by_loss = {name: [torch.zeros_like(p) for p in parameters] for name in losses}
    by_score = [torch.zeros_like(p) for p in parameters]
    pairs: list[tuple[Tensor, ...]] = []
    score, count, num_sequences = 0.0, 0.0, 0
    with _as_it_is(task):
        for batch in whole_train_dataloader(trainer):
            batch = trainer.strategy.batch_to_device(batch)
            with torch.autocast(task.device.type, enabled=False):
                matched = task.criterion.match(task(batch), batch)
            _add_gradient(by_score, matched.score, parameters)
            for name, loss in losses.items():
                values = matched.weight * loss(matched.pred, matched.target)
                _add_gradient(by_loss[name], values.sum(), parameters)
            pairs.append((matched.pred.detach(), matched.target, matched.weight))
            score += float(matched.score.detach())
            count += float(matched.count)
            num_sequences += len(batch)
    none = torch.zeros(0, 2, device=task.device)
    pred, target, weight = (
        torch.cat(part) for part in zip((none, none, none[:, 0]), *pairs, strict=True)
    )
    if trainer.world_size > 1:
        every = [None] * trainer.world_size
        torch.distributed.all_gather_object(
            every, (pred, target, weight, score, count, num_sequences)
        )
        *tensors, scores, counts, numbers = zip(*every, strict=True)
        pred, target, weight = (torch.cat([p.to(none) for p in part]) for part in tensors)
        score, count, num_sequences = sum(scores), sum(counts), sum(numbers)
        for gradient in [by_score, *by_loss.values()]:
            for part in gradient:
                torch.distributed.all_reduce(part)
    count = max(count, 1)
    span_weight, score_weight = task.criterion.span_weight, task.criterion.score_weight
    norms = {}
    for name, loss in losses.items():
        values = loss(pred, target).double()
        weighted = float((weight * values).sum()) / count
        spans = [span_weight * part / count for part in by_loss[name]]
        both = [
            part + score_weight * other / count for part, other in zip(spans, by_score, strict=True)
        ]
        norms[name] = Norms(
            loss=float(values.sum()) / max(len(values), 1),
            total=span_weight * weighted + score_weight * score / count,
            grad_span=float(get_total_norm(spans)),
            grad_total=float(get_total_norm(both)),
        )
    return Measurement(pred, target, score / count, norms, num_sequences)


def summarise(found: Measurement, losses: Mapping[str, SpanLoss]) -> dict[str, Any]:
    """A measurement as plain numbers; with each loss, its relative gradient at the same pairs."""
    sizes = length(found.target)
    known = sizes > 0
    errors = (found.pred - found.target)[known].abs() / sizes[known, None]
    table = {}
    for name, loss in losses.items():
        relative = relative_gradient(loss, found.pred, found.target)
        bins = torch.bucketize(relative.cpu(), EDGES).clamp(1, len(EDGES) - 1) - 1
        counts = bins.bincount(minlength=len(EDGES) - 1)
        histogram = {"edges": EDGES.tolist(), "counts": counts.tolist()}
        spread = {**_distribution(relative), "histogram": histogram}
        table[name] = {**found.norms[name]._asdict(), "relative_gradient": spread}
    return {
        "num_sequences": found.num_sequences,
        "num_pairs": len(found.pred),
        "score_loss": found.score,
        "tiou": float(tiou(found.pred, found.target).mean()),
        "endpoint_error": _distribution(errors.flatten()),
        "losses": table,
    }


def whole_train_dataloader(trainer: Trainer) -> Any:
    """Every training sequence once, in order: this process's share.

    A DataModule says what that is with ``whole_train_dataloader(*, num_replicas, rank)``, as those
    of spanloc do. Without, it is all of the data set that the training loader draws from, whatever
    its sampler picks; what such a data set augments by itself is augmented here too.

    Raises:
        ValueError: The data are a stream, or no loader of a data set at all.
    """
    share = {"num_replicas": trainer.world_size, "rank": trainer.global_rank}
    own = getattr(trainer.datamodule, "whole_train_dataloader", None)
    if own is not None:
        return own(**share)
    loader = trainer.train_dataloader
    stream = not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset)
    if stream or not hasattr(loader.dataset, "__len__"):
        what = loader.dataset if isinstance(loader, DataLoader) else loader
        raise ValueError(
            f"the training data are {type(what).__name__}, of which nobody knows the whole; give "
            "the DataModule a method whole_train_dataloader(*, num_replicas, rank)"
        )
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size or 1,
        sampler=range(share["rank"], len(loader.dataset), share["num_replicas"]),
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        generator=torch.Generator(),
    )


@contextmanager
def _as_it_is(task: Any) -> Iterator[None]:
    modes = {module: module.training for module in task.modules()}
    task.eval()
    try:
        # A data set or a worker may draw random numbers: those of training are not used up.
        with isolate_rng(), torch.inference_mode(False), torch.enable_grad():
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


def _distribution(values: Tensor) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(["mean", *_QUANTILES], math.nan)
    numbers = values.double().cpu().numpy()
    quantiles = np.quantile(numbers, list(_QUANTILES.values())).tolist()
    return {"mean": float(numbers.mean()), **dict(zip(_QUANTILES, quantiles, strict=True))}
