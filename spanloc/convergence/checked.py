"""The check that a function is a span loss that can be probed."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spanloc.losses import SpanLoss


@dataclass(frozen=True)
class Checked:
    """A span loss that passed :func:`checked`; it gets copies, so that it may write into them.

    ``precision`` is the dtype that it computes in, and ``reason`` why that is not float64, or empty.
    """

    span_loss: SpanLoss
    precision: torch.dtype
    reason: str

    def __call__(self, pred: Tensor, target: Tensor) -> Any:  # a tensor, once it is checked
        """The losses ``(n,)`` of predictions and targets ``(n, 2)``."""
        # A cast alone would hand out the tensor itself where there is nothing to cast.
        return self.span_loss(
            pred.to(self.precision, copy=True), target.to(self.precision, copy=True)
        )


def checked(span_loss: SpanLoss) -> Checked:
    """Check that a loss gives one differentiable value for each pair, and return it.

    One that refuses float64 is given float32, and its derivatives come with larger errors.

    Raises:
        ValueError: It fails, reduces, gives no gradient, is not finite for spans that overlap, or
            gives other values when called again.
    """
    # The last one is disjoint: a loss may be infinite there.
    pred = torch.tensor([[0.0, 4.0], [3.0, 7.0], [9.0, 12.0]], dtype=torch.float64)
    target = torch.tensor([[0.0, 5.0]], dtype=torch.float64).repeat(3, 1)
    pred.requires_grad_()
    candidate = Checked(span_loss, torch.float64, "")
    try:
        values, again = candidate(pred, target), candidate(pred, target)
    except Exception as error:  # whatever a user's own function may raise
        reason = f"{type(error).__name__}: {error}"
        candidate = Checked(span_loss, torch.float32, " ".join(reason.split()))
        try:
            values, again = candidate(pred, target), candidate(pred, target)
        except Exception:
            raise ValueError(f"the span loss failed: {reason}") from error
    if not isinstance(values, Tensor):
        raise ValueError(f"the span loss gave a {type(values).__name__}; wanted a tensor (n,)")
    if values.shape != (3,):
        raise ValueError(
            f"the span loss gave the shape {tuple(values.shape)} for 3 pairs; wanted (3,): one value "
            "for each pair, neither summed nor averaged"
        )
    if not torch.equal(values.nan_to_num(), again.nan_to_num()):
        raise ValueError("two calls of the span loss with the same pairs give different values")
    if not values.requires_grad:
        raise ValueError("the span loss gave values without a gradient")
    (gradient,) = torch.autograd.grad(values[:2].sum(), pred)
    for what, found in (("value", values[:2]), ("gradient", gradient[:2])):
        if not found.isfinite().all():
            i = int((~found.isfinite()).view(2, -1).any(1).nonzero()[0])
            raise ValueError(
                f"the span loss gave the {what} {found[i].tolist()} for prediction "
                f"{pred[i].tolist()} and target {target[i].tolist()}; wanted finite ones"
            )
    if values.dtype != torch.float64 and not candidate.reason:
        reason = f"given float64, it gave {values.dtype}".replace("torch.", "")
        return Checked(span_loss, torch.float32, reason)
    return candidate
