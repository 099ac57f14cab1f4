"""A dense head that predicts a distribution over the position of each boundary."""

from collections.abc import Sequence

import torch
from torch import Tensor

from spanloc.models.heads.points import DenseHead
from spanloc.models.protocols import Level
from spanloc.models.sizing import LEVEL_RANGE
from spanloc.structures import Output


class DistributionHead(DenseHead):
    """A span at every cell of every level, its offsets as expectations over bins.

    For each side, a softmax over ``num_bins`` offsets from 0 to ``reach`` strides; the offset is its
    expectation. The layers are shared by the levels. ``Output.extra`` holds ``"bins"``, the logits
    ``(B, P, 2, num_bins)``, and ``"offsets"``, the offset of each bin in strides, ``(B, P, 2, num_bins)``
    too: what :func:`~spanloc.losses.terms.distribution_focal` is taken of.

    Args:
        num_classes, width, num_layers, num_shared, prior: As in :class:`~spanloc.models.PointsHead`.
        num_bins: Bins of each side, at least 2.
        reach: The largest offset, in strides. By default, twice what the points of a level stand for,
            since targets have points beside their middle and the longest have the coarsest level.

    Raises:
        ValueError: ``num_bins`` or ``reach`` is out of range.

    References:
        Li et al. 2020, arXiv:2006.04388 (generalized focal loss).
    """

    offsets: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        width: int = 96,
        num_layers: int = 2,
        num_shared: int = 0,
        prior: float = 0.01,
        num_bins: int = 17,
        reach: float = 2 * LEVEL_RANGE[1],
    ) -> None:
        if num_bins < 2 or reach <= 0:
            raise ValueError(
                f"num_bins is {num_bins} and reach {reach}; wanted at least 2, and above 0"
            )
        sizes = {"width": width, "num_layers": num_layers, "num_shared": num_shared}
        super().__init__(num_classes, 2 * num_bins, **sizes, prior=prior)
        self.num_bins = num_bins
        self.register_buffer("offsets", torch.linspace(0, reach, num_bins), persistent=False)

    def forward(self, levels: Sequence[Level], strides: Sequence[int]) -> Output:
        """One prediction a cell; ``strides`` are in steps per cell."""
        logits, numbers, _ = self.cells(levels)
        bins = torch.cat(numbers, dim=2).transpose(1, 2)
        bins = bins.reshape(*bins.shape[:2], 2, self.num_bins)
        mean = (bins.softmax(-1) * self.offsets).sum(-1)
        extra = {"bins": bins, "offsets": self.offsets.expand_as(bins)}
        return self.output(logits, mean, levels, strides, extra)
