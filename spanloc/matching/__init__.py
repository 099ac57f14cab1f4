"""Matching: assigns predictions to targets, for the losses.

A matcher takes an output and its batch and gives an index per prediction, ``(B, P)`` int64: the place of
its target in the batch's row of targets, -1 for background. It is vectorised over the batch.
"""

from collections.abc import Callable

from torch import Tensor

from spanloc.matching.aligned import match_aligned, match_simota
from spanloc.matching.hungarian import match_hungarian
from spanloc.matching.points import match_points, match_single
from spanloc.structures import Batch, Output

Matcher = Callable[[Output, Batch], Tensor]

__all__ = [
    "Matcher",
    "match_aligned",
    "match_hungarian",
    "match_points",
    "match_simota",
    "match_single",
]
