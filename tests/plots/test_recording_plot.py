"""The picture of a recording, and the envelopes of long signals."""

import io
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from spanloc.plots import recording
from spanloc.plots.bars import draw_bars
from spanloc.plots.recording import (
    Shown,
    check_shown,
    envelope,
    first_threshold,
    recording_figure,
    view_range,
)

SPANS = [(1.0, 2.0, "a", 0.9), (3.0, 3.5, "b", 0.31), (4.0, 5.0, "b", 0.2)]


class Pieces:
    """A signal that is read in pieces, and remembers them."""

    def __init__(self, values):
        self.values, self.reads = values, []
        self.num_steps, self.num_channels = values.shape

    def read(self, first, last):
        self.reads.append((first, last))
        return self.values[first:last]


def values(steps=103, channels=3):
    found = np.random.default_rng(0).normal(size=(steps, channels))
    found[10:30, 1] = np.nan
    found[40, 2] = np.inf
    return found


def shown(signal=None, **changes):
    fields = {"rate": 10.0, "channels": None, "spans": SPANS, "truth": [(1.0, 2.1, "a")]}
    return Shown("r", values() if signal is None else signal, **{**fields, **changes})


def slow_envelope(signal, width):
    low, high = [], []
    for first in range(0, len(signal), width):
        columns = signal[first : first + width].T
        finite = [[v for v in column if np.isfinite(v)] for column in columns]
        low.append([min(c, default=np.nan) for c in finite])
        high.append([max(c, default=np.nan) for c in finite])
    return np.array(low), np.array(high)


@pytest.mark.parametrize("width", [1, 2, 7, 20, 103, 1000])
@pytest.mark.parametrize("piece", [1, 30, 4_000_000])
def test_an_envelope_holds_the_extremes_of_each_bin(monkeypatch, width, piece):
    monkeypatch.setattr(recording, "_PIECE", piece)
    signal = Pieces(values())
    for one in (shown(signal), shown(signal.values)):
        found = envelope(one, width)
        np.testing.assert_array_equal((found.low, found.high), slow_envelope(signal.values, width))
    ends = [0, *(last for _, last in signal.reads)]
    assert signal.reads == [*pairwise(ends)]
    assert ends[-1] == 103
    assert max(np.diff(ends)) <= max(width, piece // 3)


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float16, np.float32, bool])
def test_any_real_numbers_are_drawn(kind):
    signal = (values() > 0).astype(kind)
    np.testing.assert_array_equal(envelope(shown(signal), 5).high, slow_envelope(signal, 5)[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signal": np.zeros(5)}, r"recording 'r': values: \(5,\); wanted \(steps, channels\)"),
        ({"signal": [1, 2]}, "recording 'r': values: list; wanted"),
        ({"rate": 0.0}, "recording 'r': rate: 0.0; wanted steps per second"),
        ({"rate": float("nan")}, "recording 'r': rate: nan"),
        ({"channels": ["x"]}, "recording 'r': channels: 1 names; the signal has 3"),
        ({"spans": [SPANS[0], (3.0, 2.0, "a", 0.5)]}, r"spans\[1\]: \(3.0, 2.0, 'a', 0.5\)"),
        ({"spans": [(1.0, 2.0, "a", float("nan"))]}, r"spans\[0\]: .* wanted finite numbers"),
        ({"truth": [(float("inf"), 2.0, "a")]}, r"truth\[0\]"),
    ],
)
def test_what_cannot_be_drawn_is_one_error(changes, message):
    for check in (check_shown, recording_figure):
        with pytest.raises(ValueError, match=message):
            check(shown(**changes))


@pytest.mark.parametrize("part", [np.zeros((2, 3)), np.zeros((103, 3), complex)])
def test_a_signal_that_breaks_its_promise_is_one_error(part):
    signal = Pieces(values())
    signal.read = lambda first, last: part
    with pytest.raises(ValueError, match="recording 'r': values: steps 0 to 103 are"):
        envelope(shown(signal), 4)


def test_a_lone_peak_does_not_flatten_a_channel():
    signal = np.random.default_rng(0).uniform(-1, 1, (5000, 3))
    signal[7, 0] = 1e9
    signal[:, 1], signal[:, 2] = 5.0, np.nan
    peak, constant, missing = view_range(envelope(shown(signal), 2))
    assert -1.1 < peak[0] < peak[1] < 1.1
    assert constant[0] < 5 < constant[1]
    assert missing.tolist() == [0, 1]


def test_the_first_threshold_shows_something():
    assert first_threshold([shown(), shown(spans=[])]) == 0.3
    assert first_threshold([shown(spans=[(0.0, 1.0, "a", 0.1)])]) == 0.05
    assert first_threshold([shown(spans=[])]) == 0.3


def bars(axes):
    return sum(len(drawn.get_paths()) for drawn in axes.collections)


def test_a_figure_has_the_predictions_from_the_threshold_on():
    signal, spans = recording_figure(shown()).axes
    assert spans.get_title("left").startswith("2 of 3 predictions: those with a score from 0.3")
    # Two predictions; the annotated span has a bar of its own and a line with its label.
    assert bars(spans) == 4
    assert [text.get_text() for text in spans.get_yticklabels()] == ["b", "a", "annotated"]
    assert [text.get_text() for text in signal.get_yticklabels()] == ["2", "1", "0"]
    assert spans.get_xlim() == (0, pytest.approx(10.3))
    assert bars(recording_figure(shown(), threshold=0.0).axes[1]) == 5


def test_a_bar_lies_where_its_span_is():
    _, spans = recording_figure(shown(spans=SPANS[:1], truth=())).axes
    (path,) = spans.collections[0].get_paths()
    corners = path.get_extents()
    assert (corners.x0, corners.x1) == (1, pytest.approx(2, abs=0.02))
    assert corners.y0 < 0 < corners.y1


def test_bars_that_overlap_lie_below_each_other_and_others_fill_the_row():
    axes = Figure().subplots()
    spans = [(0, 10), (9.8, 20), (30, 60), (35, 40), (50, 70), (80, 90), (101, 110), (100, 111)]
    scores = [1.0] * 6 + [0.9, 0.5]  # the higher one lies above
    bars = zip(spans, scores, strict=True)
    draw_bars(axes, 0.0, [(*span, score, (0.0, 0.0, 0.0)) for span, score in bars])
    boxes = [path.get_extents() for drawn in axes.collections for path in drawn.get_paths()]
    rows = {(box.x0, round(box.x1)): (box.y0, box.y1) for box in boxes}
    whole, upper, lower = (-0.4, 0.4), (0, 0.4), (-0.4, 0)
    expected = (whole, whole, upper, lower, lower, whole, upper, lower)
    for span, row in zip(spans, expected, strict=True):
        assert rows[span] == pytest.approx(row, abs=0.05)


def test_many_channels_are_rows_of_colours():
    signal, _ = recording_figure(shown(values(50, 13))).axes
    (image,) = signal.images
    assert image.get_array().shape == (13, 50)
    assert image.get_array().mask[1, 10:30].all()


@pytest.mark.parametrize("zone", [None, UTC])
def test_the_clock_is_that_of_the_recording(zone):
    start = datetime(2024, 2, 28, 23, 59, 30, tzinfo=zone)
    one = shown(np.zeros((600, 1)), start=start)
    _, spans = recording_figure(one).axes
    ticks = {
        text.get_text(): x
        for x, text in zip(spans.get_xticks(), spans.get_xticklabels(), strict=True)
    }
    midnight = next(x for text, x in ticks.items() if "29" in text or "00:00" in text)
    assert midnight == pytest.approx(30, abs=1e-3)
    assert spans.get_xlabel() == "clock time, from 2024-02-28 23:59:30"


@pytest.mark.parametrize(
    "one",
    [
        shown(spans=[], truth=[]),
        shown(np.zeros((0, 2)), spans=[]),
        shown(np.full((20, 2), np.nan)),
        shown(channels=["$a", "b$", "<b>"], spans=[(0.0, 1.0, r"$\frac{$", 0.5)], truth=[]),
        shown(spans=[(2.0, 2.0, "a", 3.0), (-5.0, 99.0, "a", 1.0)]),
        shown(np.zeros((90_000, 1)), rate=1.0),
    ],
)
def test_odd_recordings_are_drawn(one):
    file = io.BytesIO()
    recording_figure(one).savefig(file, format="png", dpi=40)
    assert len(file.getvalue()) > 1000


@pytest.mark.parametrize(
    ("seconds", "label", "tick"),
    [(12, "time (s)", 2), (359, "time (min)", 60), (200_000, "time (h)", 36_000)],
)
def test_the_axis_has_round_numbers_of_its_unit(seconds, label, tick):
    one = shown(np.zeros((seconds, 1)), rate=1.0, spans=[], truth=[])
    _, spans = recording_figure(one).axes
    assert spans.get_xlabel() == label
    assert spans.get_xticks()[:2].tolist() == [0, tick]
    assert spans.get_xlim() == (0, seconds)
