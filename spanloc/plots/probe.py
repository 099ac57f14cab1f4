"""Figures of ``spanloc-probe``, for a talk: large type, and names at the lines."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spanloc.plots.style import GREY, SERIES, tidy

_SIZE = 13
# What is below counts as zero: exact ends would stretch a log axis down to 1e-16 and say no more.
_LEAST_LOSS, _LEAST_GRADIENT, _LEAST_ERROR = 1e-10, 5e-6, 1e-8
_BINS_PER_DECADE = 4


def match(sections: Mapping[str, tuple[Tensor, Tensor, Tensor]]) -> Figure:
    """Losses, and under them their derivatives, across the match in one end.

    Args:
        sections: Name to start error, loss and derivative, ``(n,)`` each, relative to the length;
            no error is 0.
    """
    figure = Figure(figsize=(9, 8), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    ends: list[list[tuple[float, str, str]]] = [[], []]
    for i, (name, (error, loss, derivative)) in enumerate(sections.items()):
        # Losses may be one: the later line is thinner, and both are seen.
        colour, width = SERIES[i % len(SERIES)], _width(i, len(sections))
        error, loss, derivative = (values.numpy() for values in (error, loss, derivative))
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
        _name_ends(axes, labels)
    return figure


def gradient_against_loss(points: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """Gradient norm against loss on log axes: slope 0 for a sharp loss, 1/2 for a smooth one.

    Args:
        points: Name to loss and relative gradient norm, ``(n,)`` each, of any steps of any descents.
            Each is drawn as the median in bins of the loss; a single one also point by point.
    """
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots()
    # The loss falls to the right, as it does in time.
    axes.set(xscale="log", yscale="log", xlim=(3, _LEAST_LOSS), ylim=(_LEAST_GRADIENT, 8))
    ends = []
    for i, (name, (loss, gradient)) in enumerate(points.items()):
        colour = SERIES[i % len(SERIES)]
        seen = (loss > _LEAST_LOSS) & (gradient > _LEAST_GRADIENT)
        x, y = loss[seen].double().numpy(), gradient[seen].double().numpy()
        if not len(x):
            continue
        if len(points) == 1:
            some = np.random.default_rng(0).permutation(len(x))[:6000]
            axes.plot(x[some], y[some], ".", color=colour, alpha=0.12, markersize=3)
        centre, middle = _binned(x, y)
        axes.plot(centre, middle, color=colour, linewidth=_width(i, len(points)), zorder=3)
        _to_the_margin(axes, centre[0], middle[0], colour)
        ends.append((middle[0], name, colour))
    axes.set_xlabel("loss, falling to the right", fontsize=_SIZE)
    axes.set_ylabel("length × gradient norm of a span", fontsize=_SIZE)
    _dress(axes)
    _guides(axes)
    _name_ends(axes, ends)
    return figure


def error_over_steps(
    errors: Mapping[str, tuple[Tensor, Tensor]], *, title: str | None = None
) -> Figure:
    """The larger error of both ends over the steps, median over the pairs, on log axes.

    Args:
        errors: Name to steps ``(k,)`` and relative end errors ``(k, n, 2)``.
        title: Of the figure.
    """
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots()
    last = max(int(steps[-1]) for steps, _ in errors.values())
    axes.set(xscale="log", yscale="log", xlim=(1, last), ylim=(_LEAST_ERROR, 4))
    ends, exits = [], []
    for i, (name, (steps, error)) in enumerate(errors.items()):
        colour = SERIES[i % len(SERIES)]
        middle = error.abs().amax(2).nanmedian(1).values.double().numpy()
        x, middle = steps.double().numpy(), np.maximum(middle, _LEAST_ERROR / 1e3)
        axes.plot(x, middle, color=colour, linewidth=2.2)
        if middle[-1] > _LEAST_ERROR:
            _to_the_margin(axes, x[-1], middle[-1], colour)
            ends.append((middle[-1], name, colour))
        else:
            exits.append((x, middle, name, colour))
    axes.set_xlabel("step", fontsize=_SIZE)
    axes.set_ylabel("error of the worse end / length, median", fontsize=_SIZE)
    if title:
        axes.set_title(title, fontsize=_SIZE + 1, loc="left")
    _dress(axes)
    _name_ends(axes, ends)
    _name_exits(axes, exits)
    return figure


def _guides(axes: Axes) -> None:
    # The slope of the text is that of the line as drawn, which the layout decides.
    x = np.array(axes.get_xlim())
    line = 1.2 * np.sqrt(x)
    style = {"color": GREY, "linestyle": "--", "linewidth": 1.2, "zorder": 1}
    axes.axhline(2**0.5, **style)
    axes.plot(x, line, **style)
    text = {"color": "#60666c", "fontsize": _SIZE - 1}
    axes.text(0.7 * x[0], 2**0.5 * 1.3, "slope 0, at √2: a sharp loss", **text)
    axes.annotate(
        "slope 1/2: a smooth loss", (1e-4, 0.012), (0, -9), textcoords="offset points",
        rotation=-np.degrees(np.arctan(_steepness(axes, x, line))), rotation_mode="anchor",
        va="top", **text,
    )  # fmt: skip


def _steepness(axes: Axes, x: np.ndarray, y: np.ndarray) -> float:
    axes.figure.draw_without_rendering()
    (left, top), (right, bottom) = axes.transData.transform(np.stack([x, y], -1))
    return (top - bottom) / (right - left)


def _to_the_margin(axes: Axes, x: float, y: float, colour: str) -> None:
    axes.plot([x, axes.get_xlim()[1]], [y, y], ":", color=colour, linewidth=1.2)


def _name_exits(axes: Axes, exits: Sequence[tuple[np.ndarray, np.ndarray, str, str]]) -> None:
    # Lines that leave through the bottom are named on their way, each at a height of its own.
    for i, (x, middle, name, colour) in enumerate(sorted(exits, key=lambda e: _exit(e[0], e[1]))):
        level = _LEAST_ERROR * 10 ** (0.4 + 0.7 * (i % 5))
        crossing = x[np.flatnonzero(middle > level)[-1]]
        axes.annotate(
            name, (crossing, level), (6, 0), textcoords="offset points", color=colour,
            fontsize=_SIZE, va="center", zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1},
        )  # fmt: skip


def _exit(x: np.ndarray, middle: np.ndarray) -> float:
    return float(x[np.flatnonzero(middle > _LEAST_ERROR)[-1]])


def _binned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cell = np.floor(np.log10(x) * _BINS_PER_DECADE)
    kept = [c for c in np.unique(cell) if (cell == c).sum() >= 3]
    centre = np.array([10 ** ((c + 0.5) / _BINS_PER_DECADE) for c in kept])
    return centre, np.array([np.median(y[cell == c]) for c in kept])


def _width(i: int, count: int) -> float:
    return 2.2 + 2.6 * (count - 1 - i)  # the first is the widest, and lies lowest


def _dress(axes: Axes) -> None:
    axes.tick_params(labelsize=_SIZE - 2)
    tidy(axes)


def _name_ends(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    # At the right margin, in the order of the lines, at least one line of text apart.
    if not labels:
        return
    axes.figure.draw_without_rendering()
    labels = sorted(labels, key=lambda label: label[0])
    inverse = axes.transAxes.inverted()
    wanted = [
        inverse.transform(axes.transData.transform((axes.get_xlim()[1], value)))[1].clip(0, 1)
        for value, _, _ in labels
    ]
    gap = 1.35 * _SIZE / 72 / (axes.get_window_extent().height / axes.figure.dpi)
    for (_, name, colour), wish, y in zip(labels, wanted, _apart(wanted, gap), strict=True):
        axes.annotate(
            name, (1, wish), (1.03, y), "axes fraction", "axes fraction", color=colour,
            fontsize=_SIZE, va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 0},
        )  # fmt: skip


def _apart(wanted: Sequence[float], gap: float) -> list[float]:
    # Rising places, each near its wish: groups that are too close are centred on their mean wish.
    groups: list[list[float]] = []
    for wish in wanted:
        groups.append([wish])
        while len(groups) > 1:
            (below, above) = groups[-2], groups[-1]
            if _top(below, gap) + gap <= _top(above, gap) - gap * (len(above) - 1):
                break
            groups[-2:] = [below + above]
    return [
        _top(group, gap) - gap * (len(group) - 1 - i) for group in groups for i in range(len(group))
    ]


def _top(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) + gap * (len(group) - 1) / 2
