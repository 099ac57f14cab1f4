"""Figure of the reliability of scores."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from spanloc.plots.style import BLUE, GREY, tidy


def reliability(
    counts: Sequence[int], scores: Sequence[float], shares: Sequence[float]
) -> Figure | None:
    """The share of right predictions over their score, and how many there are; None without any.

    Args:
        counts: Predictions by bins of equal width over ``[0, 1]``.
        scores, shares: Mean score, and share that is right, of each bin; NaN for an empty one.
    """
    total = np.array(counts)
    if not total.sum():
        return None
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    there = total > 0
    # Against right and wrong drawn by chance at that score: two standard errors.
    centre = np.array(scores)[there]
    spread = 2 * np.sqrt(centre * (1 - centre) / total[there])
    upper.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="calibrated")
    low, high = (np.clip(centre + s * spread, 0, 1) for s in (-1, 1))
    upper.vlines(
        centre, low, high, color=GREY, linewidth=4, alpha=0.4, label="calibrated: 2 s.e. of a bin"
    )
    upper.plot(centre, np.array(shares)[there], "o-", color=BLUE, label="these predictions")
    upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(-0.03, 1.03))
    upper.legend(fontsize=8, frameon=False, loc="upper left")
    edges = np.linspace(0, 1, len(total) + 1)
    lower.bar(edges[:-1], total, np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    lower.set(xlabel="score", ylabel="predictions", yscale="log")
    for axes in (upper, lower):
        axes.set_axisbelow(True)
        tidy(axes)
    return figure
