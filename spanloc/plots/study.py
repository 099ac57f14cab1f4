"""Figures of a search of settings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spanloc.plots.style import BLUE, GREY, ORANGE, new_axes, plain_log, tidy


def study_history(
    trials: Sequence[tuple[int, float, bool]], name: str, *, up: bool
) -> Figure | None:
    """The value of every trial by its number, and the best of the finished ones so far; None without trials.

    Trials have a number, a value, and whether they finished; ``up``: more is better.
    """
    if not trials:
        return None
    figure, axes = _dots(trials, "trial", name)
    if done := [(number, value) for number, value, finished in trials if finished]:
        numbers, values = zip(*done, strict=True)
        best = (np.maximum if up else np.minimum).accumulate(values)
        axes.step(numbers, best, where="post", color=ORANGE, linewidth=1.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def importances(shares: Mapping[str, float]) -> Figure | None:
    """A bar for every parameter, the most important on top; None without any."""
    if not shares:
        return None
    figure, axes = new_axes(5.2, 0.9 + 0.4 * len(shares))
    order = sorted(shares.items(), key=lambda pair: pair[1])
    axes.barh(range(len(order)), [share for _, share in order], color=BLUE)
    axes.set_yticks(range(len(order)), [name for name, _ in order], parse_math=False)
    axes.set_xlabel("importance")
    tidy(axes)
    return figure


def study_slices(
    points: Sequence[tuple[Any, float, bool]], parameter: str, name: str, *, log: bool
) -> Figure | None:
    """The value of every trial against one parameter; None without trials.

    Points have the value of the parameter, that of the trial, and whether it finished; ``log``: numbers
    of the parameter lie on a log axis.
    """
    if not points:
        return None
    if all(isinstance(p, int | float) and not isinstance(p, bool) for p, *_ in points):
        figure, axes = _dots(points, parameter, name)
        if log:
            axes.set_xscale("log")
            plain_log(axes)
        return figure
    names = sorted({str(place) for place, *_ in points})
    figure, axes = _dots([(names.index(str(p)), *more) for p, *more in points], parameter, name)
    axes.set_xticks(range(len(names)), names, parse_math=False)
    axes.set_xlim(-0.5, len(names) - 0.5)
    return figure


def _dots(points: Sequence[Any], what: str, name: str) -> tuple[Figure, Axes]:
    figure, axes = new_axes(5.2, 3.4)
    x, y, finished = (np.array(column) for column in zip(*points, strict=True))
    axes.plot(x[finished], y[finished], "o", color=BLUE, markersize=5, alpha=0.8)
    axes.plot(x[~finished], y[~finished], "o", color=GREY, markersize=5, fillstyle="none")
    axes.set_xlabel(what, parse_math=False)
    axes.set_ylabel(name, parse_math=False)
    tidy(axes)
    return figure, axes
