"""A page to scroll and zoom through recordings: signal and predictions."""

import base64
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import numpy as np

from spanloc.plots.recording import (
    MOST_CHANNELS,
    MOST_LANES,
    Shown,
    check_shown,
    envelope,
    view_range,
)
from spanloc.plots.style import SERIES
from spanloc.reports.pages import render
from spanloc.reports.view_spans import Held, decimals, held_spans, shares, span_table

# Codes of values; 0 is a missing one.
_CODES = 65_534


def view_page(shown: Sequence[Shown], *, threshold: float, most_bytes: int = 4_000_000) -> str:
    """Recordings and predictions as one HTML page to scroll and zoom through; it needs no network and no other file.

    A signal that fits is in the page as it is, with 16 bits a value; of a longer one the page holds the
    smallest and the largest value of each bin of steps, which is as far as one can zoom in and see more.
    A recording of ``c`` channels fits up to about ``most_bytes * 3 / (8 * c)`` steps, by default 245,000
    steps of six channels (80 minutes at 50 Hz), and beyond that has half as many bins. Recordings share
    the room: short ones leave theirs to the long ones. Of the predictions the 20,000 with the highest
    scores are in the page, and 2,000 spans in its tables.

    Args:
        shown: The recordings. Each is read once, in pieces; its memory does not grow with its length.
        threshold: Score from which spans are drawn at first.
        most_bytes: Of the page, about; spans and tables come first, and the signals share the rest, a
            quarter of it at least.

    Raises:
        ValueError: A recording cannot be drawn; see :func:`spanloc.plots.recording.check_shown`.
    """
    for one in shown:
        check_shown(one)
    labels = sorted({row[2] for one in shown for row in one.spans})
    held = held_spans(shown)
    tables = [span_table(i, one, held[i]) for i, one in enumerate(shown)]
    packed = [_spans_text(spans, labels) for spans in held]
    left = most_bytes - sum(map(len, packed)) - sum(map(len, tables)) - 50_000
    sizes = [2 * one.num_steps * min(one.num_channels, MOST_CHANNELS) for one in shown]
    rooms = shares(sizes, max(left, most_bytes // 4) * 3 // 4)
    records, blocks = [], dict[str, str]()
    for i, one in enumerate(shown):
        record, signal = _signal(one, sizes[i], rooms[i])
        records.append({**record, **_facts(one)})
        blocks |= {f"signal{i}": signal, f"spans{i}": packed[i]}
    data = {
        "recordings": records,
        "labels": labels,
        "colours": SERIES,
        "threshold": threshold,
        "lanes": MOST_LANES,
    }
    return render(
        "recordings.html",
        "Recordings and predictions",
        scripts=("sort.js", "view_draw.js", "view_page.js", "view_input.js"),
        styles=("page.css", "view_page.css"),
        shown=shown,
        data=data,
        blocks=blocks,
        tables=tables,
    )


def _facts(one: Shown) -> dict[str, Any]:
    return {
        "id": one.id,
        "rate": one.rate,
        "steps": one.num_steps,
        "channels": one.names()[:MOST_CHANNELS],
        # The script counts in wall time, which it takes for UTC.
        "clock": one.start.replace(tzinfo=UTC).timestamp() if one.start else None,
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


def _spans_text(spans: Sequence[Held], labels: Sequence[str]) -> str:
    number = {label: i for i, label in enumerate(labels)}
    columns = np.array([(span.start, span.end, span.score) for span in spans], "<f8").T
    return _coded(columns.tobytes(), np.array([number[s.label] for s in spans], "<u2").tobytes())


def _coded(*parts: bytes) -> str:
    return base64.b64encode(b"".join(parts)).decode()
