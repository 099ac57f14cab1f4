"""Losses of paired spans and of scores. None of them reduces, weights or masks."""

from spanloc.losses.boundary import smooth_l1_loss
from spanloc.losses.outer import huber_loss
from spanloc.losses.overlap import diou_loss, giou_loss, iou_loss
from spanloc.losses.score import cross_entropy_loss, focal_loss
from spanloc.losses.smooth import smooth_giou_loss

__all__ = [
    "cross_entropy_loss",
    "diou_loss",
    "focal_loss",
    "giou_loss",
    "huber_loss",
    "iou_loss",
    "smooth_giou_loss",
    "smooth_l1_loss",
]
