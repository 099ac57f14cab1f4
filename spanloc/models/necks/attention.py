"""A pyramid of local attention."""

from torch import nn

from spanloc.models.attention import AttentionBlock
from spanloc.models.necks.pyramid import PyramidNeck


class AttentionNeck(PyramidNeck):
    """Halves the grid from level to level by convolution and mean, with local attention on each.

    After :class:`~spanloc.models.AttentionBackbone` it makes a model in the manner of ActionFormer.

    Args:
        num_levels, num_blocks: As in :class:`~spanloc.models.PyramidNeck`.
        width: Channels, as the backbone's; a multiple of ``num_heads``.
        window: Cells of its level that a cell attends to, odd; itself in the middle.
        num_heads: Attentions side by side.
        expansion: Width inside the blocks, as a multiple.

    Raises:
        ValueError: A size is out of range.

    References:
        Zhang et al. 2022, arXiv:2202.07925 (ActionFormer).
    """

    def __init__(
        self,
        num_levels: int,
        *,
        width: int = 96,
        num_blocks: int = 1,
        window: int = 19,
        num_heads: int = 4,
        expansion: int = 4,
    ) -> None:
        super().__init__(num_levels, width=width, num_blocks=0)
        self.levels = nn.ModuleList(
            nn.ModuleList(
                AttentionBlock(width, window, num_heads, expansion) for _ in range(num_blocks)
            )
            for _ in range(num_levels)
        )
