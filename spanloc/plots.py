"""Every figure. Each function draws on data in memory and returns the figure."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

_BLUE, _ORANGE, _GREEN, _GREY = "#1f6fb2", "#d9730d", "#2f8f5b", "#9aa0a6"


def curves(steps: Tensor, span: Tensor, score: Tensor, params: Tensor, spans: Tensor) -> Figure:
    """Losses, and under them both gradient norms, over the steps on log axes.

    Args:
        steps: ``(n,)`` optimizer steps, from 1.
        span, score: The two losses at each.
        params, spans: ``grad/params`` and ``grad/spans`` at each; NaN where there was none.
    """
    figure = Figure(figsize=(8, 6), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    _curve(upper, steps, span, _BLUE, "span loss, mean over the matched pairs")
    _curve(upper, steps, score, _ORANGE, "score loss")
    upper.set_ylabel("loss")
    _curve(lower, steps, spans, _BLUE, "at the spans: length × gradient")
    _curve(lower, steps, params, _GREEN, "of all parameters, before clipping")
    lower.axhline(2**0.5, color=_GREY, linestyle="--", linewidth=1, zorder=1)
    lower.annotate("√2, a sharp loss", (1, 2**0.5), (3, 3), textcoords="offset points", color=_GREY)
    lower.set(ylabel="gradient norm", xlabel="step")
    for axes in (upper, lower):
        axes.set(xscale="log", yscale="log")
        axes.legend(loc="lower left", frameon=False)
        _tidy(axes)
    return figure


def timelines(
    features: Sequence[Tensor],
    predictions: Sequence[tuple[Tensor, Tensor, Tensor]],
    targets: Sequence[tuple[Tensor, Tensor]],
    titles: Sequence[str],
    classes: Sequence[str],
    *,
    unit: str = "s",
    starts: Sequence[float] | None = None,
    durations: Sequence[float] | None = None,
) -> Figure:
    """Predicted under true spans on a time line, over the features, one row a sequence.

    Args:
        features: ``(C, T)`` each.
        predictions: Spans ``(n, 2)`` in ``unit``, scores ``(n,)`` and labels ``(n,)`` each.
        targets: Spans and labels each.
        titles: One each.
        classes: Names of the labels.
        unit: Of the time axis.
        starts, durations: Of the sequences, in ``unit``; None: 0 and the number of steps.
    """
    figure = Figure(figsize=(11, 0.6 + 1.9 * len(features)), layout="constrained")
    rows = figure.subplots(len(features), squeeze=False)[:, 0]
    colours = _palette(len(classes))
    seen: dict[int, object] = {}
    for i, axes in enumerate(rows):
        steps = features[i].shape[1]
        start = 0.0 if starts is None else starts[i]
        end = start + (steps if durations is None else durations[i])
        _signal(axes, features[i], start, end)
        for y, spans, labels, alphas in (
            (1.0, *targets[i], torch.ones(len(targets[i][0]))),
            (0.0, predictions[i][0], predictions[i][2], 0.25 + 0.75 * predictions[i][1]),
        ):
            for (left, right), label, alpha in zip(
                spans.tolist(), labels.tolist(), alphas.tolist(), strict=True
            ):
                seen[label] = axes.barh(
                    y, right - left, 0.8, left, color=colours[label], alpha=alpha,
                    edgecolor="white", linewidth=0.5,
                )  # fmt: skip
        axes.set(yticks=[0, 1], yticklabels=["predicted", "true"], ylim=(-0.6, 3.3))
        axes.set_xlim(start, end)
        axes.set_title(titles[i], fontsize=9, loc="left")
        axes.tick_params(axis="y", length=0)
        _tidy(axes, grid=False)
    rows[-1].set_xlabel(f"time ({unit})")
    handles = [seen[label] for label in sorted(seen)]
    if handles:
        figure.legend(
            handles,
            [classes[label] if classes else str(label) for label in sorted(seen)],
            loc="outside lower center",
            ncols=min(len(handles), 6),
            frameon=False,
            fontsize=8,
        )
    return figure


def _curve(axes, steps: Tensor, values: Tensor, colour: str, label: str) -> None:  # noqa: ANN001
    steps, values = steps.numpy(), values.double().numpy()
    known = np.isfinite(values) & (values > 0)
    steps, values = steps[known], values[known]
    axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
    if len(values):
        # A moving average over a twentieth of the steps so far: even on a log axis.
        total = np.concatenate(([0.0], np.cumsum(values)))
        last = np.arange(1, len(values) + 1)
        first = last - np.maximum(1, last // 20)
        axes.plot(
            steps, (total[last] - total[first]) / (last - first), color=colour, label=label
        )


def _signal(axes, features: Tensor, start: float, end: float) -> None:  # noqa: ANN001
    values = features.numpy()
    # More points than pixels only cost time: keep the extremes of about 1500 cells.
    cell = max(1, values.shape[1] // 1500)
    times = np.linspace(start, end, values.shape[1] // cell * cell)
    spread = np.abs(values - values.mean(1, keepdims=True)).max() or 1.0
    for channel in values[:8]:
        scaled = (channel - channel.mean())[: len(times)] / spread
        axes.plot(times[::cell], 2.4 + 0.8 * scaled[::cell], linewidth=0.4, alpha=0.6, color=_GREY)


def _palette(count: int) -> list[tuple[float, float, float, float]]:
    import matplotlib as mpl

    colours = mpl.colormaps["tab20"]
    order = [*range(0, 20, 2), *range(1, 20, 2)]
    return [colours(order[k % 20]) for k in range(max(count, 1))]


def _tidy(axes, *, grid: bool = True) -> None:  # noqa: ANN001
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(alpha=0.25, linewidth=0.6)
