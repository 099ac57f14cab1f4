"""Losses of the scores: a binary classification per label, so that spans of several labels may overlap."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Scores = Float[Tensor, "*n labels"]


def cross_entropy_loss(logits: Scores, targets: Scores) -> Scores:
    """Cross entropy of each label's sigmoid with its target, in ``[0, inf)`` nats.

    Args:
        logits: Scores before the sigmoid.
        targets: In ``[0, 1]``: 1 for the label of the target that a prediction answers for; a row
            of zeros is background.

    >>> cross_entropy_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([[0.6931, 0.6931]])
    """
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def focal_loss(
    logits: Scores, targets: Scores, *, alpha: float = 0.25, gamma: float = 2.0
) -> Scores:
    """Cross entropy times ``(1 - p_t)^gamma``, which weights easy examples less, in ``[0, inf)``.

    Args:
        logits, targets: As in :func:`cross_entropy_loss`.
        alpha: Weight of the targets that are 1; the others weigh ``1 - alpha``.
        gamma: How much less easy examples count: 0, or at least 1. In between the gradient is
            infinite where the score is right.

    Raises:
        ValueError: ``gamma`` is out of range.

    Source:
        Lin et al. 2017, arXiv:1708.02002, equation 5.

    >>> focal_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([[0.0433, 0.1300]])
    """
    if not (gamma == 0 or gamma >= 1):
        raise ValueError(f"gamma is {gamma}; it must be 0 or at least 1")
    probability = torch.sigmoid(logits)
    wrong = probability + targets - 2 * probability * targets
    weight = (1 - alpha) + (2 * alpha - 1) * targets
    return weight * wrong.pow(gamma) * cross_entropy_loss(logits, targets)


def quality_focal_loss(logits: Scores, targets: Scores, *, beta: float = 2.0) -> Scores:
    """Cross entropy with a soft target, times ``|p - target|^beta``, in ``[0, inf)``.

    With the tIoU of their own span as the target, scores learn the tIoU, and rank well-placed spans first.

    Args:
        logits: Scores before the sigmoid, ``p`` after it.
        targets: In ``[0, 1]``, such as the tIoU of a matched prediction with its target.
        beta: How much less nearly right answers count: 0, or at least 1.

    Raises:
        ValueError: ``beta`` is out of range.

    Source:
        Li et al. 2020, arXiv:2006.04388, equation 2.

    >>> quality_focal_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.5]]))
    tensor([[0.1733, 0.0000]])
    """
    if not (beta == 0 or beta >= 1):
        raise ValueError(f"beta is {beta}; it must be 0 or at least 1")
    off = (torch.sigmoid(logits) - targets).abs()
    return off.pow(beta) * cross_entropy_loss(logits, targets)


def varifocal_loss(
    logits: Scores, targets: Scores, *, alpha: float = 0.75, gamma: float = 2.0
) -> Scores:
    """Cross entropy with a soft target: weighted by the target where it is above 0, by ``alpha p^gamma`` elsewhere.

    Good predictions count for most, and easy background for little. It is at least 0, and 0 only for
    targets of 0 and 1.

    Args:
        logits, targets: As in :func:`quality_focal_loss`.
        alpha: Weight of the background, at least 0.
        gamma: How much less easy background counts: 0, or at least 1.

    Raises:
        ValueError: ``alpha`` or ``gamma`` is out of range.

    Source:
        Zhang et al. 2021, arXiv:2008.13367, equation 2.

    >>> varifocal_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([[0.6931, 0.1300]])
    """
    if not alpha >= 0:
        raise ValueError(f"alpha is {alpha}; it must be at least 0")
    if not (gamma == 0 or gamma >= 1):
        raise ValueError(f"gamma is {gamma}; it must be 0 or at least 1")
    # A weight, not a term: its gradient would reward low scores.
    background = alpha * torch.sigmoid(logits).detach().pow(gamma)
    weight = torch.where(targets > 0, targets, background)
    return weight * cross_entropy_loss(logits, targets)


#: The losses that are least where the score is the target, also between 0 and 1, and are meant for that.
SOFT_LOSSES = (quality_focal_loss, varifocal_loss)
