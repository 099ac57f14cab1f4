"""Figures of a training run."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spanloc.convergence import GradientHistory
from spanloc.plots.style import BLUE, GREEN, GREY, ORANGE, plain_log, tidy


def curves(
    history: GradientHistory, validated: tuple[str, np.ndarray, np.ndarray] | None = None
) -> Figure:
    """Losses, below them both gradient norms, and the metric of validation, over the steps.

    Args:
        history: Of the run.
        validated: Name of a metric, steps and values, NaN where it was not measured.
    """
    steps = history.step
    figure = Figure(figsize=(8, 6 if validated is None else 8.4), layout="constrained")
    upper, lower, *more = figure.subplots(2 if validated is None else 3, sharex=True)
    _curve(upper, steps, history.span, BLUE, "span loss, mean over the matched pairs")
    _curve(upper, steps, history.score, ORANGE, "score loss")
    upper.set_ylabel("loss")
    _curve(lower, steps, history.grad_spans, BLUE, "at the spans: length × gradient")
    _curve(lower, steps, history.grad_params, GREEN, "of all parameters, before clipping")
    sharp = "√2, a sharp loss"
    lower.axhline(2**0.5, color=GREY, linestyle="--", linewidth=1, zorder=1, label=sharp)
    lower.set_ylabel("gradient norm")
    for axes in (upper, lower):
        axes.set(xscale="log", yscale="log")
        plain_log(axes)
    if validated is not None:
        name, at, values = validated
        known = np.isfinite(values)
        more[0].plot(at[known], values[known], color=BLUE, marker="o", markersize=3, label=name)
        more[0].set_ylabel("validation")
    for axes in (upper, lower, *more):
        # Above, where no line can be.
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=8)
        tidy(axes)
    axes.set_xlabel("step")
    return figure


def _curve(axes: Axes, at: Tensor, of: Tensor, colour: str, label: str) -> None:
    steps, values = at.numpy(), of.double().numpy()
    known = np.isfinite(values) & (values > 0)
    steps, values = steps[known], values[known]
    # A line through a single step would not be seen.
    marker = "o" if len(values) < 20 else None
    axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8, marker=marker)
    if len(values):
        # A moving average over a twentieth of the steps so far: even on a log axis.
        total = np.concatenate(([0.0], np.cumsum(values)))
        last = np.arange(1, len(values) + 1)
        first = last - np.maximum(1, last // 20)
        axes.plot(steps, (total[last] - total[first]) / (last - first), color=colour, label=label)
