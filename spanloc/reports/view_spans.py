"""Spans of recordings on the page to scroll through: a selection that has room, and their table."""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from markupsafe import Markup

from spanloc.plots.recording import MOST_CHANNELS, Shown
from spanloc.reports.pages import part

# On one page, over all its recordings: a browser draws these without a delay that one would notice.
_MOST_SPANS, _MOST_ROWS = 20_000, 2_000


class Held(NamedTuple):
    """A prediction on the page: in seconds, with its score, and whether the table lists it."""

    start: float
    end: float
    label: str
    score: float
    listed: bool


def held_spans(shown: Sequence[Shown]) -> list[list[Held]]:
    """Select the predictions that the page has room for, those with the highest scores; by start."""
    counts = [len(one.spans) for one in shown]
    found = []
    for one, most, rows in zip(
        shown, shares(counts, _MOST_SPANS), shares(counts, _MOST_ROWS), strict=True
    ):
        # A sort is stable: equal ones stay in the order of the input.
        best = sorted(one.spans, key=lambda row: -row[3])[:most]
        held = [Held(*row, k < rows) for k, row in enumerate(best)]
        found.append(sorted(held, key=lambda span: span[:2]))
    return found


def shares(wanted: Sequence[int], total: int) -> list[int]:
    """Divide ``total`` into equal shares, none larger than wanted: the rest goes to the others.

    >>> shares([10, 2, 10], 12)
    [5, 2, 5]
    """
    given = [0] * len(wanted)
    for place, i in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        given[i] = min(wanted[i], total // (len(wanted) - place))
        total -= given[i]
    return given


def span_table(number: int, one: Shown, spans: Sequence[Held]) -> Markup:
    """Table of a recording's spans by start, as HTML; each start is a link that the page's script follows."""
    digits = decimals(one.rate)
    begin = one.start.replace(tzinfo=None) if one.start else None
    rows = [
        {
            "place": place,
            "span": span,
            "start": _clock(span.start, digits),
            "length": f"{span.end - span.start:.{digits}f}",
            "end": _clock(span.end, digits),
            "clock": f"{begin + timedelta(seconds=span.start):%Y-%m-%d %H:%M:%S}" if begin else "",
        }
        for place, span in enumerate(spans)
        if span.listed
    ]
    heads = ["start", "label", "score", "length", "end"] + ["clock"] * bool(begin)
    return part(
        "spans.html", number=number, id=one.id, notes=_notes(one, spans), heads=heads, rows=rows
    )


def _notes(one: Shown, spans: Sequence[Held]) -> Iterator[str]:
    rows = sum(span.listed for span in spans)
    if len(spans) < len(one.spans):
        yield f"The page has {len(spans):,} of {len(one.spans):,} predictions: those with the highest scores."
    if rows < len(spans):
        yield f"The table has {rows:,} spans: those with the highest scores."
    if one.num_channels > MOST_CHANNELS:
        yield f"The first {MOST_CHANNELS} of {one.num_channels:,} channels are drawn."


def decimals(rate: float) -> int:
    """Digits after the point at which neighbouring steps differ."""
    return min(6, max(1, math.ceil(math.log10(rate)))) if rate > 1 else 0


def _clock(seconds: float, decimals: int) -> str:
    """Seconds, from a minute on with minutes and hours.

    >>> _clock(9.5, 2), _clock(75.25, 1), _clock(3600, 0)
    ('9.50', '1:15.2', '1:00:00')
    """
    whole = round(abs(seconds), decimals)
    sign = "-" if seconds < 0 and whole else ""
    if whole < 60:
        return f"{sign}{whole:.{decimals}f}"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:0{decimals + 3 if decimals else 2}.{decimals}f}"
    return f"{sign}{hours}:{minutes:02d}:{tail}" if hours else f"{sign}{minutes}:{tail}"
