"""When a loss has stopped falling."""

import torch
from jaxtyping import Float
from torch import Tensor


def has_plateaued(
    loss: Float[Tensor, " n"], *, window: int, patience: int, tolerance: float
) -> bool:
    """Whether the last ``patience`` windows of a loss brought less than ``tolerance``.

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
