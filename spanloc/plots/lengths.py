"""Figures of annotated spans: their lengths and their places."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spanloc.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    WIDTH,
    colour_legend,
    new_axes,
    palette,
    readable_log,
    tidy,
)

_MOST_LABELS, _MOST_DOTS, _MOST_LANES = 40, 300, 4
# Paler than any span, on the white of a figure.
_SHADE = "#e2e5e9"


class Row(NamedTuple):
    """A stretch of a recording.

    Attributes:
        title: Beside it, with where the stretch begins unless that is 0.
        begin, end: Of the stretch, in seconds.
        spans: ``(n, 2)``, in seconds; what lies outside the stretch is cut off.
        labels: Of the spans; negative: not known.
        ignored: ``(R, 2)``, in seconds: what was not annotated, or does not count.
    """

    title: str
    begin: float
    end: float
    spans: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray = np.zeros((0, 2))

    def inside(self, stretches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Select the stretches in the row, with their ends cut off and counted from its begin."""
        there = (stretches[:, 1] > self.begin) & (stretches[:, 0] < self.end)
        return there, np.clip(stretches[there], self.begin, self.end) - self.begin


def span_lengths(lengths: Sequence[tuple[str, np.ndarray]]) -> Figure | None:
    """Lengths of spans on a log axis, a row a label; None without a span.

    A dot is a span, of at most 300 that are spread over all; the bar goes from the 5 % to the 95 %
    quantile, and the mark is the median. Of more than 40 labels the most frequent are drawn.

    Args:
        lengths: Names of labels, and the lengths of their spans in seconds.
    """
    rows = [(name, np.sort(sizes[sizes > 0])) for name, sizes in lengths if (sizes > 0).any()]
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
    names = [f"{_short(name)}  ({len(sizes):,})" for name, sizes in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set(xscale="log", xlabel="length of a span (s)")
    readable_log(axes.xaxis)
    tidy(axes)
    return figure


def span_rows(rows: Sequence[Row], classes: Sequence[str]) -> Figure | None:
    """Spans on time lines, a row a recording, a colour a label; None without a row.

    Each row begins at the left. Spans that overlap lie in up to four lanes. What is ignored is shaded.

    Args:
        rows: Stretches of recordings.
        classes: Names of the labels.
    """
    if not rows:
        return None
    figure, axes = new_axes(WIDTH, 1.3 + 0.42 * len(rows))
    colours = [*palette(len(classes)), (0.6, 0.6, 0.6)]
    seen, shaded = set[int](), False
    for y, row in enumerate(rows):
        inside, spans = row.inside(row.spans)
        labels = row.labels[inside]
        _, stretches = row.inside(row.ignored)
        shaded |= bool(len(stretches))
        _bars(axes, stretches, (y - 0.46, 0.92), color=_SHADE, zorder=0)
        lanes = _lanes(spans)
        size = 0.8 / max(1, 1 + int(lanes.max(initial=0)))
        axes.plot([0, row.end - row.begin], [y + 0.46] * 2, color=GREY, linewidth=0.7, zorder=1)
        for label in np.unique(labels):
            for lane in np.unique(lanes[labels == label]):
                some = spans[(labels == label) & (lanes == lane)]
                place = (y - 0.4 + lane * size, size)
                _bars(axes, some, place, color=colours[label], edgecolor="white", lw=0.4)
        seen |= set(labels.tolist())
    starts = [f" from {row.begin:.3g} s" if row.begin else "" for row in rows]
    titles = [_short(row.title) + start for row, start in zip(rows, starts, strict=True)]
    axes.set_yticks(range(len(rows)), titles, fontsize=8, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, max(row.end - row.begin for row in rows))
    axes.set_xlabel("seconds from the left end of each row")
    axes.tick_params(axis="y", length=0)
    tidy(axes, grid=False)
    names = [*classes, "label not known"]
    shown = sorted(seen, key=lambda label: label % len(names))[:24]
    entries: list[tuple[Any, str]] = [(colours[label], _short(names[label])) for label in shown]
    if shaded:
        entries.append((_SHADE, "not annotated or ignored"))
    if entries:
        colour_legend(figure, entries)
    return figure


def _bars(axes: Axes, ends: np.ndarray, place: tuple[float, float], **style: Any) -> None:
    axes.broken_barh([(start, end - start) for start, end in ends], place, **style)


def _lanes(spans: np.ndarray) -> np.ndarray:
    # Each span in the first lane that is free by its start; the last lane takes what finds none.
    free = np.full(_MOST_LANES, -np.inf)
    lanes = np.zeros(len(spans), int)
    for i in np.argsort(spans[:, 0], kind="stable"):
        fits = np.flatnonzero(free <= spans[i, 0] + 1e-9)
        lanes[i] = fits[0] if len(fits) else _MOST_LANES - 1
        free[lanes[i]] = max(free[lanes[i]], spans[i, 1])
    return lanes


def _short(name: str) -> str:
    name = "".join(c if c.isprintable() else " " for c in name)
    return name if len(name) <= 28 else f"{name[:15]}…{name[-12:]}"
