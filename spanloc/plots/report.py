"""Figures over many runs. They carry no legend: the page gives one for all, by colour."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from spanloc.plots.style import GREY, palette, readable_log, tidy

_MOST_BLOCKS = 25


class Curve(NamedTuple):
    """One run: losses and gradient norms ``(n,)`` in the order of its steps, and its group."""

    loss: np.ndarray
    gradient: np.ndarray
    group: int
    finished: bool


def group_colours(count: int) -> list[str]:
    """The colours of the groups, in hexadecimal; they repeat after 18."""
    return ["#" + "".join(f"{round(255 * part):02x}" for part in c) for c in palette(count)]


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
        sharp: Where the line of slope 0 is; None: at the middle of what is drawn.
    """
    lines = [(curve, *_blocks(curve)) for curve in curves]
    lines = [line for line in lines if len(line[1])]
    if not lines:
        return None
    figure = Figure(figsize=(5.2, 4.2), layout="constrained")
    axes = figure.subplots()
    colours = group_colours(num_groups)
    for curve, loss, gradient in lines:
        style: Any = {"color": colours[curve.group], "linestyle": "-" if curve.finished else "--"}
        axes.plot(loss, gradient, linewidth=1.2, alpha=0.8, **style)
        axes.plot(loss[-1:], gradient[-1:], "o", markersize=5, **style)
    losses = np.concatenate([loss for _, loss, _ in lines])
    level = np.median(np.concatenate([gradient for *_, gradient in lines]))
    _guides(axes, losses, sharp or level)
    axes.set(xscale="log", yscale="log", xlabel="span loss", ylabel="gradient norm")
    readable_log(axes.xaxis)
    readable_log(axes.yaxis)
    tidy(axes)
    return figure


def seed_dots(values: Sequence[tuple[str, Mapping[int, float], int]], name: str) -> Figure | None:
    """A dot for every seed, a row for every group, the means as bars; None without values.

    Thin lines join the runs of one seed: where they all lean to one side, the groups differ.

    Args:
        values: Label, values by seed and number of the group.
        name: What is drawn.
    """
    rows = [row for row in values if row[1]]
    if not rows:
        return None
    figure = Figure(figsize=(5.2, 0.9 + 0.62 * len(rows)), layout="constrained")
    axes = figure.subplots()
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
    axes.plot([low, high], [level, level], **style)
    axes.plot([low, high], [level * (low / high) ** 0.5, level], **style)
    for slope, y in (("slope 0", level), ("slope 1/2", level * (low / high) ** 0.5)):
        axes.annotate(
            slope, (low, y), (2, 3), textcoords="offset points", color="#6b7075", fontsize=8
        )
