"""A backbone of local attention."""

from torch import nn

from spanloc.models.attention import AttentionBlock
from spanloc.models.backbones.conv import ConvBackbone


class AttentionBackbone(ConvBackbone):
    """Strided convolutions down to a grid of cells, then local attention on the grid.

    Args:
        num_channels: Channels of the features.
        stride: Steps per cell, as in :class:`~spanloc.models.ConvBackbone`.
        width: Channels of the cells; a multiple of ``num_heads``.
        num_blocks: Blocks on the grid.
        window: Cells that a cell attends to, odd; itself in the middle.
        num_heads: Attentions side by side.
        expansion: Width inside the blocks, as a multiple.

    Raises:
        ValueError: A size is out of range.

    References:
        Zhang et al. 2022, arXiv:2202.07925 (ActionFormer).
    """

    def __init__(
        self,
        num_channels: int,
        *,
        stride: int = 1,
        width: int = 96,
        num_blocks: int = 1,
        window: int = 19,
        num_heads: int = 4,
        expansion: int = 4,
    ) -> None:
        super().__init__(num_channels, stride=stride, width=width, num_blocks=0)
        self.blocks = nn.ModuleList(
            AttentionBlock(width, window, num_heads, expansion) for _ in range(num_blocks)
        )
