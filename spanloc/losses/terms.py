"""Further terms of the total loss, for the outputs of a head beside spans and scores."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from spanloc.ops import encode_offsets
from spanloc.structures import Batch, Output


class Pairs(NamedTuple):
    """The matched pairs of an output and its batch.

    Spans ``pred (n, 2)`` (with gradients) and ``target (n, 2)`` in steps; the ``weight (n,)`` of each
    pair in the terms of pairs; and the places of the predictions in the output: those of their
    ``sequence (n,)`` and their ``prediction (n,)``.
    """

    pred: Tensor
    target: Tensor
    weight: Tensor
    sequence: Tensor
    prediction: Tensor


@dataclass(frozen=True)
class Term:
    """A further term of the total loss, over the matched pairs.

    Args:
        loss: Takes the output and its :class:`Pairs`, and gives ``(n,)``, a value per pair. Such as
            :func:`distribution_focal`.
        weight: In the total, at least 0.
    """

    loss: Callable[[Output, Pairs], Tensor]
    weight: float = 1.0


@dataclass(frozen=True)
class CellTerm:
    """A further term of the total loss, over the cells of the finest level that are not ignored.

    Args:
        loss: Takes the output and the batch, and gives ``(B, cells)``, a value per cell. Such as
            :func:`boundary_focal`.
        weight: In the total, at least 0.
    """

    loss: Callable[[Output, Batch], Tensor]
    weight: float = 1.0


def boundary_focal(output: Output, batch: Batch, *, sigma: float = 1.0) -> Tensor:
    """Quality focal loss of the curves of starts and ends, ``(B, cells)``, at least 0: the sum of both.

    The target of a cell is ``exp(-d^2 / (2 sigma^2))``, with ``d`` the distance in cells of its middle from
    the nearest start (or end) of a target of any label.

    Args:
        output: Of a :class:`~spanloc.models.BoundaryHead`.
        batch: Its targets, also those whose label is not known.
        sigma: Width of a peak, in cells of the finest level; above 0.

    Raises:
        ValueError: The head gives no curves, or ``sigma`` is out of range.

    References:
        Lin et al. 2018, arXiv:1806.02964, for the curves; Li et al. 2020, arXiv:2006.04388, for the loss.
    """
    if "boundaries" not in output.extra or output.points is None:
        raise ValueError("boundary_focal needs a head with curves of boundaries: head=boundary")
    if not sigma > 0:
        raise ValueError(f"boundary_focal: sigma is {sigma}; it must be above 0")
    curves = output.extra["boundaries"]
    places, stride = output.points[: curves.shape[1]].unbind(-1)
    ends = batch.spans.masked_fill(~batch.target_mask[..., None], torch.inf).transpose(1, 2)
    away = _to_nearest(places.expand(*ends.shape[:2], -1), ends) / stride
    wanted = torch.exp(-0.5 * (away / sigma) ** 2).transpose(1, 2)
    losses = F.binary_cross_entropy_with_logits(curves, wanted, reduction="none")
    return ((curves.sigmoid() - wanted) ** 2 * losses).sum(-1)


def _to_nearest(places: Tensor, ends: Tensor) -> Tensor:
    """Distances ``(B, 2, T)`` of places to the nearest of ``ends (B, 2, N)``; not all pairs, which are many."""
    ends = F.pad(ends.sort(-1).values, (1, 1), value=torch.inf)
    after = torch.searchsorted(ends[..., 1:].contiguous(), places.contiguous()) + 1
    before = ends.gather(-1, after - 1)
    return torch.minimum((places - before).abs(), (ends.gather(-1, after) - places).abs())


def distribution_focal(output: Output, pairs: Pairs) -> Tensor:
    """Distribution focal loss of the boundaries of matched predictions, ``(n,)``, at least 0.

    The cross entropy of each side's distribution with its true offset, shared between the two bins
    around it by their closeness; the mean of the two sides. An offset beyond the last bin counts as
    that bin.

    Args:
        output: Of a :class:`~spanloc.models.DistributionHead`.
        pairs: The matched pairs.

    Raises:
        ValueError: The head gives no distributions.

    References:
        Li et al. 2020, arXiv:2006.04388, equation 6.
    """
    if "bins" not in output.extra or output.points is None:
        raise ValueError("distribution_focal needs a head with distributions: head=distribution")
    place = (pairs.sequence, pairs.prediction)
    bins, offsets = output.extra["bins"][place], output.extra["offsets"][place]
    wanted = encode_offsets(pairs.target, output.points[pairs.prediction])
    step = offsets[..., 1] - offsets[..., 0]
    at = (wanted / step).clamp(min=0, max=bins.shape[-1] - 1)
    low = at.floor().clamp(max=bins.shape[-1] - 2).long()
    logs = bins.log_softmax(-1)
    lower = logs.gather(-1, low[..., None])[..., 0]
    upper = logs.gather(-1, low[..., None] + 1)[..., 0]
    share = at - low
    return -((1 - share) * lower + share * upper).mean(-1)
