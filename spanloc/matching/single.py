"""A matcher for heads with one prediction per sequence."""

import torch
from jaxtyping import Int64
from torch import Tensor

from spanloc.structures import Batch, Output


def match_single(output: Output, batch: Batch) -> Int64[Tensor, "batch predictions"]:
    """One prediction per sequence: it answers for the first target, if there is one."""
    first = torch.where(batch.target_mask[:, :1], 0, -1)
    return first.expand(-1, output.spans.shape[1])
