"""Figures of ``spanloc-probe``, for a talk: large type."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spanloc.convergence import Descent, Trajectories
from spanloc.convergence.anatomy import Section
from spanloc.plots.style import GREY, WIDTH, Colour, colour_legend, new_axes, palette, tidy

_SIZE = 13
# What is below counts as zero: exact ends would stretch a log axis down to 1e-16 and say no more.
_LEAST_LOSS, _LEAST_GRADIENT, _LEAST_ERROR = 1e-10, 5e-6, 1e-8
_BINS_PER_DECADE = 4
_GRID = np.linspace(-1, -8, 50)  # where lines are compared, log10 of the loss


def match(sections: Mapping[str, Section]) -> Figure:
    """Losses by name, and under them their derivatives, across the match in one end."""
    figure = Figure(figsize=(WIDTH, 8), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    widths = _widths([section.derivative.numpy() for section in sections.values()])
    colours = palette(len(sections))
    for section, colour, width in zip(sections.values(), colours, widths, strict=False):
        error, loss, derivative = (values.numpy() for values in section)
        upper.plot(error, loss, color=colour, linewidth=width)
        for side in (error < 0, error > 0):
            lower.plot(error[side], derivative[side], color=colour, linewidth=width)
        left, right = derivative[error < 0][-1], derivative[error > 0][0]
        if right - left > 0.05:
            lower.plot(
                [0, 0], [left, right], "o", color=colour, markerfacecolor="white", markersize=9
            )
    lower.axhline(0, color=GREY, linewidth=1, zorder=1)
    upper.set_ylabel("loss", fontsize=_SIZE)
    lower.set_ylabel("length × derivative", fontsize=_SIZE)
    lower.set_xlabel("error of the start / length, the end is right", fontsize=_SIZE)
    for axes in (upper, lower):
        axes.margins(x=0)
        _dress(axes)
    _name(figure, zip(colours, sections, strict=False))
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
    axes.set_xlabel("loss, falling to the right", fontsize=_SIZE)
    axes.set_ylabel("length × gradient norm of a span", fontsize=_SIZE)
    _dress(axes)
    _guides(axes)
    _name(figure, ((colour, name) for name, (_, _, colour) in lines.items()))
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
    names = []
    colours = palette(len(lines))
    for (name, (x, y)), colour, width in zip(lines.items(), colours, widths, strict=False):
        axes.plot(x, y, color=colour, linewidth=width)
        if y[-1] <= _LEAST_ERROR:  # named with the step where it leaves through the bottom
            name += f" ↓ {x[np.flatnonzero(y > _LEAST_ERROR)[-1] + 1]:.0f}"
        names.append(name)
    axes.set_xlabel(
        "step" + ", and ↓ where a line leaves" * any("↓" in name for name in names), fontsize=_SIZE
    )
    axes.set_ylabel("error of the worse boundary / length", fontsize=_SIZE)
    if title:
        axes.set_title(title, fontsize=_SIZE + 1, loc="left")
    _dress(axes)
    _name(figure, zip(colours, names, strict=False))
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


def _name(figure: Figure, entries: Iterable[tuple[Colour, str]]) -> None:
    colour_legend(figure, [*entries], loc="outside right upper", ncols=1, fontsize=_SIZE)
