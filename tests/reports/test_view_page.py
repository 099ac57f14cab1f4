"""The page to scroll and zoom through recordings."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from spanloc.plots.recording import Shown
from spanloc.reports import view_page as view
from spanloc.reports.view_spans import _clock

HOSTILE = "</script><b>x&\"'<!--"


def shown(steps=103, channels=3, count=5, **changes):
    random = np.random.default_rng(steps)
    starts = random.uniform(0, 9, count)
    fields = {
        "id": "r",
        "values": random.normal(size=(steps, channels)),
        "rate": 10.0,
        "channels": None,
        "spans": [(s, s + 1, "ab"[i % 2], i / count) for i, s in enumerate(starts.tolist())],
    }
    return Shown(**{**fields, **changes})


def page_of(shown, **options):
    return view.view_page(shown, threshold=0.0, **options)


def block(page, name):
    return re.search(rf'<script type="[^"]*" id="{name}">([^<]*)</script>', page)[1]


def facts(page):
    return json.loads(block(page, "data"))


def extremes(page, k=0):
    """The lower and upper extremes that the page holds, ``(2, channels, bins)``."""
    record = facts(page)["recordings"][k]
    codes = np.frombuffer(base64.b64decode(block(page, f"signal{k}")), "<u2")
    sides = 1 if record["bin"] == 1 else 2
    codes = codes.reshape(len(record["channels"]), sides, record["bins"])
    ends = np.array(record["ends"])[:, :, None]
    found = ends[:, :1] + (codes - 1.0) / 65534 * (ends[:, 1:] - ends[:, :1])
    found = np.where(codes == 0, np.nan, found)
    return np.broadcast_to(found.swapaxes(0, 1), (2, *found.shape[::2]))


def spans(page, k=0):
    raw = base64.b64decode(block(page, f"spans{k}"))
    count = len(raw) // 26
    start, end, score = np.frombuffer(raw[: 24 * count], "<f8").reshape(3, count)
    labels = [facts(page)["labels"][i] for i in np.frombuffer(raw[24 * count :], "<u2")]
    return [*zip(start.tolist(), end.tolist(), labels, score.tolist(), strict=True)]


def rows(page):
    found = re.findall(r'<tr data-i="(\d+)">(.*?)</tr>', page, re.DOTALL)
    return [(int(i), re.findall(r"<td[^>]*>(.*?)</td>", cells)) for i, cells in found]


def test_a_short_signal_is_whole():
    one = shown()
    one.values[4, 1], one.values[5, 1] = np.nan, np.inf
    page = page_of([one])
    assert facts(page)["recordings"][0]["bin"] == 1
    wanted = np.where(np.isfinite(one.values), one.values, np.nan).T
    np.testing.assert_allclose(extremes(page)[0], wanted, atol=8 / 65534)


def test_a_long_signal_comes_in_bins_and_the_page_stays_small():
    one = shown(30_000, 2)
    page = page_of([one], most_bytes=100_000)
    record = facts(page)["recordings"][0]
    assert record["bin"] > 2
    assert len(page) < 100_000
    width = record["bin"]
    bins = [one.values[i : i + width] for i in range(0, 30_000, width)]
    low, high = extremes(page)
    np.testing.assert_allclose(low.T, [part.min(0) for part in bins], atol=1e-3)
    np.testing.assert_allclose(high.T, [part.max(0) for part in bins], atol=1e-3)
    # Twice the room, half the bin.
    assert len(page_of([one])) > 120_000


def test_short_recordings_leave_their_room_to_long_ones():
    long, short = shown(200_000, 1), shown(50, 1)
    pages = [page_of(all_, most_bytes=300_000) for all_ in ([long], [long, short], [long] * 2)]
    alone, beside, twice = (facts(page)["recordings"][0]["bin"] for page in pages)
    assert alone <= beside <= 1.1 * alone
    assert 1.5 * alone < twice
    assert facts(pages[1])["recordings"][1]["bin"] == 1


@pytest.mark.parametrize("peak", [1e12, -1e12])
def test_a_lone_peak_leaves_the_others_their_digits(peak):
    one = shown(5000, 1)
    one.values[7] = peak
    found = extremes(page_of([one]))[0, 0]
    assert np.abs(np.delete(found - one.values[:, 0], 7)).max() < 0.1


def test_predictions_come_by_start():
    assert spans(page_of([shown()])) == sorted(shown().spans)


def test_the_table_is_sorted_by_time_and_links_to_the_spans():
    page = page_of([shown()])
    found = rows(page)
    everything = spans(page)
    assert [i for i, _ in found] == [*range(5)]
    for i, (start, label, score, length, _) in found:
        first, last, name, value = everything[i]
        assert start == f'<a href="#span=0,{i}">{first:.1f}</a>'
        assert (label, length, score) == (name, f"{last - first:.1f}", f"{value:.2f}")


def test_the_highest_scores_stay_and_the_page_says_so(monkeypatch):
    from spanloc.reports import view_spans

    monkeypatch.setattr(view_spans, "_MOST_SPANS", 3)
    monkeypatch.setattr(view_spans, "_MOST_ROWS", 2)
    page = page_of([shown(count=50)])
    assert {row[3] for row in spans(page)[:3]} == {0.94, 0.96, 0.98}
    assert {cells[2] for _, cells in rows(page)} == {"0.96", "0.98"}
    assert "3 of 50 predictions: those with the highest scores" in page
    assert "The table has 2 spans" in page


def test_text_is_no_markup():
    one = shown(
        id=HOSTILE,
        spans=[(1.0, 2.0, HOSTILE, 0.5)],
    )._replace(channels=[HOSTILE, "b", "c"])
    page = page_of([one, one])
    assert "<b>x" not in page
    assert page.count("</script>") == page.count("<script")
    assert HOSTILE in html.unescape(page)
    data = facts(page)
    assert data["labels"] == [HOSTILE]
    assert data["recordings"][0]["channels"][0] == data["recordings"][0]["id"] == HOSTILE


def test_the_page_asks_for_nothing_and_runs_only_its_own_scripts():
    page = page_of([shown()])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert re.findall(r"'sha256-([^']*)'", policy) == digests
    assert len(digests) == 1
    assert not re.search(r"https?:|\bsrc=|@import|url\(", page)


def test_the_same_recordings_give_the_same_page():
    assert page_of([shown()]) == page_of([shown()])


def test_the_clock_is_wall_time_whatever_the_zone():
    plain = datetime(2024, 2, 28, 23, 59, 59)
    zoned = plain.replace(tzinfo=timezone(timedelta(hours=5, minutes=30)))
    for start, zone in ((plain, ""), (zoned, "+0530")):
        page = page_of([shown(start=start, spans=[(1.5, 2.0, "a", 0.5)])])
        record = facts(page)["recordings"][0]
        assert record["clock"] == 1709164799
        assert record["zone"] == zone
        assert "2024-02-29 00:00:00" in rows(page)[0][1]
        assert 'id="clock"' in page
    assert 'id="clock"' not in page_of([shown()])


@pytest.mark.parametrize(
    "one",
    [
        shown(0, spans=[]),
        shown(spans=[]),
        shown(values=np.full((9, 2), np.nan)),
        shown(values=np.zeros((9, 2), np.int16)),
        shown(5, 300),
    ],
)
def test_odd_recordings_have_a_page(one):
    found = extremes(page_of([one]))
    assert found.shape[1:] == (min(one.num_channels, 256), one.num_steps)
    wanted = np.asarray(one.values, float).T[:256]
    np.testing.assert_allclose(found[0], wanted, atol=1e-3)


def test_what_cannot_be_drawn_is_one_error():
    with pytest.raises(ValueError, match="recording 'r': rate: -1"):
        page_of([shown(), shown(rate=-1)])


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def run_script(page, expression):
    """An expression of the page's drawing script, run on the page's data."""
    texts = {name: block(page, name) for name in ("data", "signal0", "spans0")}
    script = (Path(view.__file__).with_name("templates") / "view_draw.js").read_text()
    found = f"const texts = {json.dumps(texts)};\nconst document = {{getElementById: id => ({{textContent: texts[id]}})}};\n"
    text = f"{found}{script}\nconsole.log(JSON.stringify({expression}))"
    return json.loads(
        subprocess.run(["node", "-"], input=text, capture_output=True, text=True, check=True).stdout
    )


@needs_node
def test_the_script_writes_times_as_the_table_does():
    times = [0, 0.04, 9.5, 59.994, 59.996, 75.25, 3599.999, 3600, 100_000.5, -0.001, -75.25]
    found = run_script(page_of([shown()]), f"{times}.map(t => elapsed(t, 2))")
    assert [text.removesuffix(" s") for text in found] == [_clock(t, 2) for t in times]


@needs_node
@pytest.mark.parametrize("most_bytes", [4_000_000, 60_000])
@pytest.mark.parametrize(("first", "last"), [(0.0, 3000.0), (100.0, 900.0), (2990.0, 3000.0)])
def test_the_script_draws_the_extremes_of_what_is_in_view(most_bytes, first, last):
    one = shown(30_000, 2)
    one.values[12_000:13_000] = np.nan
    page = page_of([one], most_bytes=most_bytes)
    code = f"(() => {{ const r = opened(0), c = columns(r, 1, {first}, {last}, 7); return [...c.high].map(h => h ? value(r, 1, h) : null) }})()"
    width = facts(page)["recordings"][0]["bin"]
    edges = np.linspace(first, last, 8) * one.rate
    for left, right, found in zip(edges[:-1], edges[1:], run_script(page, code), strict=True):
        inside = one.values[int(np.ceil(left)) : int(right), 1]
        # A bin on the edge counts for both sides, at any level of detail.
        slack = max(4 * (right - left), 4 * width)
        around = one.values[max(0, int(left - slack)) : int(right + slack), 1]
        if np.isfinite(inside).any():
            assert np.nanmax(inside) - 1e-3 <= found <= np.nanmax(around) + 1e-3
