"""Predicted against true spans on a time line."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from spanloc.plots.bars import MEANING, draw_bars
from spanloc.plots.recording import MOST_LANES, Shown, draw_signal
from spanloc.plots.style import SHADE, WIDTH, colour_legend, palette, tidy


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
    channels: Sequence[str] | None = None,
    ignored: Sequence[Tensor] = (),
) -> Figure:
    """Predicted under true spans on a time line, below the features, for each sequence.

    Args:
        features: ``(C, T)`` each.
        predictions: Spans ``(n, 2)`` in ``unit``, scores ``(n,)`` and labels ``(n,)`` each.
        targets: Spans and labels each.
        titles: One each.
        classes: Names of the labels; none: their numbers.
        unit: Of the time axis.
        starts, durations: Of the sequences, in ``unit``; None: 0 and the number of steps.
        channels: Names; None: their numbers.
        ignored: Stretches ``(n, 2)`` in ``unit`` each, which are shaded; none: nothing is ignored.
    """
    num = len(features)
    seen = {label for *_, labels in (*predictions, *targets) for label in labels.tolist()}
    names = classes or [*map(str, range(max(seen, default=0) + 1))]
    colours = palette(len(names))
    counts = [len(values) for values in features]
    heights = [(0.2 * count + 0.2 if count <= MOST_LANES else 1.3, 0.7) for count in counts]
    figure = Figure(figsize=(WIDTH, 0.6 + 0.5 * num + np.sum(heights)), layout="constrained")
    rows = figure.subplots(2 * num, squeeze=False, height_ratios=np.ravel(heights).tolist())
    for i, (signal, axes) in enumerate(rows.reshape(-1, 2)):
        steps = features[i].shape[1]
        start = 0.0 if starts is None else starts[i]
        duration = steps if durations is None else durations[i]
        shown = Shown(titles[i], features[i].numpy().T, steps / duration, channels, ())
        draw_signal(signal, shown, start=start)
        for part in (signal, axes):
            part.set_xlim(start, start + duration)
            part.tick_params(axis="y", length=0)
            tidy(part, grid=False)
        found, scores, labels = predictions[i]
        best_last = scores.argsort()
        true, true_labels = targets[i]
        for y, spans, ones, of in (
            (1.0, true, torch.ones(len(true)), true_labels),
            (0.0, found[best_last], scores[best_last], labels[best_last]),
        ):
            bars = zip(*spans.T.tolist(), ones.tolist(), of.tolist(), strict=True)
            draw_bars(axes, y, [(*bar, colours[label]) for *bar, label in bars])
        for begin, end in ignored[i].tolist() if ignored else ():
            axes.axvspan(begin, end, color=SHADE[0], zorder=0, linewidth=0)
        axes.set(yticks=[0, 1], yticklabels=["predicted", "true"], ylim=(-0.6, 1.6))
        signal.set_title(titles[i], fontsize=9, loc="left", parse_math=False)
        signal.tick_params(axis="x", labelbottom=False)
    rows[-1, 0].set_xlabel(f"time ({unit})")
    if seen:
        entries = [(colours[label], names[label]) for label in sorted(seen)]
        entries += [SHADE] if any(map(len, ignored)) else []
        colour_legend(figure, entries, title=MEANING, title_fontsize=8)
    return figure
