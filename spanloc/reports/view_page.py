"""A page to scroll and zoom through recordings: signal, predictions and annotated spans."""

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.plots.recording import (
    MOST_CHANNELS,
    MOST_LANES,
    Shown,
    check_shown,
    envelope,
    first_threshold,
    view_range,
)
from spanloc.plots.style import SERIES
from spanloc.reports.html import _SCRIPT, _STYLE
from spanloc.reports.view_spans import Held, decimals, held_spans, shares, span_table

_SCRIPTS = ("view_draw.js", "view_page.js", "view_input.js")
# Codes of values; 0 is a missing one.
_CODES = 65_534
_HELP = (
    "Wheel or two fingers: zoom. Drag: move. Keys: ← → move, + − zoom, Home the whole recording, "
    "n and p the next and the previous span."
)


def view_page(
    shown: Sequence[Shown],
    title: str = "Recordings and predictions",
    *,
    threshold: float | None = None,
    most_bytes: int = 4_000_000,
) -> str:
    """Recordings as one HTML page to scroll and zoom through; it needs no network and no other file.

    A signal that fits is in the page as it is, with 16 bits a value; of a longer one the page holds the
    smallest and the largest value of each bin of steps, which is as far as one can zoom in and see more.
    With ``c`` channels, and the page to itself, a recording fits up to about ``most_bytes * 3 / (8 * c)``
    steps, and beyond that has about ``most_bytes * 3 / (16 * c)`` bins. By default six channels fit
    whole up to 245,000 steps (80 minutes at 50 Hz), and 10 million steps (55 hours) come in bins of 82
    (1.6 s), or of 100 with thousands of spans. Recordings share the room: short ones leave theirs to
    the long ones. Of the predictions the 20,000 with the highest scores are in the page, and 2,000
    spans in its tables.

    Args:
        shown: The recordings. Each is read once, in pieces; its memory does not grow with its length.
        title: Of the page; it becomes no markup, nor do ids, names and labels.
        threshold: Score from which spans are drawn at first; None:
            :func:`~spanloc.plots.recording.first_threshold`.
        most_bytes: Of the page, about; spans and tables come first, and the signals share the rest, a
            quarter of it at least.

    Raises:
        ValueError: A recording cannot be drawn; see :func:`spanloc.plots.recording.check_shown`.
    """
    for one in shown:
        check_shown(one)
    labels = sorted({label for one in shown for label in one.labels()})
    held = held_spans(shown)
    tables = [line for i, one in enumerate(shown) for line in span_table(i, one, held[i])]
    packed = [_spans_text(one, spans, labels) for one, spans in zip(shown, held, strict=True)]
    left = most_bytes - sum(map(len, packed)) - sum(map(len, tables)) - 50_000
    sizes = [2 * one.num_steps * min(one.num_channels, MOST_CHANNELS) for one in shown]
    rooms = shares(sizes, max(left, most_bytes // 4) * 3 // 4)
    records, blocks = [], []
    for i, one in enumerate(shown):
        record, signal = _signal(one, sizes[i], rooms[i])
        records.append({**record, **_facts(one, held[i])})
        blocks += [_block(f"signal{i}", signal), _block(f"spans{i}", packed[i])]
    page = {
        "recordings": records,
        "labels": labels,
        "colours": SERIES,
        "threshold": first_threshold(shown) if threshold is None else threshold,
        "lanes": MOST_LANES,
    }
    # What ends a script in HTML must not stand in one.
    data = json.dumps(page, allow_nan=False).replace("<", "\\u003c")
    parts = [
        *_controls(shown),
        f'<script type="application/json" id="data">{data}</script>',
        *blocks,
        *tables,
    ]
    return _document(title, parts if shown else [])


def _document(title: str, parts: Sequence[str]) -> str:
    scripts = [_SCRIPT, "\n".join(map(_beside, _SCRIPTS))] if parts else []
    parts = parts or ['<p class="soft">There are no recordings.</p>']
    digests = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in scripts
    )
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {digests}"
    whole = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}{_beside('view_page.css')}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        *parts,
        *(f"<script>{text}</script>" for text in scripts),
        "</body></html>",
    ]
    return "\n".join(whole) + "\n"


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _controls(shown: Sequence[Shown]) -> Iterator[str]:
    options = "".join(f'<option value="{i}">{escape(s.id)}</option>' for i, s in enumerate(shown))
    clock = '<label><input type="checkbox" id="clock" checked> clock time</label>'
    yield "<noscript><p>The signal is drawn by a script; the spans are in the table.</p></noscript>"
    # Shown by the script: without it these would do nothing.
    yield '<div id="view" hidden><div class="bar">'
    yield f'<label {"" if len(shown) > 1 else "hidden"}>recording <select id="recording">{options}</select></label>'
    for name, text, meaning in (
        ("previous", "‹ span", "previous span (p)"),
        ("next", "span ›", "next span (n)"),
        ("out", "−", "zoom out (−)"),
        ("in", "+", "zoom in (+)"),
        ("all", "all", "the whole recording (Home)"),
    ):
        yield f'<button type="button" id="{name}" title="{meaning}">{text}</button>'
    yield '<label class="grow">score from <input type="range" id="threshold" min="0" max="1" step="0.01">'
    yield '<output id="above"></output></label>'
    yield clock if any(one.start for one in shown) else ""
    yield '</div><p class="soft" id="where"><span id="range"></span><span id="picked" aria-live="polite"></span></p>'
    yield '<canvas id="overview" aria-hidden="true"></canvas>'
    yield '<canvas id="lanes" tabindex="0" role="img"></canvas><div id="tip" hidden></div>'
    yield '<div class="bar" id="legend" role="group" aria-label="labels"></div>'
    yield f'<p class="soft">{_HELP}</p></div>'


def _facts(one: Shown, spans: Held) -> dict[str, Any]:
    clock = one.start.replace(tzinfo=UTC).timestamp() if one.start else None
    return {
        "id": one.id,
        "rate": one.rate,
        "steps": one.num_steps,
        "channels": one.names()[:MOST_CHANNELS],
        "predictions": len(spans.predictions),
        # The script counts in wall time, which it takes for UTC.
        "clock": clock,
        "zone": one.start.strftime("%z") if one.start else "",
        "decimals": decimals(one.rate),
    }


def _signal(one: Shown, size: int, room: int) -> tuple[dict[str, Any], str]:
    """Values as codes of 16 bits, channel by channel, the lower extremes first; and what decodes them."""
    channels = min(one.num_channels, MOST_CHANNELS)
    width = 1 if size <= room else max(2, -(-2 * size // max(room, 4 * channels)))
    found = envelope(one, width)
    seen = view_range(found)
    ends = np.zeros((channels, 2))
    for channel, (low, high) in enumerate(seen):
        values = np.array([found.low[:, channel], found.high[:, channel]], np.float64)
        if np.isfinite(values).any():
            # A lone peak must not take all the codes.
            least, most = low - 500 * (high - low), high + 500 * (high - low)
            ends[channel] = max(np.nanmin(values), least), min(np.nanmax(values), most)
    scale = np.where(ends[:, 1] > ends[:, 0], _CODES / np.maximum(np.ptp(ends, axis=1), 1e-300), 0)
    sides = [found.low] if width == 1 else [found.low, found.high]
    coded = []
    for channel in range(channels):
        for side in sides:
            values = (side[:, channel].astype(np.float64) - ends[channel, 0]) * scale[channel]
            codes = np.nan_to_num(np.clip(np.rint(values), 0, _CODES) + 1, nan=0.0)
            coded.append(codes.astype("<u2").tobytes())
    facts = {"bin": width, "bins": len(found.low), "ends": ends.tolist(), "view": seen.tolist()}
    return facts, _coded(*coded)


def _spans_text(one: Shown, spans: Held, labels: Sequence[str]) -> str:
    number = {label: i for i, label in enumerate(labels)}
    rows = [one.spans[k] for k in spans.predictions]
    rows += [(*one.truth[k], math.nan) for k in spans.truth]
    columns = [*zip(*rows, strict=True)] or [(), (), (), ()]
    start, end, score = (np.array(columns[i], "<f8").tobytes() for i in (0, 1, 3))
    return _coded(start, end, score, np.array([number[x] for x in columns[2]], "<u2").tobytes())


def _coded(*parts: bytes) -> str:
    return base64.b64encode(b"".join(parts)).decode()


def _block(name: str, text: str) -> str:
    return f'<script type="text/plain" id="{name}">{text}</script>'
