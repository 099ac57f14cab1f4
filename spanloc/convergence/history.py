"""The history of losses and gradient norms of a training, and the plateau of a loss."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class GradientHistory:
    """One row for each optimizer step that was measured; all columns float32, on the CPU.

    Args:
        step: Of the optimizer, from 1.
        span: Span loss, the mean over the matched pairs; NaN without any.
        score: Score loss over the number of pairs.
        grad_params: Norm of the gradient of all parameters, before clipping.
        grad_spans: Mean relative gradient of the matched pairs; NaN without any.
    """

    step: Float[Tensor, " rows"]
    span: Float[Tensor, " rows"]
    score: Float[Tensor, " rows"]
    grad_params: Float[Tensor, " rows"]
    grad_spans: Float[Tensor, " rows"]

    def __len__(self) -> int:
        return len(self.step)

    def __getitem__(self, rows: Tensor | slice) -> "GradientHistory":
        """Some of the rows."""
        return GradientHistory(*(column[rows] for column in vars(self).values()))

    @classmethod
    def empty(cls) -> "GradientHistory":
        """A history without rows."""
        return cls(*torch.zeros(5, 0))

    def joined(self, rows: Float[Tensor, "rows 5"]) -> "GradientHistory":
        """With further rows, their columns in the order of the arguments."""
        parts = zip(vars(self).values(), rows.float().cpu().unbind(1), strict=True)
        return GradientHistory(*map(torch.cat, parts))

    def state(self) -> dict[str, Tensor]:
        """As plain tensors by name, for a checkpoint: undone by ``GradientHistory(**state)``."""
        return {**vars(self)}


def has_plateaued(
    loss: Float[Tensor, " n"], *, window: int, patience: int, tolerance: float
) -> bool:
    """True once the last ``patience`` windows of a loss brought less than ``tolerance``.

    The loss is averaged over windows, which smooths it. It has come to rest when the best of the
    last windows gained no more on the best before them than ``tolerance`` times its size.

    Args:
        loss: At every step so far; the last, incomplete window is left out, and so are NaNs
            and windows that hold nothing else.
        window: Steps in a window, at least 1.
        patience: Windows, at least 1.
        tolerance: Relative gain that still counts as falling, in ``[0, 1)``.

    >>> has_plateaued(torch.tensor([8.0, 4.0, 4.0, 4.0]), window=1, patience=2, tolerance=0.1)
    True
    """
    means = loss[: len(loss) // window * window].view(-1, window).nanmean(1)
    means = means[~torch.isnan(means)]
    if len(means) <= patience:
        return False
    before = means[:-patience].min()
    return bool(before - means[-patience:].min() <= tolerance * before.abs())
