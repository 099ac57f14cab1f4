"""Anchor points on several levels, and spans as offsets from them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def anchor_points(
    num_cells: Sequence[int], strides: Sequence[int], *, device: torch.device | None = None
) -> Float[Tensor, "points 2"]:
    """Position and stride, in steps, of the points of all levels, the first level first.

    Cell ``i`` of a level with stride ``s`` covers the steps ``[i s, (i + 1) s)``; its point sits in
    the middle.

    Args:
        num_cells: Number of cells per level.
        strides: Steps per cell, per level.
        device: Where the points are made.

    >>> anchor_points([2, 1], [4, 8])
    tensor([[2., 4.],
            [6., 4.],
            [4., 8.]])
    """
    levels = []
    for cells, stride in zip(num_cells, strides, strict=True):
        position = (torch.arange(cells, device=device, dtype=torch.float32) + 0.5) * stride
        levels.append(torch.stack([position, torch.full_like(position, stride)], dim=-1))
    return torch.cat(levels)


def encode_offsets(
    spans: Float[Tensor, "*#n 2"], points: Float[Tensor, "*#n 2"]
) -> Float[Tensor, "*#n 2"]:
    """Distances from a point back to the start and on to the end, in strides of the point.

    Both are non-negative where the point lies inside the span.

    Args:
        spans: In steps.
        points: Position and stride in steps, as :func:`anchor_points` gives them.

    >>> encode_offsets(torch.tensor([[2.0, 14.0]]), torch.tensor([[6.0, 4.0]]))
    tensor([[1., 2.]])
    """
    position, stride = points[..., :1], points[..., 1:]
    return (spans - position) * signs(spans) / stride


def decode_offsets(
    offsets: Float[Tensor, "*#n 2"], points: Float[Tensor, "*#n 2"]
) -> Float[Tensor, "*#n 2"]:
    """The spans, in steps, that lie ``offsets`` strides around ``points``: the inverse of :func:`encode_offsets`.

    Non-negative offsets give ordered spans.

    >>> decode_offsets(torch.tensor([[1.0, 2.0]]), torch.tensor([[6.0, 4.0]]))
    tensor([[ 2., 14.]])
    """
    position, stride = points[..., :1], points[..., 1:]
    return position + offsets * signs(offsets) * stride


def signs(like: Tensor) -> Float[Tensor, "2"]:
    """-1 for starts and 1 for ends; made on the device of ``like``, which nobody has to wait for."""
    return torch.arange(-1, 2, 2, device=like.device, dtype=like.dtype)
