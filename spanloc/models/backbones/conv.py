"""A convolutional backbone."""

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from spanloc.models.layers import BandPower, ConvBlock, ConvNorm, coarser, require_sizes

#: Steps that become one in the first convolution, at most, where the stride is larger.
LARGEST_STEP = 16


class ConvBackbone(nn.Module):
    """Strided convolutions down to a grid of cells, then residual blocks on the grid.

    ``ceil(steps / stride)`` cells of ``width`` channels come out, zero in the padding.

    Args:
        num_channels: Channels of the features.
        stride: Steps per cell. It is split into factors, one convolution each; of a stride above 16 the
            first takes up to 16 steps, so that raw signals at a high rate are reduced early and cheaply.
        width: Channels of the cells.
        num_blocks: Blocks on the grid.
        kernel: Of the blocks, in cells; odd.
        bands: Filters of the power in bands of frequencies, where the stride is above 16 and cells hold
            oscillations (:class:`~spanloc.models.layers.BandPower`): each of the strided convolutions sees those
            of the signal too, averaged to its rate, so that low frequencies have long filters. 0: without.
        excite: Cells over which :class:`~spanloc.models.layers.Excite` averages in each block; 0: without.

    Raises:
        ValueError: A size is out of range.
    """

    def __init__(
        self,
        num_channels: int,
        *,
        stride: int = 1,
        width: int = 96,
        num_blocks: int = 3,
        kernel: int = 7,
        bands: int = 48,
        excite: int = 0,
    ) -> None:
        super().__init__()
        require_sizes(num_channels=num_channels, stride=stride, width=width)
        self.num_channels, self.stride, self.width = num_channels, stride, width
        self.steps = _factors(stride)
        if bands < 0 or bands % 2:
            raise ValueError(f"bands is {bands}; it must be even and at least 0")
        widths = [num_channels, *[width] * (len(self.steps) - 1)]
        self.stem = nn.ModuleList(
            ConvNorm(before, width, step) for before, step in zip(widths, self.steps, strict=True)
        )
        self.bands = nn.ModuleList()
        if bands and stride > LARGEST_STEP:
            self.bands += [BandPower(num_channels, width, n, bands=bands) for n in self.steps]
        self.blocks = nn.ModuleList(
            ConvBlock(width, kernel, excite=excite) for _ in range(num_blocks)
        )

    def forward(
        self, features: Float[Tensor, "batch channels steps"], mask: Bool[Tensor, "batch steps"]
    ) -> tuple[Float[Tensor, "batch width cells"], Bool[Tensor, "batch cells"]]:
        """The cells and their mask."""
        x = signal = features * mask[:, None]
        for i, (layer, step) in enumerate(zip(self.stem, self.steps, strict=True)):
            mask = coarser(mask, step)
            if self.bands:
                x = layer(x, mask, self.bands[i](signal))
                # White noise stays as strong as it is.
                signal = F.avg_pool1d(F.pad(signal, (0, -signal.shape[2] % step)), step) * step**0.5
            else:
                x = layer(x, mask)
        for block in self.blocks:
            x = block(x, mask)
        return x, mask


def _factors(stride: int) -> list[int]:
    # 10 -> [5, 2]: prime factors with the large ones first; 2 x 2 -> 4 saves a layer. What the first layer
    # leaves is most of the work of a large stride.
    large = (
        [d for d in range(8, LARGEST_STEP + 1) if stride % d == 0] if stride > LARGEST_STEP else []
    )
    factors, rest, factor = [], stride // max(large, default=1), 2
    while rest > 1:
        while rest % factor == 0:
            factors.append(factor)
            rest //= factor
        factor += 1
    while factors.count(2) >= 2:
        factors.remove(2)
        factors.remove(2)
        factors.append(4)
    return large[-1:] + sorted(factors, reverse=True) or [1]
