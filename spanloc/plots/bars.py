"""Spans as bars in a row."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from spanloc.plots.style import Colour

_MOST_LANES = 3
_NARROW = 150  # of such bars fill the axes: of about 7 pixels


def draw_bars(axes: Axes, y: float, spans: Sequence[tuple[float, float, float, Colour]]) -> None:
    """Draw spans as bars around ``y``: start, end, score and colour; after the signal.

    Those that overlap by more than a twentieth of the shorter one lie one below the other, in up to three
    lanes. Within a lane, the last one is on top.
    """
    lanes = _lanes([(start, end) for start, end, *_ in spans])
    for lane, count in sorted({*lanes}):
        mine = [span for span, own in zip(spans, lanes, strict=True) if own == (lane, count)]
        bars = [(start, end - start) for start, end, *_ in mine]
        colours = [paler(colour, score) for *_, score, colour in mine]
        # A white line parts spans that touch; one of their own colour keeps narrow spans visible.
        edges = [
            "white" if size * _NARROW > np.ptp(axes.get_xlim()) else colour
            for (_, size), colour in zip(bars, colours, strict=True)
        ]
        height = 0.8 / count
        lower = y + 0.4 - height * (lane + 1)
        axes.broken_barh(bars, (lower, height), facecolors=colours, edgecolors=edges, linewidth=0.9)


def paler(colour: Colour, score: float) -> Colour:
    """The colour of a bar: the lower the score, the paler."""
    # Not transparent: overlaps would look like higher scores.
    red, green, blue = 1 - (0.2 + 0.8 * min(max(score, 0.0), 1.0)) * (1 - np.array(colour))
    return float(red), float(green), float(blue)


def _lanes(spans: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    # The lane of each span, and the number of lanes of those that overlap it, directly or by others.
    latest: list[tuple[float, float]] = []  # of each lane
    found = [(0, latest)] * len(spans)
    for place in sorted(range(len(spans)), key=lambda i: (spans[i][0], -spans[i][1])):
        start, end = spans[place]
        free = [b - start <= min(b - a, end - start) / 20 for a, b in latest]
        if all(free):
            latest, free = [], []
        lane = free.index(True) if any(free) else min(len(free), _MOST_LANES - 1)
        latest[lane : lane + 1] = [
            max([(start, end), *latest[lane : lane + 1]], key=lambda span: span[1])
        ]
        found[place] = lane, latest
    return [(lane, len(of)) for lane, of in found]
