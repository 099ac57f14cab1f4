"""A head for one span per sequence."""

from collections.abc import Sequence

import torch
from torch import nn

from spanloc.models.layers import ConvNorm
from spanloc.models.protocols import Level
from spanloc.ops import anchor_points
from spanloc.structures import Output


class SingleHead(nn.Module):
    """One span per sequence: start and end are mean positions, weighted by attention.

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
        self.num_classes, self.width = num_classes, width
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
