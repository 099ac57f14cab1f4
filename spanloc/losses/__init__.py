"""Losses of paired spans and of scores. None of them reduces, weights or masks.

Span losses take ``pred (n, 2)`` and ``target (n, 2)``, in one unit, to ``(n,)`` in float32 at least.
Their values and gradients are finite for any spans of a size up to 1e6, empty, reversed and huge
ones too. Where an end is right and the loss has a kink for it, the gradient is the middle of both sides:
0 at the match. Where a loss becomes flat, as where spans just touch, the gradient is that of the
overlapping side, which pulls them together. An empty prediction has the gradient of a very short one.

The span losses that are only for comparison with the literature lie in ``comparison``; they are
imported from here too.
"""

from spanloc.losses.boundary import center_length_loss, l1_loss, smooth_l1_loss, wasserstein_loss
from spanloc.losses.comparison.boundary import balanced_l1_loss, bounded_iou_loss, kl_loss
from spanloc.losses.comparison.overlap import (
    alpha_iou_loss,
    eiou_loss,
    inner_iou_loss,
    interp_iou_loss,
    log_iou_loss,
    mpdiou_loss,
    wise_iou_loss,
)
from spanloc.losses.kinds import ScoreLoss, SpanLoss
from spanloc.losses.outer import huber_loss, squared_loss, weighted_sum
from spanloc.losses.overlap import diou_loss, giou_loss, iou_loss
from spanloc.losses.score import (
    cross_entropy_loss,
    focal_loss,
    quality_focal_loss,
    varifocal_loss,
)
from spanloc.losses.smooth import smooth_diou_loss, smooth_giou_loss, smooth_iou_loss

__all__ = [
    "ScoreLoss",
    "SpanLoss",
    "alpha_iou_loss",
    "balanced_l1_loss",
    "bounded_iou_loss",
    "center_length_loss",
    "cross_entropy_loss",
    "diou_loss",
    "eiou_loss",
    "focal_loss",
    "giou_loss",
    "huber_loss",
    "inner_iou_loss",
    "interp_iou_loss",
    "iou_loss",
    "kl_loss",
    "l1_loss",
    "log_iou_loss",
    "mpdiou_loss",
    "quality_focal_loss",
    "smooth_diou_loss",
    "smooth_giou_loss",
    "smooth_iou_loss",
    "smooth_l1_loss",
    "squared_loss",
    "varifocal_loss",
    "wasserstein_loss",
    "weighted_sum",
    "wise_iou_loss",
]
