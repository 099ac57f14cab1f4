"""Figures of annotated spans: their lengths and their places."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spanloc.data.annotations.folder import Record
from spanloc.plots.bars import draw_bars
from spanloc.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    SHADE,
    WIDTH,
    colour_legend,
    new_axes,
    palette,
    readable_log,
    tidy,
)

_MOST_LABELS, _MOST_DOTS, _MOST_ROWS = 40, 300, 12
_SPANS_A_ROW = 40  # of median length


def span_lengths(records: Sequence[Record], classes: Sequence[str]) -> Figure | None:
    """Lengths of spans on a log axis, a row a label; None without a span.

    A dot is a span, of at most 300 that are spread over all; the bar goes from the 5 % to the 95 %
    quantile, and the mark is the median. Of more than 40 labels the most frequent are drawn.
    """
    none = np.zeros(0)
    lengths = [np.diff(r.spans.double().numpy())[:, 0] * _step(r) for r in records]
    seconds = np.concatenate([none, *lengths])
    labels = np.concatenate([none, *(record.labels.numpy() for record in records)])
    of_label = [np.sort(seconds[(labels == i) & (seconds > 0)]) for i in range(len(classes))]
    rows = [row for row in zip(classes, of_label, strict=True) if len(row[1])]
    most = {name for name, _ in sorted(rows, key=lambda row: -len(row[1]))[:_MOST_LABELS]}
    rows = [row for row in rows if row[0] in most]
    if not rows:
        return None
    figure, axes = new_axes(6.4, 1.0 + 0.3 * len(rows))
    for y, (_, sizes) in enumerate(rows):
        shown = sizes[np.linspace(0, len(sizes) - 1, min(len(sizes), _MOST_DOTS)).astype(int)]
        # Spread over the row, the same at every drawing.
        spread = np.arange(len(shown)) * 0.618034 % 1 - 0.5
        axes.plot(shown, y + 0.6 * spread, ".", color=BLUE, alpha=0.5, markersize=3, mew=0)
        low, middle, high = np.quantile(sizes, (0.05, 0.5, 0.95))
        axes.plot([low, high], [y, y], color=GREY, linewidth=2, solid_capstyle="butt", zorder=3)
        axes.plot([middle] * 2, [y - 0.32, y + 0.32], color=ORANGE, linewidth=2, zorder=4)
    _name_rows(axes, [f"{_short(name)}  ({len(sizes):,})" for name, sizes in rows])
    axes.set(xscale="log", xlabel="length of a span (s)")
    readable_log(axes.xaxis)
    tidy(axes)
    return figure


def span_rows(records: Sequence[Record], classes: Sequence[str]) -> Figure | None:
    """Spans of up to 12 recordings on time lines, a row a recording, a colour a label; None without a span.

    Each row begins at the left. Spans that overlap lie in up to three lanes. What is ignored is shaded.
    """
    known = [record for record in records if len(record.spans)]
    if not known:
        return None
    places = np.linspace(0, len(known) - 1, min(len(known), _MOST_ROWS)).astype(int)
    chosen = [known[place] for place in places]
    spans = [record.spans.double().numpy() * _step(record) for record in chosen]
    ends = [record.num_steps * _step(record) for record in chosen]
    middle = float(np.median(np.concatenate([some[:, 1] - some[:, 0] for some in spans])))
    width = min(max(ends), _SPANS_A_ROW * middle)
    figure, axes = new_axes(WIDTH, 1.3 + 0.42 * len(chosen))
    axes.set_xlim(0, width)
    colours = [*palette(len(classes)), (0.6, 0.6, 0.6)]
    seen, shaded, titles = set[int](), False, list[str]()
    for y, (record, mine, end) in enumerate(zip(chosen, spans, ends, strict=True)):
        begin = max(0.0, min(float(mine[:, 0].min()) - 0.05 * width, end - width))
        stretch = (begin, min(end, begin + width))
        titles.append(_short(record.id) + (f" from {begin:.3g} s" if begin else ""))
        inside, drawn = _inside(mine, stretch)
        labels = record.labels.numpy()[inside].tolist()
        _, ignored = _inside(record.ignored.double().numpy() * _step(record), stretch)
        shaded |= bool(len(ignored))
        hidden = [(start, stop - start) for start, stop in ignored]
        axes.broken_barh(hidden, (y - 0.46, 0.92), color=SHADE[0], zorder=0)
        axes.plot([0, stretch[1] - begin], [y + 0.46] * 2, color=GREY, linewidth=0.7, zorder=1)
        bars = [(a, b, 1.0, colours[k]) for (a, b), k in zip(drawn, labels, strict=True)]
        draw_bars(axes, y, bars)
        seen |= {*labels}
    _name_rows(axes, titles)
    axes.set_xlabel("seconds from the left end of each row")
    tidy(axes, grid=False)
    names = [*classes, "label not known"]
    shown = sorted(seen, key=lambda label: label % len(names))[:24]
    entries: list[tuple[Any, str]] = [(colours[label], _short(names[label])) for label in shown]
    if shaded:
        entries.append(SHADE)
    if entries:
        colour_legend(figure, entries)
    return figure


def _step(record: Record) -> float:
    return record.timeline.seconds_per_step


def _inside(stretches: np.ndarray, within: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    # Which of them are within, and these, cut off there and counted from its begin.
    there = (stretches[:, 1] > within[0]) & (stretches[:, 0] < within[1])
    return there, np.clip(stretches[there], *within) - within[0]


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    # From the top.
    axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _short(name: str) -> str:
    name = "".join(c if c.isprintable() else " " for c in name)
    return name if len(name) <= 28 else f"{name[:15]}…{name[-12:]}"
