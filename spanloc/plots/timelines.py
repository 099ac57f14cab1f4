"""Predicted against true spans on a time line."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from spanloc.plots.style import GREY, WIDTH, palette, tidy


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
    figure = Figure(figsize=(WIDTH, 0.6 + 1.7 * len(features)), layout="constrained")
    rows = figure.subplots(len(features), squeeze=False)[:, 0]
    colours = palette(len(classes))
    seen: set[int] = set()
    for i, axes in enumerate(rows):
        steps = features[i].shape[1]
        start = 0.0 if starts is None else starts[i]
        end = start + (steps if durations is None else durations[i])
        _signal(axes, features[i], start, end)
        found, scores, labels = predictions[i]
        best_last = scores.argsort()
        _spans(axes, 1.0, *targets[i], torch.ones(len(targets[i][0])), colours)
        _spans(axes, 0.0, found[best_last], labels[best_last], scores[best_last], colours)
        seen |= {*targets[i][1].tolist(), *labels.tolist()}
        axes.set(yticks=[0, 1, 2.4], yticklabels=["predicted", "true", "signal"], ylim=(-0.6, 3.4))
        axes.set_xlim(start, end)
        axes.set_title(titles[i], fontsize=9, loc="left")
        axes.tick_params(axis="y", length=0)
        tidy(axes, grid=False)
    rows[-1].set_xlabel(f"time ({unit})")
    if seen:
        figure.legend(
            handles=[Patch(color=colours[label]) for label in sorted(seen)],
            labels=[classes[label] if classes else str(label) for label in sorted(seen)],
            title="pale: a low score",
            title_fontsize=8,
            loc="outside lower center",
            ncols=min(len(seen), 6),
            frameon=False,
            fontsize=8,
        )
    return figure


def _spans(axes, y: float, spans: Tensor, labels: Tensor, scores: Tensor, colours) -> None:
    for (left, right), label, score in zip(
        spans.tolist(), labels.tolist(), scores.tolist(), strict=True
    ):
        # Paler, not transparent: overlapping classes would mix to the colour of a third.
        strength = 0.25 + 0.75 * score
        colour = [1 - strength * (1 - part) for part in colours[label]]
        axes.barh(y, right - left, 0.8, left, color=colour, edgecolor="white", linewidth=0.5)


def _signal(axes, features: Tensor, start: float, end: float) -> None:
    values = features.numpy()
    # More points than pixels only cost time: keep the extremes of about 1500 cells.
    cell = max(1, values.shape[1] // 1500)
    times = np.linspace(start, end, values.shape[1] // cell * cell)
    centred = values - np.median(values, axis=1, keepdims=True)
    # A few peaks must not flatten the rest.
    spread = np.quantile(np.abs(centred), 0.995) or 1.0
    for channel in centred[:8]:
        scaled = np.clip(channel[: len(times)] / spread, -1, 1)
        axes.plot(times[::cell], 2.4 + 0.8 * scaled[::cell], linewidth=0.4, alpha=0.6, color=GREY)
