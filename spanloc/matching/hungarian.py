"""A matcher that gives each target one prediction, at the lowest total cost."""

import torch
from torch import Tensor

from spanloc.losses import focal_loss, giou_loss
from spanloc.matching.aligned import Index
from spanloc.structures import Batch, Output

# What a pair costs at most, also one that is not finite.
_MOST = 1e6


def match_hungarian(
    output: Output,
    batch: Batch,
    *,
    score_weight: float = 2.0,
    l1_weight: float = 5.0,
    giou_weight: float = 2.0,
) -> Index:
    """Match predictions and targets one to one, with the lowest total cost.

    The cost of a pair is a weighted sum of three numbers: the focal loss of the score for the target's label,
    minus that of the same score for background (0 where the label is not known); the distance of both
    boundaries together, as a share of the sequence; and the GIoU loss. Where there are more targets than
    predictions, those that cost most stay without one.

    Args:
        output: Of any head; meant for one with queries.
        batch: The targets.
        score_weight, l1_weight, giou_weight: In the cost, at least 0.

    Raises:
        ValueError: A weight is out of range.

    References:
        Carion et al. 2020, arXiv:2005.12872, section 3.1; Zhu et al. 2020, arXiv:2010.04159, appendix A.3,
        for the cost of scores.
    """
    weights = {"score": score_weight, "l1": l1_weight, "giou": giou_weight}
    for name, weight in weights.items():
        if not weight >= 0:
            raise ValueError(f"{name}_weight is {weight}; it must be at least 0")
    from scipy.optimize import linear_sum_assignment  # lazy: prediction does without

    index = torch.full(output.mask.shape, -1, dtype=torch.int64)
    costs = pair_costs(output, batch, score_weight, l1_weight, giou_weight).cpu()
    masks = zip(output.mask.cpu(), batch.target_mask.cpu(), strict=True)
    for row, cost, (valid, there) in zip(index, costs, masks, strict=True):
        predictions, targets = valid.nonzero()[:, 0], there.nonzero()[:, 0]
        pairs = linear_sum_assignment(cost[predictions][:, targets].numpy())
        rows, columns = (torch.from_numpy(places) for places in pairs)
        row[predictions[rows]] = targets[columns]
    return index.to(output.mask.device)


@torch.no_grad()
def pair_costs(
    output: Output, batch: Batch, score_weight: float, l1_weight: float, giou_weight: float
) -> Tensor:
    """Cost of each prediction for each target, ``(B, P, N)``, float64 and finite."""
    shape = (*output.mask.shape, batch.target_mask.shape[1])
    logits = output.logits.double()
    ones, zeros = torch.ones_like(logits), torch.zeros_like(logits)
    scores = focal_loss(logits, ones) - focal_loss(logits, zeros)
    labels = batch.labels[:, None].expand(shape)
    score = scores.gather(2, labels.clamp(min=0)) * (labels >= 0)
    pred = output.spans.double()[:, :, None].expand(*shape, 2)
    target = batch.spans.double()[:, None].expand(*shape, 2)
    distance = (pred - target).abs().sum(-1) / batch.mask.sum(1)[:, None, None]
    cost = score_weight * score + l1_weight * distance + giou_weight * giou_loss(pred, target)
    return cost.nan_to_num(nan=_MOST).clamp(min=-_MOST, max=_MOST)
