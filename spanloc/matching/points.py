"""Which prediction answers for which target: an index per prediction, -1 for background.

Vectorised over the batch; every assigner takes an output and its batch.
"""

import torch
from jaxtyping import Int64
from torch import Tensor

from spanloc.data import Batch
from spanloc.models import Output
from spanloc.ops import length


def assign_single(output: Output, batch: Batch) -> Int64[Tensor, "batch predictions"]:
    """One prediction per sequence: it answers for the first target, if there is one."""
    first = torch.where(batch.target_mask[:, :1], 0, -1)
    return first.expand(-1, output.spans.shape[1])


def assign_points(
    output: Output, batch: Batch, *, radius: float = 1.5, reach: tuple[float, float] = (2.0, 4.0)
) -> Int64[Tensor, "batch predictions"]:
    """Points inside a target, near its middle, on the level that suits its length.

    Where several targets want a point, the shortest gets it.

    Args:
        output: Of a head with points.
        batch: The targets.
        radius: How far from the middle of a target a point may lie, in strides of the point.
        reach: Least (inclusive) and most (exclusive) of a point's larger offset, in strides of the
            point. The finest level has no least, the coarsest no most, and with a ratio of 2
            between the two, as between levels, every length has its level.

    Raises:
        ValueError: The head has no points.

    Source:
        Zhang et al. 2022, arXiv:2202.07925, section 3.3; Tian et al. 2019, arXiv:1904.01355.
    """
    if output.points is None:
        raise ValueError("assign_points needs a head with points; a single head has assign_single")
    position, stride = output.points[:, :1], output.points[:, 1:]
    spans = batch.spans[:, None]
    larger = torch.maximum(position - spans[..., 0], spans[..., 1] - position) / stride
    inside = torch.minimum(position - spans[..., 0], spans[..., 1] - position) > 0
    near = (position - spans.mean(-1)).abs() <= radius * stride
    fits = ((larger >= reach[0]) | (stride == stride.min())) & (
        (larger < reach[1]) | (stride == stride.max())
    )
    wanted = inside & near & fits & batch.target_mask[:, None] & output.mask[..., None]
    cost = torch.where(wanted, length(spans), torch.inf)
    best = cost.min(-1)
    return torch.where(best.values.isfinite(), best.indices, -1)
