"""A pyramid of levels."""

from typing import cast

from torch import nn

from spanloc.models.layers import ConvBlock, ConvNorm, Mask, Steps, coarser, halved, require_sizes
from spanloc.models.protocols import Level


class PyramidNeck(nn.Module):
    """Halves the grid from level to level, with residual blocks on each.

    A level is a convolution of the one before it, added to the mean of each two cells.

    Args:
        num_levels: Levels; the first has the cells of the backbone, each further one half as many.
        width: Channels, as the backbone's.
        num_blocks: Blocks per level.
        kernel: Of the blocks, in cells of their level; odd.
        excite: Cells over which :class:`~spanloc.models.layers.Excite` averages in each block; 0: without.
        keep_mean: Add the mean. Without it, features that only a few spans on the coarse levels need can be
            lost on the way, before they are learned; with it, a head that adds up all levels has the finer
            cells twice, and fits the last errors of its spans more slowly.

    Raises:
        ValueError: A size is out of range.
    """

    def __init__(
        self,
        num_levels: int,
        *,
        width: int = 96,
        num_blocks: int = 2,
        kernel: int = 7,
        excite: int = 0,
        keep_mean: bool = True,
    ) -> None:
        super().__init__()
        require_sizes(num_levels=num_levels, width=width)
        self.num_levels, self.width, self.keep_mean = num_levels, width, keep_mean
        self.down = nn.ModuleList(ConvNorm(width, width, 2) for _ in range(num_levels - 1))
        self.levels = nn.ModuleList(
            nn.ModuleList(ConvBlock(width, kernel, excite=excite) for _ in range(num_blocks))
            for _ in range(num_levels)
        )

    def strides(self, stride: int) -> list[int]:
        """Steps per cell of every level, over a backbone of that stride."""
        return [stride * 2**level for level in range(self.num_levels)]

    def forward(self, x: Steps, mask: Mask) -> list[Level]:
        """Cells and mask of each level, the finest first."""
        if x.shape[1] != self.width:
            raise ValueError(
                f"{type(self).__name__} has width={self.width}; the backbone gives {x.shape[1]} channels"
            )
        levels: list[Level] = []
        for number, blocks in enumerate(self.levels):
            if number:
                mask = coarser(mask, 2)
                update = self.down[number - 1](x, mask)
                x = halved(x) + update if self.keep_mean else update
            for block in cast("nn.ModuleList", blocks):
                x = block(x, mask)
            levels.append((x, mask))
        return levels
