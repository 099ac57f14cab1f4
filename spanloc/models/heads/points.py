"""Heads: levels in, :class:`~spanloc.models.Output` out."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from spanloc.models.layers import ConvNorm
from spanloc.models.necks import Level
from spanloc.models.output import Output
from spanloc.ops import anchor_points, decode_offsets


class SingleHead(nn.Module):
    """One span per sequence: where, on average, attention says that it starts and ends.

    Over the cells of the finest level (the coarser ones added to it), one softmax looks for the
    start and one for the end. Each cell also says how far off its own middle the boundary lies. The
    two averages are sorted, so the span is ordered.

    Args:
        num_classes: Labels.
        width: Channels of the levels.
        num_layers: Convolutions before the last layers.
    """

    def __init__(self, num_classes: int, *, width: int = 96, num_layers: int = 2) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layers = nn.ModuleList(ConvNorm(width, width) for _ in range(num_layers))
        self.attend = nn.Conv1d(width, 3, 1)
        self.shift = nn.Conv1d(width, 2, 1)
        self.classify = nn.Linear(width, num_classes)

    def forward(self, levels: Sequence[Level], strides: Sequence[int]) -> Output:
        """One prediction a sequence; ``strides`` are in steps per cell."""
        x, mask = levels[0]
        for (coarse, _), stride in zip(levels[1:], strides[1:], strict=True):
            fine = coarse.repeat_interleave(stride // strides[0], dim=2)
            x = x + fine[:, :, : x.shape[2]]
        x = x * mask[:, None]
        for layer in self.layers:
            x = layer(x, mask)
        # Positions far into a sequence are not exact in half precision.
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            points = anchor_points([x.shape[2]], strides[:1], device=x.device)
            attention = self.attend(x).masked_fill(~mask[:, None], -torch.inf).softmax(-1)
            places = points[:, 0] + self.shift(x) * points[:, 1]
            ends = (attention[:, :2] * places).sum(-1)
            logits = self.classify((attention[:, 2:] * x).sum(-1))
        return Output(
            spans=torch.stack([ends.amin(1), ends.amax(1)], dim=-1)[:, None],
            logits=logits[:, None],
            points=None,
            mask=torch.ones_like(mask[:, :1]),
        )


class PointsHead(nn.Module):
    """A span at every cell of every level: its offsets to both sides, which are positive.

    The layers are shared by the levels, which differ in one factor of the offsets.

    Args:
        num_classes: Labels.
        num_levels: Levels of the neck.
        width: Channels of the levels.
        num_layers: Convolutions before the last layers.
        prior: Score that all cells start with: most are background.

    Source:
        Tian et al. 2019, arXiv:1904.01355 (FCOS); Zhang et al. 2022, arXiv:2202.07925
        (ActionFormer), for the form in time.
    """

    def __init__(
        self,
        num_classes: int,
        num_levels: int,
        *,
        width: int = 96,
        num_layers: int = 2,
        prior: float = 0.01,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.score_layers = nn.ModuleList(ConvNorm(width, width) for _ in range(num_layers))
        self.span_layers = nn.ModuleList(ConvNorm(width, width) for _ in range(num_layers))
        self.score = nn.Conv1d(width, num_classes, 3, padding=1)
        self.span = nn.Conv1d(width, 2, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(num_levels))
        nn.init.constant_(self.score.bias, -math.log((1 - prior) / prior))

    def forward(self, levels: Sequence[Level], strides: Sequence[int]) -> Output:
        """One prediction a cell; ``strides`` are in steps per cell."""
        logits, offsets = [], []
        for number, (x, mask) in enumerate(levels):
            score, span = x, x
            for score_layer, span_layer in zip(self.score_layers, self.span_layers, strict=True):
                score, span = score_layer(score, mask), span_layer(span, mask)
            logits.append(self.score(score).float())
            # The factor stays positive whatever it is trained to be.
            offsets.append(F.softplus(self.span(span).float()) * self.scale[number].exp())
        points = anchor_points([x.shape[2] for x, _ in levels], strides, device=levels[0][0].device)
        return Output(
            spans=decode_offsets(torch.cat(offsets, dim=2).transpose(1, 2), points),
            logits=torch.cat(logits, dim=2).transpose(1, 2),
            points=points,
            mask=torch.cat([mask for _, mask in levels], dim=1),
        )
