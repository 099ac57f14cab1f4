"""A head with a fixed number of learned queries; each predicts one span."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spanloc.models.layers import require_sizes
from spanloc.models.protocols import Level
from spanloc.ops import anchor_points
from spanloc.structures import Output

# Where the attention heads of a layer look first: places in lengths of the span from its middle, and how
# wide, in the same unit.
_PLACES, _WIDTHS = (-0.5, 0.0, 0.5), (0.15, 0.5)
# Of places in a sequence, as features: the shortest wave, as a share of the sequence.
_SHORTEST_WAVE = 1 / 256
# Of middle and length; beyond, a sigmoid has no gradient.
_LARGEST_LOGIT = 12.0
# A place beyond all, relative to the sequence; the logarithm of how wide attention is, least and most.
_FAR, _SPREADS = 1e4, (-4.0, 2.0)


class QueryHead(nn.Module):
    """A span and a score per label for each of ``num_queries`` learned queries.

    A query starts with a learned reference span and refines it layer by layer. In each layer the queries
    look at one another, so that two of them do not answer for one target, and then at the cells of all
    levels: each attention head prefers the cells near a place that the query chooses relative to its
    reference span, and gives, beside the features, where on average it looked. Reference spans are kept as
    the middle and the length relative to the sequence, between 0 and 1.

    ``Output.earlier`` holds the outputs of all layers but the last, which are to be trained as well. It needs
    a matcher that gives each target one query: :func:`~spanloc.matching.match_hungarian`.

    The number of queries is fixed, so sequences should not be longer than those of training:
    :attr:`bounded` says so, and longer ones go through the model in windows of that length.

    Args:
        num_classes: Labels.
        num_levels: Levels of the neck.
        width: Channels of the levels, a multiple of ``num_heads``.
        num_queries: Spans that a sequence may have at most, in training that a crop may have. Spans beyond
            that cannot be found; about three times the usual number trains best.
        num_layers: Refinements.
        num_heads: Of attention.
        prior: Score that all queries start with: most are background.

    Raises:
        ValueError: A size is out of range.

    References:
        Carion et al. 2020, arXiv:2005.12872 (DETR); Liu et al. 2022, arXiv:2201.12329 (reference boxes as
        queries); Zhu et al. 2020, arXiv:2010.04159 (refinement); Gao et al. 2021, arXiv:2101.07448
        (attention that prefers a place).
    """

    #: Sequences longer than those of training are to be evaluated in windows.
    bounded = True

    def __init__(
        self,
        num_classes: int,
        num_levels: int,
        *,
        width: int = 96,
        num_queries: int = 40,
        num_layers: int = 3,
        num_heads: int = 4,
        prior: float = 0.01,
    ) -> None:
        super().__init__()
        require_sizes(num_queries=num_queries, num_layers=num_layers, num_heads=num_heads)
        if width % num_heads:
            raise ValueError(f"width is {width}; it must be a multiple of num_heads, {num_heads}")
        self.num_classes, self.width = num_classes, width
        self.num_levels, self.num_queries = num_levels, num_queries
        self.level = nn.Parameter(0.02 * torch.randn(num_levels, width))
        self.norm = nn.LayerNorm(width)
        self.content = nn.Parameter(0.02 * torch.randn(num_queries, width))
        # References on a grid over the sequence, of a few lengths in turn.
        middle = (torch.arange(num_queries) + 0.5) / num_queries
        length = torch.tensor([0.05, 0.12])[torch.arange(num_queries) % 2]
        self.reference = nn.Parameter(torch.logit(torch.stack([middle, length], dim=-1)))
        self.position = nn.Sequential(
            nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.layers = nn.ModuleList(_Layer(width, num_heads) for _ in range(num_layers))
        self.scores = nn.ModuleList(_normed(width, num_classes) for _ in range(num_layers))
        self.shifts = nn.ModuleList(_normed(width, 2) for _ in range(num_layers))
        for score, shift in zip(self.scores, self.shifts, strict=True):
            nn.init.constant_(score[1].bias, -math.log((1 - prior) / prior))  # type: ignore[index]
            # The first outputs are the references.
            nn.init.zeros_(shift[1].weight)  # type: ignore[index]
            nn.init.zeros_(shift[1].bias)  # type: ignore[index]

    def forward(self, levels: Sequence[Level], strides: Sequence[int]) -> Output:
        """One prediction a query; ``strides`` are in steps per cell."""
        cells = torch.cat(
            [x.transpose(1, 2) + self.level[i] for i, (x, _) in enumerate(levels)], dim=1
        )
        cells, mask = self.norm(cells), torch.cat([mask for _, mask in levels], dim=1)
        points = anchor_points([x.shape[2] for x, _ in levels], strides, device=cells.device)
        # In steps, of whole cells: padding has no part in it.
        steps = levels[0][1].sum(1)[:, None, None].float() * strides[0]
        # Far away: softmax gives padding no share at all.
        places = (points[:, 0] / steps[..., 0]).masked_fill(~mask, _FAR)[:, None, None]
        places = torch.cat([places, torch.ones_like(places)], dim=2)  # (B, 1, 2, cells)
        finest = strides[0] / steps[:, None]  # (B, 1, 1, 1)
        x = self.content.expand(cells.shape[0], -1, -1)
        logits = self.reference.float().expand(cells.shape[0], -1, -1)
        outputs = []
        for layer, score, shift in zip(self.layers, self.scores, self.shifts, strict=True):
            spans = logits.sigmoid()
            x = layer(
                x, self.position(self._waves(spans).to(x.dtype)), spans, cells, places, finest
            )
            # Places far into a sequence are not exact in half precision.
            logits = (logits + shift(x).float()).clamp(min=-_LARGEST_LOGIT, max=_LARGEST_LOGIT)
            middle, length = logits.sigmoid().split(1, dim=-1)
            found = torch.cat([middle - length / 2, middle + length / 2], dim=-1) * steps
            valid = torch.ones_like(found[..., 0], dtype=torch.bool)
            outputs.append(Output(found, score(x).float(), None, valid))
            # Each layer learns its own step.
            logits = logits.detach()
        last = outputs.pop()
        return Output(last.spans, last.logits, None, last.mask, earlier=tuple(outputs))

    def _waves(self, spans: Tensor) -> Tensor:
        """Middles and lengths ``(B, N, 2)`` as sines and cosines, ``(B, N, 2 width)``."""
        count = -(-self.content.shape[1] // 2)
        powers = torch.linspace(0, 1, count, device=spans.device)
        angles = spans[..., None] * (math.pi * (1 / _SHORTEST_WAVE) ** powers)
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)[..., : self.content.shape[1]]
        return waves.flatten(2)


class _Layer(nn.Module):
    """Attention among the queries, attention to the cells, and two layers on each query."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.own, self.own_values = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.own_out = nn.Linear(width, width)
        self.query, self.cells = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.where = nn.Linear(width, 2 * num_heads)
        # Of each attention head also where it looked.
        self.out = nn.Linear(width + num_heads, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        with torch.no_grad():
            self.where.weight.mul_(0.1)
            heads = torch.arange(num_heads)
            self.where.bias[:num_heads] = torch.tensor(_PLACES)[heads % 3]
            self.where.bias[num_heads:] = torch.tensor(_WIDTHS)[heads // 3 % 2].log()

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        spans: Tensor,
        cells: Tensor,
        places: Tensor,
        finest: Tensor,
    ) -> Tensor:
        y = self.norms[0](x)
        query, key = self._split(self.own(y + position), 2)
        (value,) = self._split(self.own_values(y), 1)
        x = x + self.own_out(_joined(F.scaled_dot_product_attention(query, key, value)))
        y = self.norms[1](x) + position
        (query,), (key, value) = self._split(self.query(y), 1), self._split(self.cells(cells), 2)
        with torch.autocast(x.device.type, enabled=False):
            middle, length = spans[:, None].split(1, dim=-1)  # (B, 1, N, 1)
            # In lengths of the span; of a very short one, in cells.
            unit = length + finest
            shift, spread = self._split(self.where(y.float()), 2)  # (B, heads, N, 1)
            scale = 1 / (unit * spread.clamp(*_SPREADS).exp())
            near = torch.cat([scale, -(middle + shift * length) * scale], dim=-1) @ places
            query = query.float() / math.sqrt(query.shape[-1])
            attention = (query @ key.float().transpose(-1, -2) - near.square() / 2).softmax(-1)
            place = places[..., :1, :].transpose(-1, -2).expand(*value.shape[:3], 1)
            seen = torch.cat(
                [attention @ value.float(), (attention @ place - middle) / unit], dim=-1
            )
        x = x + self.out(_joined(seen))
        return x + self.narrow(F.gelu(self.widen(self.norms[2](x))))

    def _split(self, x: Tensor, parts: int) -> list[Tensor]:
        """``(B, n, parts width)`` as ``parts`` of ``(B, heads, n, width / heads)``."""
        return [y.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for y in x.chunk(parts, -1)]


def _joined(x: Tensor) -> Tensor:
    """``(B, heads, n, each)`` as ``(B, n, heads each)``."""
    return x.transpose(1, 2).flatten(2)


def _normed(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, count))
