"""Figures over many runs. They carry no legend: the page gives one for all, by colour."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from spanloc.plots.style import GREY, new_axes, palette, readable_log, tidy

_MOST_BLOCKS = 25


class Curve(NamedTuple):
    """One run: losses and gradient norms ``(n,)`` in the order of its steps, and its group."""

    loss: np.ndarray
    gradient: np.ndarray
    group: int
    finished: bool


def group_colours(count: int) -> list[str]:
    """The colours of the groups, in hexadecimal; they repeat after 18."""
    return [to_hex(colour) for colour in palette(count)]


def loss_gradient(
    curves: Sequence[Curve], num_groups: int, *, sharp: float | None
) -> Figure | None:
    """Gradient norm against loss on log axes, a line a run; None where nothing can be drawn.

    A run goes from right to left and ends in a dot. Lines are medians over up to 25 blocks of steps;
    those of unfinished runs are dashed. The grey lines have the slopes that a sharp and a smooth
    loss have near the optimum, 0 and 1/2.

    Args:
        curves: What is not positive and finite is left out.
        num_groups: Of all, for the colours.
        sharp: Where the line of slope 0 is; None: there are no such lines.
    """
    lines = [(curve, *_blocks(curve)) for curve in curves]
    lines = [line for line in lines if len(line[1])]
    if not lines:
        return None
    figure, axes = new_axes(5.2, 4.2)
    colours = group_colours(num_groups)
    for curve, loss, gradient in lines:
        style: Any = {"color": colours[curve.group], "linestyle": "-" if curve.finished else "--"}
        axes.plot(loss, gradient, linewidth=1.2, alpha=0.8, **style)
        axes.plot(loss[-1:], gradient[-1:], "o", markersize=5, **style)
    if sharp is not None:
        _guides(axes, np.concatenate([loss for _, loss, _ in lines]), sharp)
    axes.set(xscale="log", yscale="log", xlabel="span loss", ylabel="gradient norm")
    readable_log(axes.xaxis)
    readable_log(axes.yaxis)
    tidy(axes)
    return figure


def seed_dots(values: Sequence[tuple[str, Mapping[Any, float], int]], name: str) -> Figure | None:
    """A dot for every seed, a row for every group, the means as bars; None without values.

    Thin lines join the runs of one seed: where they all lean to one side, the groups differ.

    Args:
        values: Label, values by seed and number of the group.
        name: What is drawn.
    """
    rows = [row for row in values if row[1]]
    if not rows:
        return None
    figure, axes = new_axes(5.2, 0.9 + 0.62 * len(rows))
    colours = group_colours(1 + max(group for *_, group in rows))
    for seed in sorted({seed for _, by_seed, _ in rows for seed in by_seed}):
        joined = [(by_seed[seed], -y) for y, (_, by_seed, _) in enumerate(rows) if seed in by_seed]
        axes.plot(*zip(*joined, strict=True), color=GREY, linewidth=0.7, alpha=0.7, zorder=1)
    for y, (label, by_seed, group) in enumerate(rows):
        found = list(by_seed.values())
        axes.plot(found, [-y] * len(found), "o", color=colours[group], markersize=5, alpha=0.8)
        axes.plot([np.mean(found)] * 2, [-y - 0.22, -y + 0.22], color=colours[group], linewidth=2)
        # Above its row, since a long label beside it would leave no room. It may hold a dollar.
        axes.annotate(
            label if len(label) <= 60 else f"{label[:59]}…",
            (0, -y + 0.28),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            va="bottom",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            parse_math=False,
        )
    axes.set(yticks=[], ylim=(0.4 - len(rows), 0.75))
    axes.set_xlabel(name, parse_math=False)
    axes.margins(x=0.08)
    axes.spines["left"].set_visible(False)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.locator_params(axis="x", nbins=6)
    tidy(axes)
    return figure


def learning_curve(curves: Sequence[Any], metric: str) -> Figure | None:
    """The metric against the number of training sequences, on a log axis; None without curves.

    A dot is a run; the line is the fit, dashed beyond the runs, up to twice the most sequences; the band
    is its 95 % interval. The legend names the marks of a single curve, and the labels of several.

    Args:
        curves: As of :func:`spanloc.reports.learning_curves`.
        metric: Its name.
    """
    if not curves:
        return None
    figure, axes = new_axes(6.4, 4.2)
    for curve, colour in zip(curves, palette(len(curves)), strict=True):
        most = curve.counts.max()
        below = np.geomspace(curve.counts.min(), most, 40)
        grid = np.concatenate([below, np.geomspace(most, 2 * most, 20)])
        value, low, high = np.array([curve.at(count) for count in grid]).T
        (runs,) = axes.plot(curve.counts, curve.values, "o", color=colour, markersize=5, alpha=0.7)
        band = axes.fill_between(grid, low, high, color=colour, alpha=0.15, lw=0)
        known, beyond = grid <= most, grid >= most
        (fit,) = axes.plot(grid[known], value[known], color=colour, linewidth=1.6)
        (dashes,) = axes.plot(grid[beyond], value[beyond], "--", color=colour, lw=1.6)
        axes.annotate(
            f"{value[-1]:.3f}",
            (grid[-1], value[-1]),
            (4, 0),
            textcoords="offset points",
            color=colour,
            fontsize=9,
            va="center",
        )
        axes.plot([], [], "o-", color=colour, markersize=5, label=curve.label)
    axes.set_xscale("log")
    ticks = sorted({int(n) for c in curves for n in (*c.counts, 2 * c.counts.max())})
    # Numbers that are close would overlap.
    kept = [n for i, n in enumerate(ticks) if i == 0 or n >= 1.15 * ticks[i - 1]]
    axes.set_xticks(kept, [str(n) for n in kept])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training sequences")
    axes.set_ylabel(metric, parse_math=False)
    axes.margins(x=0.08)
    handles, labels = axes.get_legend_handles_labels()
    if len(curves) == 1:
        handles = [runs, fit, dashes, band]
        labels = ["a run", "fit", "extrapolation", "95 % interval"]
    for text in axes.legend(handles, labels, frameon=False, fontsize=8).get_texts():
        text.set_parse_math(False)
    tidy(axes)
    return figure


def _blocks(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    points = np.stack([curve.loss, curve.gradient])
    known = (points > 0) & np.isfinite(points)
    points = points[:, known.all(0)]
    # Fewer than five steps would show the noise of their batches.
    count = min(_MOST_BLOCKS, max(1, points.shape[1] // 5))
    blocks = np.array_split(points, count, axis=1)
    medians = [np.median(block, axis=1) for block in blocks if block.shape[1]]
    loss, gradient = np.array(medians).reshape(-1, 2).T
    return loss, gradient


def _guides(axes, losses: np.ndarray, level: float) -> None:
    low, high = losses.min() / 1.5, losses.max() * 1.5
    style = {"color": GREY, "linestyle": ":", "linewidth": 1.2, "zorder": 1}
    text = {"textcoords": "offset points", "color": "#6b7075", "fontsize": 8}
    for slope, y in (("slope 0", level), ("slope 1/2", level * (low / high) ** 0.5)):
        axes.plot([low, high], [y, level], **style)
        axes.annotate(slope, (low, y), (2, 3), **text)
