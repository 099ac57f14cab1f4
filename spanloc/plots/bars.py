"""Spans as bars in a row."""

from bisect import bisect, insort
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from spanloc.plots.style import Colour

#: Meaning of the colours and heights, for a legend.
MEANING = "pale: a low score; thin: overlapping, the higher score above"
_MOST_LANES = 3
# Shares of the width of the axes: what parts spans that touch, and the least that is visible.
_GAP, _LEAST = 1 / 1000, 1 / 400


def draw_bars(axes: Axes, y: float, spans: Sequence[tuple[float, float, float, Colour]]) -> None:
    """Draw spans as bars around ``y``: start, end, score and colour; after the signal.

    Those that overlap by more than a twentieth of the shorter one lie one below the other, the higher score
    above, in up to three lanes. Within a lane, the last one is on top.
    """
    lanes = _lanes([(start, end, score) for start, end, score, _ in spans])
    width = float(np.ptp(axes.get_xlim()))
    for lane, count in sorted({*lanes}):
        mine = [span for span, own in zip(spans, lanes, strict=True) if own == (lane, count)]
        bars = [(start, max(end - start - _GAP * width, _LEAST * width)) for start, end, *_ in mine]
        colours = [paler(colour, score) for *_, score, colour in mine]
        height = 0.8 / count
        lower = y + 0.4 - height * (lane + 1)
        # Without edges: those of one width would make some bars look larger than longer ones.
        axes.broken_barh(bars, (lower, 0.94 * height), facecolors=colours, linewidth=0)


def paler(colour: Colour, score: float) -> Colour:
    """The colour of a bar: the lower the score, the paler."""
    # Not transparent: overlaps would look like higher scores.
    red, green, blue = 1 - (0.2 + 0.8 * min(max(score, 0.0), 1.0)) * (1 - np.array(colour))
    return float(red), float(green), float(blue)


def _lanes(spans: Sequence[tuple[float, float, float]]) -> list[tuple[int, int]]:
    # The lane of each span, and the number of lanes of those that overlap it, directly or by others.
    parts: list[list[int]] = []
    latest = 0
    for place in sorted(range(len(spans)), key=lambda i: spans[i]):
        if parts and _overlap(spans[latest], spans[place]):
            parts[-1].append(place)
            latest = max(latest, place, key=lambda i: spans[i][1])
        else:
            parts.append([place])
            latest = place
    found = [(0, 1)] * len(spans)
    for part in parts:
        lanes: list[list[tuple[float, float, float]]] = []
        lane_of = {}
        for place in sorted(part, key=lambda i: (-spans[i][2], spans[i][0], -spans[i][1])):
            lane_of[place] = lane = next(
                (k for k, own in enumerate(lanes) if _free(own, spans[place])), len(lanes)
            )
            if lane == len(lanes):
                lanes.append([])
            insort(lanes[lane], spans[place])
        count = min(len(lanes), _MOST_LANES)
        for place, lane in lane_of.items():
            found[place] = min(lane, count - 1), count
    return found


def _free(lane: Sequence[tuple[float, float, float]], span: tuple[float, float, float]) -> bool:
    place = bisect(lane, span)
    return not any(_overlap(other, span) for other in lane[max(place - 1, 0) : place + 1])


def _overlap(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    # By more than a twentieth of the shorter one.
    (a, b, _), (c, d, _) = one, other
    return min(b, d) - max(a, c) > min(b - a, d - c) / 20
