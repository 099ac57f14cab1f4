"""The spans of recordings on a page to look at: which of them it has room for, and their table."""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from html import escape
from typing import NamedTuple

from spanloc.plots.recording import MOST_CHANNELS, Shown

# On one page, over all its recordings: a browser draws these without a delay that one would notice.
_MOST_SPANS, _MOST_ROWS = 20_000, 2_000


class Held(NamedTuple):
    """What the page holds of a recording's spans, each by start: places in ``Shown``, and which have a row."""

    predictions: list[int]
    truth: list[int]
    rows: set[int]


def held_spans(shown: Sequence[Shown]) -> list[Held]:
    """The spans that the page has room for: of the predictions those with the highest scores."""
    counts = [len(part) for one in shown for part in (one.truth, one.spans)]
    drawn, rows = shares(counts, _MOST_SPANS), shares(counts, _MOST_ROWS)
    found = []
    for i, one in enumerate(shown):
        # A sort is stable: equal ones stay in the order of the input.
        best = sorted(range(len(one.spans)), key=[-row[3] for row in one.spans].__getitem__)
        first = sorted(range(len(one.truth)), key=[row[:2] for row in one.truth].__getitem__)
        kept = sorted(best[: drawn[2 * i + 1]], key=[row[:2] for row in one.spans].__getitem__)
        listed, truth = set(best[: rows[2 * i + 1]]), first[: drawn[2 * i]]
        places = {place for place, k in enumerate(kept) if k in listed}
        places |= {len(kept) + place for place in range(rows[2 * i])}
        found.append(Held(kept, truth, places))
    return found


def shares(wanted: Sequence[int], total: int) -> list[int]:
    """``total`` in equal shares, but none larger than wanted: what is left over goes to the others.

    >>> shares([10, 2, 10], 12)
    [5, 2, 5]
    """
    given = [0] * len(wanted)
    for place, i in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        given[i] = min(wanted[i], total // (len(wanted) - place))
        total -= given[i]
    return given


def span_table(i: int, one: Shown, spans: Held) -> Iterator[str]:
    """The ``i``-th recording's spans by start, as HTML; each start is a link that the page's script follows."""
    name = f"Spans of {one.id}"
    yield f'<section class="spans" id="table{i}"><h2>{escape(name)}</h2>'
    yield from (f'<p class="soft">{escape(note)}</p>' for note in _notes(one, spans))
    heads = ["start", "label", "score", "length", "end"]
    heads += ["kind"] * bool(one.truth) + ["clock"] * bool(one.start)
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}"><table><thead><tr>'
    for head in heads:
        order = "ascending" if head == "start" else "none"
        yield f'<th scope="col" aria-sort="{order}"><button type="button">{head}</button></th>'
    yield "</tr></thead><tbody>"
    rows = [(*one.spans[k], place) for place, k in enumerate(spans.predictions)]
    offset = len(rows)
    rows += [(*one.truth[k], math.nan, offset + place) for place, k in enumerate(spans.truth)]
    digits = decimals(one.rate)
    for start, end, label, score, place in sorted(rows, key=lambda row: (row[0], row[1], row[4])):
        if place not in spans.rows:
            continue
        known = place >= offset
        value = "" if known else f"{score:.4f}"
        cells = [
            f'<td data-value="{start}"><a href="#span={i},{place}">{_clock(start, digits)}</a></td>',
            f"<td>{escape(label)}</td>",
            f'<td data-value="{value}">{"" if known else f"{score:.2f}"}</td>',
            f'<td data-value="{end - start}">{end - start:.{digits}f}</td>',
            f'<td data-value="{end}">{_clock(end, digits)}</td>',
        ]
        if one.truth:
            cells.append(f"<td>{'annotated' if known else 'predicted'}</td>")
        if one.start:
            when = one.start.replace(tzinfo=None) + timedelta(seconds=start)
            cells.append(f"<td>{when:%Y-%m-%d %H:%M:%S}</td>")
        yield f'<tr data-i="{place}">{"".join(cells)}</tr>'
    yield "</tbody></table></div></section>"


def _notes(one: Shown, spans: Held) -> Iterator[str]:
    kept, rows = len(spans.predictions), len(spans.rows)
    if kept < len(one.spans):
        yield f"The page has {kept:,} of {len(one.spans):,} predictions: those with the highest scores."
    if len(spans.truth) < len(one.truth):
        yield f"The page has the first {len(spans.truth):,} of {len(one.truth):,} annotated spans."
    if rows < kept + len(spans.truth):
        yield f"The table has {rows:,} spans: those with the highest scores, and the first annotated ones."
    if one.num_channels > MOST_CHANNELS:
        yield f"The first {MOST_CHANNELS} of {one.num_channels:,} channels are drawn."


def decimals(rate: float) -> int:
    """Digits after the point that tell neighbouring steps apart."""
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
