"""Figures of a training run: its curves, and the residual gradient at convergence."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spanloc.convergence import ConvergenceResult, GradientHistory
from spanloc.plots.style import BLUE, GREEN, GREY, ORANGE, palette, plain_log, tidy


def curves(
    history: GradientHistory, validated: tuple[str, np.ndarray, np.ndarray] | None = None
) -> Figure:
    """Losses, below them both gradient norms, and the metric of validation, over the steps.

    ``validated`` is the name of a metric, steps, and values, NaN where it was not measured.
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


def convergence(result: ConvergenceResult, history: GradientHistory) -> Figure:
    """Gradients of a run: of single pairs at its end, against the loss, and of batches against the whole.

    The result is that of :class:`~spanloc.training.callbacks.Convergence`.
    """
    figure = Figure(figsize=(11.5, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _pairs(left, result)
    _exponent(middle, result, history)
    _whole(right, result, history)
    return figure


def _pairs(axes: Axes, result: ConvergenceResult) -> None:
    rows = result.losses
    colours = palette(len(rows))
    for row, (name, colour) in enumerate(zip(rows, colours, strict=True)):
        histogram = rows[name].histogram
        counts = np.array(histogram.counts, float)
        # Each loss has a strip of its own: many of them have the very same peak.
        heights = 0.85 * counts / max(counts.max(), 1)
        base = len(rows) - 1 - row
        axes.stairs(base + heights, histogram.edges, baseline=base, fill=True, color=colour)
        bold = "bold" if name == result.trained else "normal"
        axes.annotate(name, (1.2e-5, base + 0.3), color=colour, fontweight=bold)
    axes.axvline(2**0.5, color=GREY, linestyle="--", linewidth=1, zorder=0)
    axes.set(xscale="log", xlim=(1e-5, 10), ylim=(0, len(rows)), yticks=[])
    axes.set(xlabel="length × gradient (dashed: √2)", title="Pairs, at the same predictions")
    tidy(axes)


def _exponent(axes: Axes, result: ConvergenceResult, history: GradientHistory) -> None:
    loss, gradient = history.span.double().numpy(), history.grad_spans.double().numpy()
    known = (loss > 0) & (gradient > 0)
    loss, gradient = loss[known], gradient[known]
    axes.set(xlabel="span loss", ylabel="length × gradient", title="Exponent: undetermined")
    fit = result.exponent
    if fit.determinable:
        axes.set_title(f"Exponent: {fit.slope:.2f}, in [{fit.low:.2f}, {fit.high:.2f}]")
    if len(loss):
        axes.plot(loss, gradient, ".", color=BLUE, markersize=3, alpha=0.35)
        axes.set(xscale="log", yscale="log", ylim=(gradient.min() / 2, 2 * gradient.max()))
        x, y = np.median(loss[-50:]), np.median(gradient[-50:])
        ends = np.array([loss.min(), loss.max()])
        for slope, label, style in ((0, "slope 0", "--"), (0.5, "slope 1/2", ":")):
            line = y * (ends / x) ** slope
            axes.plot(ends, line, style, color=ORANGE, linewidth=1.2, label=label)
        axes.legend(frameon=False, loc="best")
    plain_log(axes)
    tidy(axes)


def _whole(axes: Axes, result: ConvergenceResult, history: GradientHistory) -> None:
    params = history.grad_params
    # All of them, or the random sample that was measured.
    data = f"{result.num_sequences:,} samples at once"
    axes.plot(history.step.numpy(), params.numpy(), color=GREEN, linewidth=0.6, alpha=0.6)
    own = result.own
    axes.plot(result.step, own.grad_total, "o", color=ORANGE, label=f"{data}, total loss")
    axes.plot(result.step, own.grad_span, "D", color=ORANGE, label=f"{data}, span loss")
    axes.plot([], [], color=GREEN, label="mini-batches, total loss")
    if (params > 0).any():
        axes.set(yscale="log")
    axes.set(xlabel="step", title="Gradient of all parameters", ylabel="norm")
    axes.legend(frameon=False, loc="best")
    plain_log(axes)
    tidy(axes)
