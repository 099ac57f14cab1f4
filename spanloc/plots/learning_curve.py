"""A metric against the number of training sequences."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from spanloc.plots.style import palette, tidy


class Learned(NamedTuple):
    """One curve: what the runs reached, and a fit with its interval.

    Attributes:
        counts, values: ``(runs,)``: training sequences and metric of each run.
        grid: ``(points,)``: the numbers of sequences at which the fit is drawn, rising.
        fit, low, high: ``(points,)``: the fitted metric there, and its 95 % interval.
        label: What the runs are; may be empty.
    """

    counts: np.ndarray
    values: np.ndarray
    grid: np.ndarray
    fit: np.ndarray
    low: np.ndarray
    high: np.ndarray
    label: str = ""


def learning_curve(curves: Sequence[Learned], metric: str) -> Figure | None:
    """The metric against the number of training sequences, on a log axis; None without curves.

    A dot is a run; the line is the fit, dashed beyond the runs; the band is its 95 % interval.
    """
    if not curves:
        return None
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for curve, colour in zip(curves, palette(len(curves)), strict=True):
        axes.plot(curve.counts, curve.values, "o", color=colour, markersize=5, alpha=0.7)
        axes.fill_between(curve.grid, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
        most = curve.counts.max()
        for part, line in ((curve.grid <= most, "-"), (curve.grid >= most, "--")):
            axes.plot(curve.grid[part], curve.fit[part], line, color=colour, linewidth=1.6)
        axes.annotate(
            f"{curve.fit[-1]:.3f}",
            (curve.grid[-1], curve.fit[-1]),
            (4, 0),
            textcoords="offset points",
            color=colour,
            fontsize=9,
            va="center",
        )
        if curve.label:
            axes.plot([], [], "o-", color=colour, markersize=5, label=curve.label)
    axes.set_xscale("log")
    ticks = sorted({int(n) for c in curves for n in (*c.counts, c.grid[-1])})
    # Numbers that are close would overlap.
    kept = [n for i, n in enumerate(ticks) if i == 0 or n >= 1.15 * ticks[i - 1]]
    axes.set_xticks(kept, [str(n) for n in kept])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training sequences")
    axes.set_ylabel(metric, parse_math=False)
    axes.margins(x=0.08)
    if any(curve.label for curve in curves):
        for text in axes.legend(frameon=False, fontsize=8).get_texts():
            text.set_parse_math(False)
    tidy(axes)
    return figure
