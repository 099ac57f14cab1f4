"""A dense head that corrects its boundaries in a second step."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spanloc.models.heads.points import PointsHead
from spanloc.models.layers import ConvNorm
from spanloc.models.protocols import Level
from spanloc.models.sizing import LEVEL_RANGE
from spanloc.ops.points import signs
from spanloc.structures import Output

# Places around a boundary that are looked at, in cells of the finest level: dense near it.
_PLACES = (-8, -5, -3, -2, -1, 0, 1, 2, 3, 5, 8)


class RefinedHead(PointsHead):
    """A :class:`PointsHead` whose boundaries are corrected from the features of the finest level around them.

    A point of a coarse level sees its boundaries from afar. So a few features of the finest level are read at
    11 places around each predicted start and end, between cells by interpolation, and a small network turns
    them into a correction of that boundary, which is trained on the place that was predicted (no gradient
    flows through it). The spans before are in ``Output.earlier``, with the same logits, and are trained as
    before.

    Args:
        num_classes, num_levels, width, num_layers, num_shared, prior: As in :class:`PointsHead`.
        num_features: Features of the finest level that are read, for each side.

    References:
        Cai and Vasconcelos 2018, arXiv:1712.00726 (cascades), and Qing et al. 2021, arXiv:2103.13141
        (features at the boundaries), for the idea.
    """

    #: How far from its point a boundary may be to be looked at, in strides of the point.
    reach_of_look: float = 2 * LEVEL_RANGE[1]
    #: What is read around that place, in cells of the finest level.
    cells_of_look: int = max(_PLACES) + 1
    places: Tensor

    def __init__(
        self,
        num_classes: int,
        num_levels: int,
        *,
        width: int = 96,
        num_layers: int = 2,
        num_shared: int = 0,
        prior: float = 0.01,
        num_features: int = 16,
    ) -> None:
        sizes = {"width": width, "num_layers": num_layers, "num_shared": num_shared}
        super().__init__(num_classes, num_levels, **sizes, prior=prior)
        self.look = ConvNorm(width, width)
        self.read = nn.Conv1d(width, 2 * num_features, 1)
        num_inputs = len(_PLACES) * num_features + 2
        self.correct = nn.ModuleList(_correction(num_inputs) for _ in range(2))
        self.register_buffer("places", torch.tensor(_PLACES), persistent=False)

    def forward(self, levels: Sequence[Level], strides: Sequence[int]) -> Output:
        """One prediction a cell; ``strides`` are in steps per cell."""
        first = super().forward(levels, strides)
        fine, mask = levels[0]
        features = (self.read(self.look(fine, mask)) * mask[:, None]).float()
        with torch.autocast(fine.device.type, enabled=False):
            moves = self._moves(first.spans.detach(), first.points, features, strides[0])
            spans = first.spans.detach() + strides[0] * moves
        # A correction may not turn a span round.
        middle = spans.mean(-1, keepdim=True)
        spans = middle + signs(spans) * (spans - middle).abs()
        return replace(first, spans=spans, earlier=(first,))

    def _moves(self, spans: Tensor, points: Any, features: Tensor, stride: int) -> Tensor:
        """Corrections ``(B, P, 2)`` in cells of the finest level, from its features ``(B, 2 n, cells)``."""
        position, room = points[:, :1], self.reach_of_look * points[:, 1:]
        at = torch.minimum(torch.maximum(spans, position - room), position + room) / stride - 0.5
        length = (spans[..., 1:] - spans[..., :1]) / stride
        sizes = torch.cat([points[:, 1:].expand_as(length) / stride, length + 1e-3], -1).log2()
        found = [
            layers(torch.cat([_sampled(table, where, self.places), sizes], -1))
            for layers, table, where in zip(
                self.correct, features.chunk(2, 1), at.unbind(-1), strict=True
            )
        ]
        return torch.cat(found, -1)


def _correction(num_inputs: int) -> nn.Module:
    # Begins as no correction, but for so much that all layers have a gradient from the start.
    last = nn.Linear(64, 1)
    nn.init.normal_(last.weight, std=1e-3)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(num_inputs, 64), nn.GELU(), last)


def _sampled(features: Tensor, at: Tensor, places: Tensor) -> Tensor:
    """Features ``(B, n, cells)`` at ``places`` from ``at (B, P)``, in cells: ``(B, P, places n)``.

    They are 0 outside the cells, as they are in the padding.
    """
    batch, _, cells = features.shape
    # One more cell of zeros at the end, to which all that lies outside is sent.
    table = F.pad(features, (0, 1)).transpose(1, 2).flatten(0, 1)
    low = at.floor()
    share = (at - low)[..., None, None]
    first = (cells + 1) * torch.arange(batch, device=at.device)[:, None, None]

    def read(cell: Tensor) -> Tensor:
        inside = (cell >= 0) & (cell < cells)
        return F.embedding(torch.where(inside, cell, cells) + first, table)

    cell = low.long()[..., None] + places
    return torch.lerp(read(cell), read(cell + 1), share).flatten(2)
