"""Temporal IoU in compiled loops: the numba twin of :func:`spanloc.ops.tiou`."""

from typing import no_type_check

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
@no_type_check
def tiou(start, end, other_start, other_end):
    """Overlap over union, in float64; 0 where nothing is shared."""
    # The sums in the order of ActivityNet's evaluation, so that a span on a threshold is judged alike
    # to the last digit.
    start, end = np.float64(start), np.float64(end)
    if not (start < other_end and other_start < end):  # NaN too, which min and max may pass over
        return 0.0
    shared = min(end, other_end) - max(start, other_start)
    if shared <= 0.0:
        return 0.0
    return shared / ((end - start) + (other_end - other_start) - shared)


@numba.njit(cache=True, inline="always")
@no_type_check
def tiou_by_hull(start, end, other_start, other_end):
    """The same, divided by the hull: equal where spans overlap, except in the last digit."""
    if not (start < other_end and other_start < end):
        return 0.0
    shared = min(end, other_end) - max(start, other_start)
    if shared <= 0.0:
        return 0.0
    return shared / (max(end, other_end) - min(start, other_start))
