"""A dense head with curves of starts and ends."""

from collections.abc import Sequence
from functools import wraps
from typing import Any

from torch import nn

from spanloc.models.heads.points import PointsHead
from spanloc.models.layers import convolve
from spanloc.models.protocols import Level
from spanloc.models.sizing import LEVEL_RANGE
from spanloc.structures import Output

#: The curves' logit in the padding.
NO_BOUNDARY = -30.0
#: How far from its point a boundary may be to be looked up, in strides of the point.
REACH = 2 * LEVEL_RANGE[1]
_PRIOR = -3.0  # logit of about 1 in 20 cells


class BoundaryHead(PointsHead):
    """A :class:`PointsHead` with two curves: the probability that a span of any label starts, or ends, at a cell.

    A point of a coarse level sees its boundaries from afar; the finest level sees them from near. Its curves
    are trained by :func:`~spanloc.losses.terms.boundary_focal`, a term of the criterion, and read by
    :class:`~spanloc.decode.Decode`: a prediction that starts and ends where the curves say so keeps more
    of its score, and its ends move towards their peaks. ``Output.extra["boundaries"]`` holds their logits
    ``(batch, cells of the finest level, 2)``, of starts and of ends.

    Args:
        num_classes, num_levels, width, num_layers, num_shared, prior: As in :class:`PointsHead`.

    References:
        Lin et al. 2018, arXiv:1806.02964 (BSN), for curves of starts and ends that score spans.
    """

    reach_of_look: float = REACH
    #: What is read around that place, in cells of the finest level.
    cells_of_look: int = 4

    # mypy: a class below PointsHead might have another signature; this one takes the same.
    @wraps(PointsHead.__init__)  # type: ignore[misc]
    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.boundary = nn.Conv1d(self.width, 2, 3, padding=1)
        nn.init.constant_(self.boundary.bias, _PRIOR)  # type: ignore[arg-type]

    def forward(self, levels: Sequence[Level], strides: Sequence[int]) -> Output:
        """One prediction a cell; ``strides`` are in steps per cell."""
        logits, numbers, features = self.cells(levels)
        curves = convolve(self.boundary, features[0]).float()
        # An end may be in the padding.
        curves = curves.masked_fill(~levels[0][1][:, None], NO_BOUNDARY)
        extra = {"boundaries": curves.transpose(1, 2)}
        return self.output(logits, self.offsets(numbers), levels, strides, extra)
