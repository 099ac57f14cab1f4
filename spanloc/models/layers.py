"""Layers that keep padding out: their output is zero wherever the mask is false."""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

Steps = Float[Tensor, "batch width steps"]
Mask = Bool[Tensor, "batch steps"]
# Power below which a band counts as silent, of normalised signals.
_QUIET = 1e-3


def checkpointed(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make a ``forward`` without randomness keep its inputs only, if its module has ``checkpointing``.

    Other values that its gradient needs are computed a second time in the backward pass.
    """

    @wraps(forward)
    def wrapped(self: Any, *inputs: Tensor) -> Tensor:
        if not (self.checkpointing and torch.is_grad_enabled()):
            return forward(self, *inputs)
        options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
        found: Tensor = checkpoint(forward, self, *inputs, **options)
        return found

    return wrapped


class StepNorm(nn.Module):
    """LayerNorm over the channels of each step on its own, so that padding has no part in it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Steps) -> Steps:
        """Normalised steps."""
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class ConvNorm(nn.Module):
    """Convolution to ``ceil(steps / stride)`` steps, normalisation, GELU.

    Args:
        in_width, out_width: Channels before and after.
        stride: Steps per step that comes out; the kernel covers about twice that, at least 3.
    """

    checkpointing = False

    def __init__(self, in_width: int, out_width: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.reach = stride, (stride + 1) // 2
        self.conv = nn.Conv1d(
            in_width, out_width, stride + 2 * self.reach, stride, padding=self.reach
        )
        self.norm = StepNorm(out_width)

    @checkpointed
    def forward(
        self,
        x: Float[Tensor, "batch before steps"],
        mask: Bool[Tensor, "batch cells"],
        added: Float[Tensor, "batch after cells"] | None = None,
    ) -> Float[Tensor, "batch after cells"]:
        """``mask`` is that of the output cells; ``added`` is added before the normalisation."""
        x = convolve(self.conv, F.pad(x, (0, -x.shape[2] % self.stride)))
        return F.gelu(self.norm(x if added is None else x + added)) * mask[:, None]


class BandPower(nn.Module):
    """Power of a signal in bands of frequencies, at fewer steps: an addition to a :class:`ConvNorm`.

    A convolution alone follows the wave; what tells oscillations and noise apart, such as the activity of a
    muscle, is their power, whatever their phase. The bands are learned. They begin as pairs of a cosine and
    a sine, from low to high frequencies, each of some of the channels. Their power is averaged within a step that
    comes out, and its logarithm is weighted.

    Args:
        num_channels: Channels of the signal.
        width: Channels of what comes out.
        stride: Steps per step that comes out; filters cover about twice that.
        bands: Filters, two a band; even.
    """

    checkpointing = False

    def __init__(self, num_channels: int, width: int, stride: int, *, bands: int = 48) -> None:
        super().__init__()
        self.stride = stride
        # Power is taken about four times for each step that comes out.
        fine = max(n for n in range(1, max(2, stride // 4 + 1)) if stride % n == 0)
        size = 2 * stride + 1
        self.bands = nn.Conv1d(num_channels, bands, size, fine, padding=stride, bias=False)
        self.level = nn.Linear(bands, width)
        with torch.no_grad():
            # Eight frequencies at least: of many channels, several share a filter.
            pairs = bands // 2
            num = min(pairs, max(8, pairs // num_channels))
            groups = pairs // num
            window = torch.hann_window(size + 2, periodic=False)[1:-1]
            part = (torch.arange(num) + 0.5) / num
            angle = math.pi * part[:, None] * (torch.arange(size) - stride)
            waves = torch.stack([angle.cos(), angle.sin()], 1) * window
            waves = waves / waves.norm(dim=-1, keepdim=True).clamp(min=1e-3)
            channel = torch.arange(num_channels)
            sign = 2.0 * torch.randint(2, (num_channels, 1, 1, 1)) - 1
            share = (-(-num_channels // groups)) ** -0.5
            self.bands.weight.mul_(0.1)
            begun = self.bands.weight[: 2 * groups * num].view(groups, num, 2, num_channels, size)
            begun[channel % groups, :, :, channel] += share * sign * waves

    @checkpointed
    def forward(
        self, signal: Float[Tensor, "batch channels steps"]
    ) -> Float[Tensor, "batch width cells"]:
        """``ceil(steps / stride)`` steps."""
        signal = F.pad(signal, (0, -signal.shape[2] % self.stride))
        times = self.stride // self.bands.stride[0]
        # One more comes out at the end, where the padding is as long as a step.
        count = times * (signal.shape[2] // self.stride)
        # Squares of float16 overflow.
        power = convolve(self.bands, signal)[..., :count].float() ** 2
        power = (F.avg_pool1d(power, times) + _QUIET).log()
        return self.level(power.transpose(1, 2)).transpose(1, 2)


class ConvBlock(nn.Module):
    """Depthwise convolution, then two layers on each step, added to their input.

    Args:
        width: Channels.
        kernel: Odd size of the depthwise convolution, in steps.
        excite: Steps over which :class:`Excite` averages what is added, odd; 0: without.

    Source:
        Liu et al. 2022, arXiv:2201.03545 (ConvNeXt), in one dimension.
    """

    checkpointing = False

    def __init__(self, width: int, kernel: int = 7, excite: int = 0) -> None:
        super().__init__()
        require_odd(kernel=kernel)
        self.mix = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)
        self.excite = Excite(width, excite) if excite else None

    @checkpointed
    def forward(self, x: Steps, mask: Mask) -> Steps:
        """``x`` and what the block adds to it."""
        update = self.norm(convolve(self.mix, x).transpose(1, 2))
        update = self.narrow(F.gelu(self.widen(update)))
        update = update.transpose(1, 2) * mask[:, None]
        return x + (update if self.excite is None else self.excite(update, mask))


class Excite(nn.Module):
    """Squeeze and excitation: each channel is scaled by a factor in (0, 1) that all of them decide.

    The channels are averaged over the steps around, not over the whole sequence: a model that looks only so
    far gives the same in windows, in a stream and in one pass, and in a crop of a training sequence as in
    the recording.

    Args:
        width: Channels.
        window: Steps that the average is taken over, odd; padding does not count.

    Source:
        Hu et al. 2018, arXiv:1709.01507, where the average is global.
    """

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        require_odd(excite=window)
        self.window = window
        narrow = max(1, width // 4)
        self.squeeze, self.expand = nn.Linear(width, narrow), nn.Linear(narrow, width)

    def forward(self, x: Steps, mask: Mask) -> Steps:
        """``x`` scaled; it is zero where ``mask`` is false."""
        share = self._average(mask[:, None].to(x.dtype)).clamp(min=1 / self.window)
        average = (self._average(x) / share).transpose(1, 2)
        return x * self.expand(F.gelu(self.squeeze(average))).sigmoid().transpose(1, 2)

    def _average(self, x: Tensor) -> Tensor:
        return F.avg_pool1d(x, self.window, 1, self.window // 2)


class Baseline(nn.Module):
    """Subtracts from each channel its mean over the steps around.

    This removes what a recording has all the time, such as the offset of a sensor or the scene of a video. The
    mean is that of whole blocks: the block of the step and as many before it as after it, within the sequence.
    So it is the same in a window of a recording that begins with a block as in one pass.

    Args:
        block: Steps.
        count: Blocks that the mean is taken over, odd.
    """

    def __init__(self, block: int, count: int) -> None:
        super().__init__()
        require_sizes(block=block)
        require_odd(count=count)
        self.block, self.count = block, count

    def forward(self, x: Steps, mask: Mask) -> Steps:
        """``x`` without its baseline; zero in the padding."""
        there = mask[:, None].to(x.dtype)
        x = x * there
        mean = self._sums(x) / self._sums(there).clamp(min=1)
        mean = mean.repeat_interleave(self.block, dim=2)[..., : x.shape[2]]
        return x - mean * there

    def _sums(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, -x.shape[2] % self.block)).unflatten(2, (-1, self.block)).sum(-1)
        return F.avg_pool1d(x, self.count, 1, self.count // 2) * self.count


def convolve(
    conv: nn.Conv1d, x: Float[Tensor, "batch before steps"]
) -> Float[Tensor, "batch after cells"]:
    """A convolution that leaves the channels of a step side by side in memory.

    There they are normalised, and multiplied by matrices, without a copy. In this layout the two-dimensional
    operator is up to twice as fast as :class:`torch.nn.Conv1d` itself on the CPU, depthwise several times.
    """
    if x.device.type != "cpu" or torch.compiler.is_exporting():
        # When it is exported, the other one has a case of its own for a batch of one.
        return conv(x)
    # By way of a matrix, so that its gradient is laid out as the weight is: processes that share gradients
    # warn of anything else.
    weight = conv.weight.flatten(1).unflatten(1, (-1, 1, conv.kernel_size[0]))
    x = F.conv2d(
        x.unsqueeze(2).contiguous(memory_format=torch.channels_last),
        weight,
        conv.bias,
        stride=(1, conv.stride[0]),
        padding=(0, int(conv.padding[0])),
        groups=conv.groups,
    )
    return x.squeeze(2)


def coarser(mask: Mask, stride: int) -> Bool[Tensor, "batch cells"]:
    """The mask of cells of ``stride`` steps: a cell counts where any of its steps does.

    >>> import torch
    >>> coarser(torch.tensor([[True, True, True, False, False]]), 2)
    tensor([[ True,  True, False]])
    """
    return mask[:, ::stride]


def halved(x: Steps) -> Float[Tensor, "batch width cells"]:
    """The mean of each two steps; the last one of an odd number is averaged with zero, as with padding.

    >>> import torch
    >>> halved(torch.tensor([[[1.0, 3.0, 5.0]]]))
    tensor([[[2.0000, 2.5000]]])
    """
    x = F.pad(x, (0, x.shape[2] % 2))
    return (x[..., ::2] + x[..., 1::2]) / 2


def require_odd(**sizes: int) -> None:
    """Raise a ``ValueError`` that names the first size that is not odd and at least 1."""
    for name, size in sizes.items():
        if size < 1 or size % 2 == 0:
            raise ValueError(f"{name} is {size}; it must be odd and at least 1")


def require_sizes(**sizes: int) -> None:
    """Raise a ``ValueError`` that names the first size that is not at least 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; it must be at least 1")
