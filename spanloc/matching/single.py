"""A matcher for heads with one prediction per sequence."""

import torch
from jaxtyping import Int64
from torch import Tensor

from spanloc.structures import Batch, Output


def match_single(output: Output, batch: Batch) -> Int64[Tensor, "batch predictions"]:
    """Match the one prediction of each sequence to its first target, if there is one.

    Raises:
        ValueError: The head gives more predictions than one.
    """
    if (found := output.spans.shape[1]) != 1:
        raise ValueError(
            f"match_single is for a head with one prediction per sequence, and this one gives {found}; "
            "heads with points have match_points (matcher=center)"
        )
    return torch.where(batch.target_mask[:, :1], 0, -1)
