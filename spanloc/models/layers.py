"""Layers that keep padding out: what comes out of each is zero wherever the mask is false."""

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class StepNorm(nn.Module):
    """LayerNorm over the channels of each step on its own, so that padding has no part in it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "batch width steps"]) -> Float[Tensor, "batch width steps"]:
        """Normalised steps."""
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class ConvNorm(nn.Module):
    """Convolution to ``ceil(steps / stride)`` steps, normalisation, GELU.

    Args:
        in_width, out_width: Channels before and after.
        stride: Steps per step that comes out; the kernel covers about twice that, at least 3.
    """

    def __init__(self, in_width: int, out_width: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.reach = stride, (stride + 1) // 2
        self.conv = nn.Conv1d(
            in_width, out_width, stride + 2 * self.reach, stride, padding=self.reach
        )
        self.norm = StepNorm(out_width)

    def forward(
        self, x: Float[Tensor, "batch before steps"], mask: Bool[Tensor, "batch cells"]
    ) -> Float[Tensor, "batch after cells"]:
        """``mask`` is that of the cells that come out."""
        x = F.pad(x, (0, -x.shape[2] % self.stride))
        return F.gelu(self.norm(self.conv(x))) * mask[:, None]


class ConvBlock(nn.Module):
    """Depthwise convolution, then two layers on each step, added to what came in.

    Args:
        width: Channels.
        kernel: Odd size of the depthwise convolution, in steps.
        expansion: Width of the layer between the two, as a multiple.

    Source:
        Liu et al. 2022, arXiv:2201.03545 (ConvNeXt), in one dimension.
    """

    def __init__(self, width: int, kernel: int = 7, expansion: int = 2) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}; it must be odd and at least 1")
        self.mix = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)

    def forward(
        self, x: Float[Tensor, "batch width steps"], mask: Bool[Tensor, "batch steps"]
    ) -> Float[Tensor, "batch width steps"]:
        """``x`` and what the block adds to it."""
        # Channels last in between: normalisation is several times faster there.
        update = self.norm(self.mix(x).transpose(1, 2))
        update = self.narrow(F.gelu(self.widen(update)))
        return x + update.transpose(1, 2) * mask[:, None]


def coarser(mask: Bool[Tensor, "batch steps"], stride: int) -> Bool[Tensor, "batch cells"]:
    """The mask of cells of ``stride`` steps: a cell counts where any of its steps does.

    >>> import torch
    >>> coarser(torch.tensor([[True, True, True, False, False]]), 2)
    tensor([[ True,  True, False]])
    """
    return mask[:, ::stride]


def require_sizes(**sizes: int) -> None:
    """Raise a ``ValueError`` that names the first size that is not at least 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; it must be at least 1")
