"""Losses of losses: a function of one, or a sum of several."""

from collections.abc import Mapping

import torch

from spanloc.losses.boundary import l1_loss
from spanloc.losses.kinds import SpanLoss
from spanloc.losses.overlap import giou_loss
from spanloc.losses.pair import Spans, Values, above_zero
from spanloc.losses.properties import Properties
from spanloc.losses.scalar import huber


@Properties("the square of GIoU's loss", upper=4, slope=0, steepest=8**0.5)
def squared_loss(pred: Spans, target: Spans, *, loss: SpanLoss = giou_loss) -> Values:
    """The square of another span loss, in ``[0, 4)`` for GIoU.

    Its gradient vanishes at the match, but only there: where one end is right and the other is
    wrong, the kink of a sharp loss in the right end stays, scaled by the loss.

    Args:
        pred, target: Spans in one unit.
        loss: Unreduced, at least 0.

    >>> squared_loss(torch.tensor([[0.0, 9.0], [0.0, 5.0]]), torch.tensor([[0.0, 10.0]]).expand(2, 2))
    tensor([0.0100, 0.2500])
    """
    return loss(pred, target).square()


@Properties(
    "Huber 1964, doi:10.1214/aoms/1177703732, of GIoU's loss",
    upper=1.85, slope=0, steepest=2**0.5,
)  # fmt: skip
def huber_loss(
    pred: Spans, target: Spans, *, loss: SpanLoss = giou_loss, delta: float = 0.3
) -> Values:
    """Huber's function of another span loss: ``loss^2 / (2 delta)`` up to ``delta``, then a line.

    Smooth at the match only, as :func:`squared_loss` is; further out as steep as the loss.

    Args:
        pred, target, loss: As in :func:`squared_loss`.
        delta: Value of the loss, above 0, at which the parabola goes over into a line of slope 1.

    Raises:
        ValueError: ``delta`` is not above 0.

    >>> huber_loss(torch.tensor([[0.0, 9.0], [0.0, 5.0]]), torch.tensor([[0.0, 10.0]]).expand(2, 2))
    tensor([0.0167, 0.3500])
    """
    above_zero("delta", delta)
    return huber(loss(pred, target), delta)


@Properties(
    "GIoU and L1 of the boundaries, as Carion et al. 2020 (DETR), arXiv:2005.12872, do",
    upper=torch.inf, slope=2, steepest=8**0.5,
)  # fmt: skip
def weighted_sum(
    pred: Spans,
    target: Spans,
    *,
    losses: Mapping[str, SpanLoss | None] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Values:
    """A weighted sum of span losses.

    Args:
        pred, target: Spans in one unit.
        losses: By a name each; None: GIoU and L1, as ``giou`` and ``l1``. One that is None is left out.
        weights: By the same names, at least 0; a loss without one weighs 1.

    Raises:
        ValueError: ``losses`` is no mapping, no loss counts, or a weight is below 0 or names none of them.

    >>> both = {"giou": giou_loss, "l1": l1_loss}
    >>> pred, target = torch.tensor([[0.0, 9.0]]), torch.tensor([[0.0, 10.0]])
    >>> weighted_sum(pred, target, losses=both, weights={"l1": 5.0})
    tensor([0.6000])
    """
    losses = {"giou": giou_loss, "l1": l1_loss} if losses is None else losses
    if not isinstance(losses, Mapping):
        raise ValueError(f"losses is a {type(losses).__name__}; wanted losses by name")
    weights = weights or {}
    for name, weight in weights.items():
        if name not in losses:
            raise ValueError(f"weights names {name!r}; the losses are {', '.join(losses)}")
        if not weight >= 0:
            raise ValueError(f"the weight of {name} is {weight}; it must be at least 0")
    if not any(loss and weights.get(name, 1.0) for name, loss in losses.items()):
        raise ValueError("losses is empty, or all weigh 0; wanted at least one that counts")
    terms = [weights.get(name, 1.0) * loss(pred, target) for name, loss in losses.items() if loss]
    return torch.stack(terms).sum(0)
