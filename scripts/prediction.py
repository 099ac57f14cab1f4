"""Speed and memory of prediction on long recordings; ``make bench`` prints them."""

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from timing import medians, milliseconds, peak_over

from spanloc import Criterion, Decode, SpanLocalizer, losses, ops
from spanloc.data.signals import NpySignal
from spanloc.facts import DataFacts, InputFacts
from spanloc.inference.streaming import Stream
from spanloc.matching import match_points
from spanloc.models import ConvBackbone, Localizer, PointsHead, PyramidNeck

_SUPPRESS = partial(ops.soft_nms, max_per_label=200)
_MOTION, _BANDS = InputFacts(6, 50.0), InputFacts(32, 100.0)
_SOUND = InputFacts(
    1, 32_000.0, features="log_spectrogram", feature_options={"num_bands": 32, "hop": 0.01}
)


def detector(facts: InputFacts) -> SpanLocalizer:
    """The default detector as the recipe sizes it for such signals, not trained.

    All of its candidates reach the suppression.
    """
    torch.manual_seed(0)
    channels = int(facts.feature_options.get("num_bands", facts.num_channels))
    # For recordings as those of SBHAR, and for frames of sound as in birdsong.
    stride, levels, labels = (10, 6, 12) if facts is _MOTION else (1, 4, 13)
    model = Localizer(
        ConvBackbone(channels, stride=stride), PyramidNeck(levels),
        PointsHead(labels, levels, num_layers=1, num_shared=1),
    )  # fmt: skip
    task = SpanLocalizer(
        model, Criterion(match_points, losses.diou_loss), Decode(suppress=_SUPPRESS)
    )
    task.classes, task.input, task.window = [str(i) for i in range(labels)], facts, 16_000 * stride
    task.facts = DataFacts(channels, labels, 10.0 * stride, 300.0 * stride)
    return task.eval()


def bench_prediction(table: Table) -> None:
    """Add a row for each kind of recording: time, and how many times faster than it was recorded."""
    random = np.random.default_rng(0)
    cases = (
        ("6 minutes of 6 channels at 50 Hz", _MOTION, 360),
        ("1 minute of 32 bands at 100 Hz", _BANDS, 60),
        ("1 minute of sound at 32 kHz", _SOUND, 60),
    )
    for name, facts, seconds in cases:
        task, rate = detector(facts), facts.rate or 1.0
        size = round(seconds * rate), facts.num_channels
        values = random.normal(size=size).astype(np.float32)
        (taken,) = medians(lambda task=task, values=values: task.predict(values), repeats=5)
        table.add_row(
            f"predict, {name}", milliseconds(taken), f"{seconds / taken:,.0f} x real time"
        )
        busy = streamed(task, values, round(rate / 2))
        table.add_row(
            f"stream, {name}, by half seconds",
            milliseconds(busy),
            f"{seconds / busy:,.0f} x real time",
        )
    bench_length(table)


def streamed(task: SpanLocalizer, values: np.ndarray, size: int) -> float:
    """Seconds that a stream of the values takes."""
    begin, stream = time.perf_counter(), Stream(task)
    for first in range(0, len(values), size):
        stream.push(values[first : first + size])
    stream.finish()
    return time.perf_counter() - begin


def bench_length(table: Table) -> None:
    """Add a row on a recording of 10 million steps in a file."""
    task, steps = detector(_MOTION), 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.npy"
        array = np.lib.format.open_memmap(path, "w+", np.float32, (steps, 6))
        random = np.random.default_rng(0)
        for first in range(0, steps, 100_000):
            array[first : first + 100_000] = random.normal(size=(100_000, 6))
        del array
        task.predict(np.zeros((100, 6), np.float32))
        begin = time.perf_counter()
        held = peak_over(lambda: task.predict(NpySignal(path)))
        taken = time.perf_counter() - begin
    table.add_row(
        "predict, 10 million steps of 6 channels", milliseconds(taken),
        f"{held / 2**30:.2f} GiB of memory, of at most 2",
    )  # fmt: skip
