"""Figures of ``spanloc-probe``, for a talk: large type, and names at the lines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spanloc.convergence import Descent, Trajectories
from spanloc.convergence.anatomy import Section
from spanloc.plots.style import GREY, WIDTH, Colour, new_axes, palette, tidy

_SIZE = 13
# What is below counts as zero: exact ends would stretch a log axis down to 1e-16 and say no more.
_LEAST_LOSS, _LEAST_GRADIENT, _LEAST_ERROR = 1e-10, 5e-6, 1e-8
_BINS_PER_DECADE = 4
_GRID = np.linspace(-1, -8, 50)  # where lines are compared, log10 of the loss


def match(sections: Mapping[str, Section]) -> Figure:
    """Losses by name, and under them their derivatives, across the match in one end."""
    figure = Figure(figsize=(WIDTH, 8), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    ends: list[list[tuple[float, str, Colour]]] = [[], []]
    widths = _widths([section.derivative.numpy() for section in sections.values()])
    colours = palette(len(sections))
    for (name, section), colour, width in zip(sections.items(), colours, widths, strict=False):
        error, loss, derivative = (values.numpy() for values in section)
        upper.plot(error, loss, color=colour, linewidth=width)
        for side in (error < 0, error > 0):
            lower.plot(error[side], derivative[side], color=colour, linewidth=width)
        left, right = derivative[error < 0][-1], derivative[error > 0][0]
        if right - left > 0.05:
            lower.plot(
                [0, 0], [left, right], "o", color=colour, markerfacecolor="white", markersize=9
            )
        ends[0].append((loss[-1], name, colour))
        ends[1].append((derivative[-1], name, colour))
    lower.axhline(0, color=GREY, linewidth=1, zorder=1)
    upper.set_ylabel("loss", fontsize=_SIZE)
    lower.set_ylabel("length × derivative", fontsize=_SIZE)
    lower.set_xlabel("error of the start / length, the end is right", fontsize=_SIZE)
    for axes, labels in zip((upper, lower), ends, strict=True):
        axes.margins(x=0)
        _dress(axes)
        _name_ends(axes, labels, rows=2)
    return figure


def gradient_against_loss(trajectories: Mapping[str, Trajectories]) -> Figure:
    """Gradient norm against loss on log axes, by name: slope 0 for a sharp loss, 1/2 for a smooth one.

    Lines are medians in bins of the loss, over all steps of all descents; a single loss is also drawn
    point by point.
    """
    figure, axes = new_axes(WIDTH, 6.5)
    # The loss falls to the right, as it does in time.
    axes.set(xscale="log", yscale="log", xlim=(3, _LEAST_LOSS), ylim=(_LEAST_GRADIENT, 8))
    lines = {}
    colours = palette(len(trajectories))
    for (name, found), colour in zip(trajectories.items(), colours, strict=False):
        loss, gradient = found.points
        seen = (loss > _LEAST_LOSS) & (gradient > _LEAST_GRADIENT)
        x, y = loss[seen].double().numpy(), gradient[seen].double().numpy()
        if not len(x):
            continue
        if len(trajectories) == 1:
            some = np.random.default_rng(0).permutation(len(x))[:6000]
            axes.plot(x[some], y[some], ".", color=colour, alpha=0.12, markersize=3)
        lines[name] = (*_binned(x, y), colour)
    widths = _widths([np.interp(-_GRID, -np.log10(x), y) for x, y, _ in lines.values()])
    for (x, y, colour), width in zip(lines.values(), widths, strict=True):
        axes.plot(x, y, color=colour, linewidth=width, zorder=3)
        _to_the_margin(axes, x[-1], y[-1], colour)
    axes.set_xlabel("loss, falling to the right", fontsize=_SIZE)
    axes.set_ylabel("length × gradient norm of a span", fontsize=_SIZE)
    _dress(axes)
    _guides(axes)
    _name_ends(axes, [(y[-1], name, colour) for name, (_, y, colour) in lines.items()])
    return figure


def error_over_steps(descents: Mapping[str, Descent], *, title: str | None = None) -> Figure:
    """The error of the worse end over the steps, median over the pairs, on log axes; a line a name.

    A sharp loss makes ends jump from side to side, and every now and then all of them land close by
    chance; so the largest error of the last tenth of the steps is drawn, as far as recorded.
    """
    figure, axes = new_axes(WIDTH, 6.5)
    last = max(int(found.steps[-1]) for found in descents.values())
    # A single step would leave an axis of no width.
    axes.set(xscale="log", yscale="log", xlim=(1, max(last, 2)), ylim=(_LEAST_ERROR, 4))
    lines = {
        name: (found.steps.double().numpy(), _recent(found.steps, found.error.abs().amax(2)))
        for name, found in descents.items()
    }
    grid = np.geomspace(1, last, 50)
    widths = _widths([np.interp(grid, x, y) for x, y in lines.values()])
    ends = []
    colours = palette(len(lines))
    for (name, (x, y)), colour, width in zip(lines.items(), colours, widths, strict=False):
        axes.plot(x, y, color=colour, linewidth=width)
        if y[-1] > _LEAST_ERROR:
            _to_the_margin(axes, x[-1], y[-1], colour)
            ends.append((y[-1], name, colour))
        else:
            # What leaves through the bottom is named beside it, with the step where it does; each a
            # trace below the one before, so that they are listed in that order.
            step = x[np.flatnonzero(y > _LEAST_ERROR)[-1] + 1]
            ends.append((_LEAST_ERROR / step, f"{name} ↓ {step:.0f}", colour))
    leaving = any("↓" in name for _, name, _ in ends)
    axes.set_xlabel("step" + ", and ↓ where a line leaves" * leaving, fontsize=_SIZE)
    axes.set_ylabel("error of the worse end / length", fontsize=_SIZE)
    if title:
        axes.set_title(title, fontsize=_SIZE + 1, loc="left")
    _dress(axes)
    _name_ends(axes, ends)
    return figure


def _recent(steps: Tensor, error: Tensor) -> np.ndarray:
    # Median over the pairs of the largest error in the last tenth of the steps; between two recorded
    # steps it is interpolated, or the window would move in leaps.
    now = error.nanmedian(1).values.clamp(min=_LEAST_ERROR / 1e6).log()
    begin = torch.as_tensor(np.interp(0.9 * steps.numpy(), steps.numpy(), now.numpy())).exp()
    windows = [(steps > 0.9 * step) & (steps <= step) for step in steps]
    largest = torch.stack([error[window].amax(0).nanmedian() for window in windows])
    return torch.maximum(largest, begin).numpy()


def _guides(axes: Axes) -> None:
    x = np.array(axes.get_xlim())
    style: Any = {"color": GREY, "linestyle": "--", "linewidth": 1.2, "zorder": 1}
    axes.axhline(2**0.5, **style)
    axes.plot(x, 1.2 * np.sqrt(x), **style)
    text: Any = {"color": "#60666c", "fontsize": _SIZE - 1}
    axes.text(0.7 * x[0], 2**0.5 * 1.35, "slope 0, at √2: a sharp loss", **text)
    axes.text(2e-6, 1e-3, "slope 1/2: a smooth loss", ha="right", **text)


def _to_the_margin(axes: Axes, x: float, y: float, colour: Colour) -> None:
    axes.plot([x, axes.get_xlim()[1]], [y, y], ":", color=colour, linewidth=1.2)


def _binned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # From large losses to small ones, the median in each bin.
    cell = np.floor(np.log10(x) * _BINS_PER_DECADE)
    kept = [c for c in np.unique(cell)[::-1] if (cell == c).sum() >= 3]
    centre = np.array([10 ** ((c + 0.5) / _BINS_PER_DECADE) for c in kept])
    return centre, np.array([np.median(y[cell == c]) for c in kept])


def _widths(curves: Sequence[np.ndarray]) -> list[float]:
    # Of lines that are one, the later are thinner, so that all are seen.
    return [
        2.2 + 2.6 * sum(np.mean(abs(a - b) <= 0.03 * abs(b)) > 0.85 for b in curves[i + 1 :])
        for i, a in enumerate(curves)
    ]


def _dress(axes: Axes) -> None:
    axes.tick_params(labelsize=_SIZE - 2)
    tidy(axes)


def _name_ends(axes: Axes, labels: Sequence[tuple[float, str, Colour]], *, rows: int = 1) -> None:
    # At the right margin, in the order of the lines, at least one line of text apart. What lies
    # below the axes is listed at its bottom. The figure has so many rows of axes.
    labels = sorted(labels, key=lambda label: label[0])
    to_axes = axes.transScale + axes.transLimits
    places = [to_axes.transform((axes.get_xlim()[1], value))[1] for value, _, _ in labels]
    wishes = [max(place, 0.02) for place in places]
    figure: Any = axes.figure
    gap = 1.45 * _SIZE / 72 / (0.9 * figure.get_figheight() / rows)
    for (_, name, colour), place, y in zip(labels, places, _apart(wishes, gap), strict=True):
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.8, "relpos": (0, 0.5)}
        axes.annotate(
            name, (1, place), (1.03, y), "axes fraction", "axes fraction", color=colour,
            fontsize=_SIZE, va="center", annotation_clip=False,
            arrowprops={**line, "shrinkA": 1, "shrinkB": 0} if place >= 0 else None,
        )  # fmt: skip


def _apart(wishes: Sequence[float], gap: float) -> list[float]:
    from scipy.optimize import isotonic_regression  # lazy: a training draws without

    # Places at least a gap apart and not below the bottom, with the least squared distance to the wishes.
    shifts = gap * np.arange(len(wishes))
    places: list[float] = (
        np.maximum(isotonic_regression(wishes - shifts).x, 0.02) + shifts
    ).tolist()
    return places
