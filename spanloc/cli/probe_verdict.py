"""What ``spanloc-probe`` says of a loss at its match."""

import math
from collections.abc import Sequence

from spanloc.convergence import Anatomy


def verdict(anatomies: Sequence[Anatomy]) -> str:
    """One or two sentences on a loss, from its anatomies at all lengths."""
    ends = [end for found in anatomies for end in (found.start, found.end)]
    slopes = [slope for end in ends for slope in (end.left, end.right)]
    if any(map(math.isnan, slopes)):
        return (
            "Not all slopes at the match exist or can be told: as steps get shorter, the differences "
            "settle too slowly, or not at all."
        )
    if not all(end.minimum for end in ends):
        return "The match is not a minimum along both ends, at least not for every length."
    if any(map(math.isinf, slopes)):
        return (
            "A minimum with an infinite slope: differences grow without bound as steps get shorter, "
            "as at a jump, at a cusp, or where the slope goes as a logarithm."
        )
    if all(found.sharp for found in anatomies):
        return (
            "Sharp: the match is a minimum, 0 lies between the slopes, and yet no gradient beside it "
            "is small. It does not fall with the loss; only the step size can."
        )
    if all(found.smooth for found in anatomies):
        if any(end.curvature == math.inf for end in ends):
            return (
                "The gradient goes to 0 with the loss, but the curvature is infinite: plain gradient "
                "descent settles with no constant step."
            )
        if any(math.isnan(found.largest_stable_step) for found in anatomies):
            return "The gradient goes to 0 with the loss; the curvature cannot be told everywhere."
        return (
            "Smooth: the gradient goes to 0 with the loss. Plain gradient descent settles with a "
            "constant step below the largest stable one."
        )
    return "A minimum, but neither sharp nor smooth in both ends and at every length."
