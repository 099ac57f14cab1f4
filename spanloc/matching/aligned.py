"""Matchers for dense heads by the predictions: each target is matched to its best points."""

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn import functional as F

from spanloc.models.layers import require_sizes
from spanloc.models.sizing import LEVEL_RANGE
from spanloc.ops import tiou
from spanloc.structures import Batch, Output

#: The place of each prediction's target in the batch's row of targets, -1 for background.
Index = Int64[Tensor, "batch predictions"]
# How far from a point a boundary may lie, in its strides: four times what the point stands for otherwise.
_REACH = 4 * LEVEL_RANGE[1]
# Overlaps below this count as that, so that a target without any overlap has its points too.
_LEAST = 1e-4


@torch.no_grad()
def match_aligned(
    output: Output, batch: Batch, *, top: int = 5, alpha: float = 1.0, beta: float = 6.0
) -> Index:
    """Match each target to the points inside it with the highest product of score and tIoU.

    Each target gets the ``top`` points with the highest ``score^alpha tiou^beta``, of any level. If
    several targets choose a point, the one with the highest tIoU gets it.

    Args:
        output: Of a head with points.
        batch: The targets. One whose label is not known (-1) takes the best score of a point.
        top: Points for each target, at least 1.
        alpha, beta: How much score and tIoU count.

    Raises:
        ValueError: The head has no points, or ``top`` is out of range.

    References:
        Feng et al. 2021, arXiv:2108.07755 (TOOD), section 3.2.
    """
    require_sizes(top=top)
    allowed, overlap = _allowed(output, batch)
    scores = _of_labels(output.logits, batch).sigmoid()
    quality = scores.pow(alpha) * overlap.clamp(min=_LEAST).pow(beta)
    quality = torch.where(allowed, quality, -1.0)
    best = quality.topk(min(top, quality.shape[1]), dim=1).indices
    chosen = torch.zeros_like(allowed).scatter_(1, best, True) & allowed
    return least(1 - overlap, chosen)


@torch.no_grad()
def match_simota(
    output: Output, batch: Batch, *, radius: float = 2.5, top: int = 10, tiou_weight: float = 3.0
) -> Index:
    """Match each target to the points inside it with the lowest cost; well predicted targets get more points.

    The cost of a point is its cross entropy for the target's label plus ``-tiou_weight ln(tiou)``; points
    farther than ``radius`` strides from the middle come after all others. A target gets as many points as the
    sum of its ``top`` highest tIoUs, at least one. If several choose a point, the one with the lowest cost gets it.

    Args:
        output, batch: As in :func:`match_aligned`.
        radius: In strides of the point.
        top: Points that are counted, at least 1.
        tiou_weight: Of the tIoU in the cost.

    Raises:
        ValueError: The head has no points, or ``top`` is out of range.

    References:
        Ge et al. 2021, arXiv:2107.08430 (YOLOX), section 2.1.
    """
    require_sizes(top=top)
    allowed, overlap = _allowed(output, batch)
    position, stride = _points(output)
    far = (position - batch.spans[:, None].mean(-1)).abs() > radius * stride
    cost = F.softplus(-_of_labels(output.logits, batch))
    cost = cost - tiou_weight * overlap.clamp(min=_LEAST).log() + 1e5 * far
    cost = torch.where(allowed, cost, torch.inf)
    top = min(top, cost.shape[1])
    counts = (overlap * allowed).topk(top, dim=1).values.sum(1).long().clamp(min=1)
    cheapest = cost.topk(top, dim=1, largest=False).indices
    wanted = torch.arange(top, device=cost.device)[:, None] < counts[:, None]
    chosen = torch.zeros_like(allowed).scatter_(1, cheapest, wanted) & allowed
    return least(cost, chosen)


def _points(output: Output) -> tuple[Tensor, Tensor]:
    if output.points is None:
        raise ValueError("match_aligned and match_simota need a head with points: head=points")
    return output.points[:, :1], output.points[:, 1:]


def _allowed(output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
    """True for points that may answer for a target, ``(B, P, N)``: those inside it; and their tIoU with it."""
    position, stride = _points(output)
    spans = batch.spans[:, None]
    before, after = position - spans[..., 0], spans[..., 1] - position
    # The coarsest points have no most, so that the longest targets have some.
    near = (torch.maximum(before, after) < _REACH * stride) | (stride == stride.max())
    inside = (before > 0) & (after > 0)
    allowed = inside & near & batch.target_mask[:, None] & output.mask[..., None]
    return allowed, tiou(output.spans.detach()[:, :, None], spans)


def _of_labels(logits: Tensor, batch: Batch) -> Tensor:
    """Logits ``(B, P, N)`` of the targets' labels."""
    labels = batch.labels[:, None].expand(-1, logits.shape[1], -1)
    own = logits.gather(2, labels.clamp(min=0))
    return torch.where(labels < 0, logits.amax(-1, keepdim=True), own)


def least(cost: Tensor, chosen: Tensor) -> Tensor:
    """By point, the chosen target at the least cost, or -1."""
    best = torch.where(chosen, cost, torch.inf).min(-1)
    return torch.where(best.values.isfinite(), best.indices, -1)
