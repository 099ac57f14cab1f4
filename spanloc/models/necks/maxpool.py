"""A pyramid without parameters."""

import torch
from torch import nn
from torch.nn import functional as F

from spanloc.models.layers import Mask, Steps, coarser, require_sizes
from spanloc.models.protocols import Level


class MaxPoolNeck(nn.Module):
    """Halves the grid from level to level by the maximum of neighbouring cells, without parameters.

    Args:
        num_levels, width: As in :class:`~spanloc.models.PyramidNeck`.
        kernel: Cells of the level before that the maximum is taken over, even: as many to both sides of the
            middle of the cell that comes out.

    Raises:
        ValueError: A size is out of range.

    References:
        Tang et al. 2023, arXiv:2303.09055 (TemporalMaxer).
    """

    def __init__(self, num_levels: int, *, width: int = 96, kernel: int = 4) -> None:
        super().__init__()
        require_sizes(num_levels=num_levels, width=width)
        if kernel < 2 or kernel % 2:
            raise ValueError(f"kernel is {kernel}; it must be even and at least 2")
        self.num_levels, self.width, self.kernel = num_levels, width, kernel

    def strides(self, stride: int) -> list[int]:
        """Steps per cell of every level, over a backbone of that stride."""
        return [stride * 2**level for level in range(self.num_levels)]

    def forward(self, x: Steps, mask: Mask) -> list[Level]:
        """Cells and mask of each level, the finest first."""
        levels: list[Level] = [(x, mask)]
        for _ in range(self.num_levels - 1):
            odd = x.shape[2] % 2
            # The zeros of the padding would win over negative cells.
            x = F.pad(x.masked_fill(~mask[:, None], -torch.inf), (0, odd), value=-torch.inf)
            mask = coarser(mask, 2)
            # In two dimensions, as that of one cannot be exported for every length.
            x = F.max_pool2d(x[:, :, None], (1, self.kernel), (1, 2), (0, self.kernel // 2 - 1))
            x = x[:, :, 0].masked_fill(~mask[:, None], 0)
            levels.append((x, mask))
        return levels
