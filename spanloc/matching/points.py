"""Matchers by place: of dense heads, also by length; of heads with one prediction per sequence, the first target."""

import torch

from spanloc.matching.aligned import Index, least
from spanloc.models.sizing import LEVEL_RANGE
from spanloc.ops import length
from spanloc.structures import Batch, Output


def match_points(output: Output, batch: Batch, *, radius: float = 1.5) -> Index:
    """Match each target to the points near its middle, on the level for its length.

    A level suits where the point's larger offset lies in :data:`~spanloc.models.sizing.LEVEL_RANGE`, in
    strides of the point; the finest level has no lower limit, the coarsest no upper one. If several targets
    suit a point, the shortest gets it.

    Args:
        output: Of a head with points.
        batch: The targets.
        radius: How far from the middle of a target a point may lie, in strides of the point.

    Raises:
        ValueError: The head has no points.

    References:
        Zhang et al. 2022, arXiv:2202.07925, section 3.3; Tian et al. 2019, arXiv:1904.01355.
    """
    if output.points is None:
        raise ValueError("match_points needs a head with points; a single head has match_single")
    position, stride = output.points[:, :1], output.points[:, 1:]
    spans = batch.spans[:, None]
    larger = torch.maximum(position - spans[..., 0], spans[..., 1] - position) / stride
    inside = torch.minimum(position - spans[..., 0], spans[..., 1] - position) > 0
    near = (position - spans.mean(-1)).abs() <= radius * stride
    fits = ((larger >= LEVEL_RANGE[0]) | (stride == stride.min())) & (
        (larger < LEVEL_RANGE[1]) | (stride == stride.max())
    )
    wanted = inside & near & fits & batch.target_mask[:, None] & output.mask[..., None]
    return least(length(spans), wanted)


def match_single(output: Output, batch: Batch) -> Index:
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
