"""A dense head: spans as offsets from anchor points."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spanloc.models.layers import ConvNorm, convolve
from spanloc.models.protocols import Level
from spanloc.ops import anchor_points, decode_offsets
from spanloc.structures import Output


class DenseHead(nn.Module):
    """Base class of dense heads: a score per label, and numbers for a span, at every cell of every level.

    The layers are shared by the levels. Subclasses make offsets of the numbers.

    Args:
        num_outputs: Numbers for the span of a cell.
        num_classes, width, num_layers, num_shared, prior: As in :class:`PointsHead`.
    """

    def __init__(
        self,
        num_classes: int,
        num_outputs: int,
        *,
        width: int,
        num_layers: int,
        num_shared: int,
        prior: float,
    ) -> None:
        super().__init__()
        self.num_classes, self.width = num_classes, width
        self.shared_layers = nn.ModuleList(ConvNorm(width, width) for _ in range(num_shared))
        self.score_layers = nn.ModuleList(ConvNorm(width, width) for _ in range(num_layers))
        self.span_layers = nn.ModuleList(ConvNorm(width, width) for _ in range(num_layers))
        self.score = nn.Conv1d(width, num_classes, 3, padding=1)
        self.span = nn.Conv1d(width, num_outputs, 3, padding=1)
        nn.init.constant_(self.score.bias, -math.log((1 - prior) / prior))  # type: ignore[arg-type]

    def cells(self, levels: Sequence[Level]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Logits ``(B, K, cells)``, span numbers ``(B, num_outputs, cells)`` and their features, by level."""
        logits, numbers, features = [], [], []
        for x, mask in levels:
            for layer in self.shared_layers:
                x = layer(x, mask)
            score, span = x, x
            for score_layer, span_layer in zip(self.score_layers, self.span_layers, strict=True):
                score, span = score_layer(score, mask), span_layer(span, mask)
            logits.append(convolve(self.score, score).float())
            numbers.append(convolve(self.span, span).float())
            features.append(span)
        return logits, numbers, features

    def output(
        self,
        logits: list[Tensor],
        offsets: Tensor,
        levels: Sequence[Level],
        strides: Sequence[int],
        extra: Mapping[str, Tensor] | None = None,
    ) -> Output:
        """The output with these logits by level, these offsets ``(B, P, 2)`` in strides and these extra fields."""
        points = anchor_points([x.shape[2] for x, _ in levels], strides, device=levels[0][0].device)
        return Output(
            spans=decode_offsets(offsets, points),
            logits=torch.cat(logits, dim=2).transpose(1, 2),
            points=points,
            mask=torch.cat([mask for _, mask in levels], dim=1),
            extra=extra or {},
        )


class PointsHead(DenseHead):
    """A span at every cell of every level: its offsets to both sides, which are positive.

    The layers are shared by the levels, which differ in one factor of the offsets.

    Args:
        num_classes: Labels.
        num_levels: Levels of the neck.
        width: Channels of the levels.
        num_layers: Convolutions of scores and of spans each, before the last layers.
        num_shared: Convolutions before these, for both.
        prior: Score that all cells start with: most are background.

    References:
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
        num_shared: int = 0,
        prior: float = 0.01,
    ) -> None:
        sizes = {"width": width, "num_layers": num_layers, "num_shared": num_shared}
        super().__init__(num_classes, 2, **sizes, prior=prior)
        self.num_levels = num_levels
        self.scale = nn.Parameter(torch.ones(num_levels))

    def forward(self, levels: Sequence[Level], strides: Sequence[int]) -> Output:
        """One prediction a cell; ``strides`` are in steps per cell."""
        logits, numbers, _ = self.cells(levels)
        return self.output(logits, self.offsets(numbers), levels, strides)

    def offsets(self, numbers: list[Tensor]) -> Tensor:
        """Offsets ``(B, P, 2)`` in strides, from the span numbers of all levels."""
        # The factor stays positive whatever it is trained to be.
        scaled = [F.softplus(x) * self.scale[level].exp() for level, x in enumerate(numbers)]
        return torch.cat(scaled, dim=2).transpose(1, 2)
