"""Parts of the compiled loops: their arrays, and the numba twin of :func:`spanloc.ops.tiou`."""

from typing import no_type_check

import numba
import numpy as np
from torch import Tensor


def to_array(values: Tensor) -> np.ndarray:
    """A contiguous copy for the loops, which may write to it; floats in float64, so that they compile once."""
    values = values.double() if values.is_floating_point() else values
    return np.array(values.detach().cpu().numpy(), order="C")


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


@numba.njit(cache=True, inline="always")
@no_type_check
def starts_with_tiou(start, end, threshold):
    """The least and the greatest start of spans with a tIoU of at least ``threshold`` with this one."""
    # The union is at most the length over the threshold, and what is shared at least their product.
    # A step more, for what rounding may do.
    length = end - start
    room = 1e-9 * (abs(start) + abs(end) + length)
    return end - length / threshold - room, end - length * threshold + room
