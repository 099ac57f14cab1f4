"""What is left of the gradient at convergence."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spanloc.convergence import ConvergenceResult, GradientHistory
from spanloc.plots.style import BLUE, GREEN, GREY, ORANGE, palette, plain_log, tidy


def convergence(result: ConvergenceResult, history: GradientHistory) -> Figure:
    """Three views of a run: pair by pair at its end, gradient against loss, and batch against whole.

    Args:
        result: What :class:`~spanloc.training.callbacks.Convergence` measured.
        history: Of the run.
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
    span, spans = history.span.double().numpy(), history.grad_spans.double().numpy()
    known = (span > 0) & (spans > 0)
    axes.set(xlabel="span loss", ylabel="length × gradient")
    fit = result.exponent
    title = "Exponent: not determinable"
    if fit.determinable:
        title = f"Exponent: {fit.slope:.2f}, in [{fit.low:.2f}, {fit.high:.2f}]"
    if known.any():
        axes.plot(span[known], spans[known], ".", color=BLUE, markersize=3, alpha=0.35)
        axes.set(xscale="log", yscale="log")
        x, y = np.median(span[known][-50:]), np.median(spans[known][-50:])
        ends = np.array([span[known].min(), span[known].max()])
        for slope, label, style in ((0, "slope 0", "--"), (0.5, "slope 1/2", ":")):
            line = y * (ends / x) ** slope
            axes.plot(ends, line, style, color=ORANGE, linewidth=1.2, label=label)
        low, high = spans[known].min(), spans[known].max()
        axes.set_ylim(low / 2, 2 * high)
        axes.legend(frameon=False, loc="best")
    axes.set_title(title)
    plain_log(axes)
    tidy(axes)


def _whole(axes: Axes, result: ConvergenceResult, history: GradientHistory) -> None:
    params = history.grad_params
    # All of them, or the random sample that was measured.
    data = f"{result.num_sequences:,} samples at once"
    axes.plot(history.step.numpy(), params.numpy(), color=GREEN, linewidth=0.6, alpha=0.6)
    for key, label, marker in (("grad_total", "total loss", "o"), ("grad_span", "span loss", "D")):
        axes.plot(
            result.step, getattr(result.own, key), marker, color=ORANGE, label=f"{data}, {label}"
        )
    axes.plot([], [], color=GREEN, label="mini-batches, total loss")
    if (params > 0).any():
        axes.set(yscale="log")
    axes.set(xlabel="step", title="Gradient of all parameters", ylabel="norm")
    axes.legend(frameon=False, loc="best")
    plain_log(axes)
    tidy(axes)
