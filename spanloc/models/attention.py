"""Attention of each step to those near it; time and memory grow with the number of steps only."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from spanloc.models.layers import Mask, Steps, checkpointed, convolve, require_odd, require_sizes

# Queries that share one stretch of keys: fewer make the products small, more compute what is masked.
_QUERIES = 32


class LocalAttention(nn.Module):
    """Scaled dot-product attention of each step to the steps at most ``window // 2`` away.

    Equal to attention over the whole sequence in which all other steps are masked, but a block of queries
    is compared only with the keys of its block and of ``window // 2`` steps to both sides.

    Args:
        width: Channels; a multiple of ``num_heads``.
        window: Steps that a step attends to, odd; itself in the middle.
        num_heads: Attentions side by side.
    """

    def __init__(self, width: int, window: int = 19, num_heads: int = 4) -> None:
        super().__init__()
        require_sizes(width=width, num_heads=num_heads)
        require_odd(window=window)
        if width % num_heads:
            raise ValueError(f"width is {width}; it must be a multiple of num_heads, {num_heads}")
        self.window, self.num_heads = window, num_heads
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "batch steps width"], mask: Mask
    ) -> Float[Tensor, "batch steps width"]:
        """Attended values of each step; finite, but without meaning, where ``mask`` is false."""
        batch, steps, width = x.shape
        reach, stretch = self.window // 2, _QUERIES + self.window - 1
        # All sequences in one row, far enough apart that none sees the next: then the stretches of keys are
        # views of it, not copies.
        length = (steps + reach + _QUERIES - 1) // _QUERIES * _QUERIES
        after = length - steps
        x = F.pad(x, (0, 0, 0, after)).flatten(0, 1)
        rows = self.project(F.pad(x, (0, 0, reach, reach)))
        queries, *others = rows.unflatten(1, (3, self.num_heads, -1)).unbind(1)
        queries = queries[reach : reach + batch * length].unflatten(0, (-1, _QUERIES))
        keys, values = (x.unfold(0, stretch, _QUERIES).transpose(2, 3) for x in others)
        # A finite value, so that a row whose keys are all padding is not NaN.
        least = torch.finfo(rows.dtype).min
        padding = torch.zeros_like(mask, dtype=rows.dtype).masked_fill(~mask, least)
        padding = F.pad(padding, (0, after), value=least).flatten()
        padding = F.pad(padding, (reach, reach), value=least).unfold(0, stretch, _QUERIES)
        bias = _far(self.window, rows) + padding[:, None, :]
        found = F.scaled_dot_product_attention(queries.transpose(1, 2), keys, values, bias[:, None])
        found = found.transpose(1, 2).reshape(batch, length, width)
        # Not a slice: this holds for every length when it is exported.
        return self.merge(F.pad(found, (0, 0, 0, -after)))


def _far(window: int, like: Tensor) -> Tensor:
    # Minus infinity for the keys of a stretch that a query of the block does not see.
    query = torch.arange(_QUERIES, device=like.device)[:, None]
    key = torch.arange(_QUERIES + window - 1, device=like.device)
    far = (key < query) | (key >= query + window)
    return torch.zeros(far.shape, dtype=like.dtype, device=like.device).masked_fill(far, -torch.inf)


class AttentionBlock(nn.Module):
    """Local attention, then two layers on each step, each added to its input.

    A depthwise convolution of 3 steps goes before the attention, which by itself does not see in which
    order the steps are, and so could not tell a start from an end.

    Args:
        width, window, num_heads: As in :class:`LocalAttention`.
        expansion: Width of the layer between the two, as a multiple.

    References:
        Zhang et al. 2022, arXiv:2202.07925 (ActionFormer).
    """

    checkpointing = False

    def __init__(
        self, width: int, window: int = 19, num_heads: int = 4, expansion: int = 4
    ) -> None:
        super().__init__()
        require_sizes(expansion=expansion)
        self.attention = LocalAttention(width, window, num_heads)
        self.mix = nn.Conv1d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.norm_update = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)

    @checkpointed
    def forward(self, x: Steps, mask: Mask) -> Steps:
        """``x`` and what the block adds to it."""
        # Channels last: normalisation and depthwise convolution are several times faster there.
        x = x.transpose(1, 2).contiguous()
        mixed = self.norm(convolve(self.mix, x.transpose(1, 2)).transpose(1, 2))
        valid = mask[:, :, None]
        if self.training:
            x = x + self.attention(mixed, mask) * valid
        else:
            # A NaN goes as far as attention looks, not through the whole block of queries: that shows how
            # far a model looks.
            lost = mixed.isnan().any(-1)
            # In two dimensions, as that of one cannot be exported for every length.
            size, reach = (1, self.attention.window), (0, self.attention.window // 2)
            seen = F.max_pool2d(lost[:, None, None].float(), size, 1, reach)[:, 0, 0] > 0
            update = self.attention(mixed.masked_fill(lost[:, :, None], 0), mask)
            update = update.masked_fill(seen[:, :, None], torch.nan)
            x = x + update * valid
        update = self.narrow(F.gelu(self.widen(self.norm_update(x))))
        return (x + update * valid).transpose(1, 2)
