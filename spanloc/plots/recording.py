"""A recording's signal with its spans, as a picture; and the envelopes that draw a long signal."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spanloc.plots.bars import MEANING, draw_bars
from spanloc.plots.style import GREY, SERIES, WIDTH, tidy

#: Up to so many channels are drawn one below the other, more as rows of colours.
MOST_LANES = 12
#: Channels beyond these are left out: a screen has no room for them.
MOST_CHANNELS = 256
#: Predictions below this score are not drawn at first, unless all are.
THRESHOLD = 0.3
# Numbers read at a time: 32 MB of float64.
_PIECE = 4_000_000


class Shown(NamedTuple):
    """A recording to look at.

    Attributes:
        id: Its name.
        values: The signal, ``(steps, channels)`` real numbers, or an object with
            ``read(first, last) -> (last - first, channels)``, ``num_steps`` and ``num_channels``, such as
            a :class:`spanloc.data.signals.protocol.Signal`: it is read in pieces. What is not finite
            counts as missing.
        rate: Steps per second.
        channels: Names, one a channel; None: their numbers.
        spans: Predictions: start and end in seconds from the first step, label, score.
        truth: Annotated spans, where they are known: start and end in seconds, label.
        start: Clock time of the first step, where it is known.
    """

    id: str
    values: Any
    rate: float
    channels: Sequence[str] | None
    spans: Sequence[tuple[float, float, str, float]]
    truth: Sequence[tuple[float, float, str]] = ()
    start: datetime | None = None

    @property
    def num_steps(self) -> int:
        """Rows of the signal."""
        return int(self.values.num_steps if _read(self.values) else self.values.shape[0])

    @property
    def num_channels(self) -> int:
        """Columns of the signal."""
        return int(self.values.num_channels if _read(self.values) else self.values.shape[1])

    def names(self) -> list[str]:
        """Names of the channels, numbers from 0 where they have none."""
        return [*map(str, range(self.num_channels) if self.channels is None else self.channels)]

    def labels(self) -> list[str]:
        """Labels of predictions and annotated spans, sorted."""
        return sorted({label for _, _, label, _ in self.spans} | {row[2] for row in self.truth})


class Envelope(NamedTuple):
    """Extremes of a signal over bins of ``width`` steps, the last of which may be shorter.

    Attributes:
        low, high: ``(bins, channels)``, NaN where a bin has no finite value; the same if ``width`` is 1.
        width: Steps per bin.
    """

    low: np.ndarray
    high: np.ndarray
    width: int


def envelope(shown: Shown, width: int) -> Envelope:
    """The extremes of the first ``MOST_CHANNELS`` channels over bins of ``width`` steps.

    The signal is read once, in pieces of 32 MB or of one bin, whichever is larger.

    Raises:
        ValueError: ``values`` gives something else than real numbers of the promised shape.
    """
    steps, channels = shown.num_steps, min(shown.num_channels, MOST_CHANNELS)
    rows = max(1, _PIECE // max(1, shown.num_channels) // width) * width
    found = [
        _extremes(_piece(shown, first, min(first + rows, steps))[:, :channels], width)
        for first in range(0, steps, rows)
    ]
    if not found:
        return Envelope(np.zeros((0, channels)), np.zeros((0, channels)), width)
    low = np.concatenate([low for low, _ in found])
    return Envelope(low, low if width == 1 else np.concatenate([h for _, h in found]), width)


def check_shown(shown: Shown) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ValueError: It names the recording, the field, what came and what is wanted.
    """
    where = f"recording {shown.id!r}"
    if not _read(shown.values) and getattr(shown.values, "ndim", None) != 2:
        came = getattr(shown.values, "shape", type(shown.values).__name__)
        raise ValueError(f"{where}: values: {came}; wanted (steps, channels), or a signal")
    if not (np.isfinite(shown.rate) and shown.rate > 0):
        raise ValueError(f"{where}: rate: {shown.rate}; wanted steps per second, above 0")
    if shown.channels is not None and len(shown.channels) != shown.num_channels:
        raise ValueError(
            f"{where}: channels: {len(shown.channels)} names; the signal has {shown.num_channels}"
        )
    for field in ("spans", "truth"):
        for i, row in enumerate(getattr(shown, field)):
            if not (np.isfinite([*row[:2], *row[3:]]).all() and row[0] <= row[1]):
                came = f"{field}[{i}]: {tuple(row)}"
                raise ValueError(f"{where}: {came}; wanted finite numbers, start before end")


def first_threshold(shown: Sequence[Shown]) -> float:
    """The score from which predictions are drawn at first: 0.3, or half the best where all are lower."""
    best = max((row[3] for one in shown for row in one.spans), default=THRESHOLD)
    return THRESHOLD if best >= THRESHOLD else max(0.0, float(best)) / 2


def view_range(envelope: Envelope) -> np.ndarray:
    """The values between which a channel is drawn, ``(channels, 2)``: a few peaks do not flatten the rest.

    From the 0.1 % quantile of the lower to the 99.9 % quantile of the upper extremes; a constant
    channel lies in the middle; one without a finite value gets 0 to 1.
    """
    found = np.tile([0.0, 1.0], (envelope.low.shape[1], 1))
    for channel, ends in enumerate(found):
        low, high = envelope.low[:, channel], envelope.high[:, channel]
        if np.isfinite(low).any():
            ends[:] = np.nanquantile(low, 0.001), np.nanquantile(high, 0.999)
            if not ends[1] > ends[0]:
                ends += np.array([-1, 1]) * max(abs(ends[0]) / 100, 1e-9)
    return found


def recording_figure(shown: Shown, *, threshold: float | None = None) -> Figure:
    """A whole recording: its channels, the annotated spans where there are some, the predictions by label.

    Args:
        shown: The recording; it is read once, in pieces.
        threshold: Lowest score that is drawn; None: :func:`first_threshold`.

    Raises:
        ValueError: The recording cannot be drawn; see :func:`check_shown`.
    """
    check_shown(shown)
    threshold = first_threshold([shown]) if threshold is None else threshold
    drawn = sorted((row for row in shown.spans if row[3] >= threshold), key=lambda row: row[3])
    labels, channels = shown.labels(), shown.num_channels
    colours = {name: to_rgb(SERIES[i % len(SERIES)]) for i, name in enumerate(labels)}
    upper = 0.35 * channels + 0.3 if channels <= MOST_LANES else 2.6
    lower = 0.22 * (len(labels) + bool(shown.truth)) + 0.3
    figure = Figure(figsize=(WIDTH, 0.9 + upper + lower), layout="constrained")
    signal, spans = figure.subplots(2, sharex=True, height_ratios=(upper, lower))
    ends = [row[1] for row in shown.spans] + [row[1] for row in shown.truth]
    end = max([shown.num_steps / shown.rate, *ends]) or 1.0
    draw_signal(signal, shown)
    # Names hold any letters: no formulas.
    signal.set_title(shown.id, fontsize=10, loc="left", parse_math=False)
    for row, label in enumerate(labels):
        colour, mine = colours[label], [part for part in drawn if part[2] == label]
        draw_bars(spans, len(labels) - 1 - row, [(a, b, score, colour) for a, b, _, score in mine])
        # Above the predictions too: colours repeat, rows do not.
        lengths = [(a, b - a) for a, b, name in shown.truth if name == label]
        spans.broken_barh(lengths, (len(labels) - 0.6 - row, 0.1), color=colour)
    draw_bars(spans, len(labels), [(a, b, 1.0, colours[name]) for a, b, name in shown.truth])
    ticks = [*reversed(labels), *(["annotated"] if shown.truth else [])]
    spans.set_yticks(range(len(ticks)), ticks, fontsize=8, parse_math=False)
    spans.set_ylim(-0.6, max(len(ticks), 1) - 0.4)
    count = f"{len(drawn)} of {len(shown.spans)} predictions: those with a score from {threshold:.2g}; {MEANING}"
    spans.set_title(count, fontsize=8, loc="left", color="#5c646c")
    for axes in (signal, spans):
        axes.tick_params(axis="y", length=0)
        tidy(axes, grid=False)
    _time_axis(spans, shown.start, end)
    return figure


def draw_signal(axes: Axes, shown: Shown, *, start: float = 0.0) -> None:
    """Draw the channels one below the other, or as rows of colours where there are many.

    Args:
        shown: The recording; it is read once, in pieces.
        start: Where on the axis the first step begins, in seconds.
    """
    names = shown.names()[:MOST_CHANNELS]
    found = envelope(shown, max(1, -(-shown.num_steps // 1500)))
    (_draw_lanes if len(names) <= MOST_LANES else _draw_rows)(axes, shown, found, names, start)


def _draw_lanes(axes, shown: Shown, found: Envelope, names: list[str], start: float) -> None:
    times = start + (np.arange(len(found.low)) + 0.5) * found.width / shown.rate
    for channel, (low, high) in enumerate(view_range(found)):
        place = len(names) - 1 - channel
        lower, upper = (
            place + 0.9 * np.clip((part[:, channel] - low) / (high - low), 0, 1) - 0.45
            for part in (found.low, found.high)
        )
        axes.fill_between(times, lower, upper, color=GREY, linewidth=0.5)
    axes.set_yticks(range(len(names)), names[::-1], fontsize=8, parse_math=False)
    axes.set_ylim(-0.6, len(names) - 0.4)


def _draw_rows(axes, shown: Shown, found: Envelope, names: list[str], start: float) -> None:
    low, high = view_range(found).T
    scaled = ((found.low + found.high) / 2 - low) / (high - low)
    end = start + max(len(found.low) * found.width / shown.rate, 1e-9)
    axes.imshow(
        np.ma.masked_invalid(scaled.T),
        aspect="auto",
        interpolation="nearest",
        vmin=0,
        vmax=1,
        cmap="cividis",
        extent=(start, end, len(names) - 0.5, -0.5),
    )
    places = np.unique(np.linspace(0, len(names) - 1, 6).round().astype(int))
    axes.set_yticks(places, [names[i] for i in places], fontsize=8, parse_math=False)


def _time_axis(axes: Axes, start: datetime | None, end: float) -> None:
    if start is not None:
        # Wall time as it was written: matplotlib would turn a zone into UTC.
        begin = start.replace(tzinfo=None)
        locator = AutoDateLocator()
        days = np.array(locator.tick_values(begin, begin + timedelta(seconds=end)))
        ticks = (days - date2num(begin)) * 86_400
        labels = ConciseDateFormatter(locator).format_ticks(days)
        axes.set_xlabel(f"clock time, from {begin:%Y-%m-%d %H:%M:%S}")
    else:
        unit, name = (3600, "h") if end > 7200 else (60, "min") if end > 300 else (1, "s")
        times = np.array(MaxNLocator(9, steps=[1, 2, 5, 10]).tick_values(0, end / unit))
        times = times[times * unit <= end]
        ticks, labels = times * unit, [f"{time:g}" for time in times]
        axes.set_xlabel(f"time ({name})")
    axes.set_xticks(ticks, labels)
    axes.set_xlim(0, end)


def _read(values: Any) -> bool:
    return hasattr(values, "read") and hasattr(values, "num_steps")


def _piece(shown: Shown, first: int, last: int) -> np.ndarray:
    reader = _read(shown.values)
    part = np.asarray(shown.values.read(first, last) if reader else shown.values[first:last])
    wanted = (last - first, shown.num_channels)
    if part.shape != wanted or part.dtype.kind not in "fiub":
        raise ValueError(
            f"recording {shown.id!r}: values: steps {first} to {last} are {part.shape} of {part.dtype}; "
            f"wanted real numbers, {wanted}"
        )
    return part.astype(np.result_type(part, np.float32), copy=False)


def _extremes(part: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    finite = np.isfinite(part)
    whole = bool(finite.all())
    part = part if whole else np.where(finite, part, np.nan)
    if width == 1:
        return part, part
    firsts = np.arange(0, len(part), width)
    # These pass over NaN, at a price.
    least, most = (np.minimum, np.maximum) if whole else (np.fmin, np.fmax)
    return least.reduceat(part, firsts), most.reduceat(part, firsts)
