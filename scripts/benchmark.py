"""Times what is meant to be fast: ``make bench``. A and B in turn in one process, medians.

Numbers depend on the machine; the ratios are what to compare.
"""

import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from attention_step import bench_attention
from prediction import bench_prediction
from pytorch_lightning import Callback, Trainer
from rich.console import Console
from rich.table import Table
from startup import bench_startup
from timing import medians, milliseconds, peak_over, random_spans

from spanloc import Criterion, Decode, SpanLocalizer, losses, metrics, ops
from spanloc.data import SyntheticData
from spanloc.matching import match_points, match_single
from spanloc.models import ConvBackbone, Localizer, PointsHead, PyramidNeck, SingleHead
from spanloc.structures import Batch, Predictions, Sample, Targets, collate
from spanloc.training.callbacks import GradientNorms


def textbook(kind: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """IoU, GIoU and DIoU loss as usually composed: minimum, maximum, clamp, union, hull."""

    def loss(pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        (s, e), (a, b) = pred.unbind(-1), target.unbind(-1)
        shared = (torch.minimum(e, b) - torch.maximum(s, a)).clamp(min=0)
        union = (e - s) + (b - a) - shared
        iou = shared / union.clamp(min=1e-6)
        if kind == "iou":
            return 1 - iou
        hull = (torch.maximum(e, b) - torch.minimum(s, a)).clamp(min=1e-6)
        if kind == "giou":
            return 1 - (iou - (hull - union) / hull)
        return 1 - iou + ((s + e) / 2 - (a + b) / 2) ** 2 / hull**2

    return loss


def bench_losses(table: Table) -> None:
    torch.set_num_threads(1)
    compiled = torch.compile(losses.giou_loss, fullgraph=True)
    for count in (1_000, 100_000, 1_000_000):
        # Half of the pairs overlap.
        target = random_spans(count)
        pred = (target + 6 * torch.randn(count, 1)).requires_grad_()
        repeats = max(15, 300_000 // count)

        def step(loss: Callable, pred: torch.Tensor = pred, target: torch.Tensor = target) -> None:
            pred.grad = None
            loss(pred, target).sum().backward()

        for name in ("iou", "giou", "diou"):
            ours, theirs = medians(
                lambda step=step, name=name: step(getattr(losses, f"{name}_loss")),
                lambda step=step, name=name: step(textbook(name)),
                repeats=repeats,
            )
            label = f"{name}_loss, {count:,} pairs"
            table.add_row(label, milliseconds(ours), f"{theirs / ours:.2f} x textbook")
        ours, theirs = medians(
            lambda step=step: step(compiled), lambda step=step: step(textbook("giou")),
            repeats=repeats,
        )  # fmt: skip
        label = f"giou_loss by torch.compile, {count:,} pairs"
        table.add_row(label, milliseconds(ours), f"{theirs / ours:.2f} x textbook")


def bench_suppression(table: Table) -> None:
    count, num_labels = 40_000, 20
    spans, random = random_spans(count, spread=1000), torch.Generator().manual_seed(0)
    scores = torch.rand(count, generator=random)
    labels = torch.randint(num_labels, (count,), generator=random)
    (hard,) = medians(lambda: ops.nms(spans, scores, labels, threshold=0.5), repeats=5)
    (soft,) = medians(lambda: ops.soft_nms(spans, scores, labels, max_per_label=200), repeats=5)
    table.add_row(f"nms, {count:,} spans, {num_labels} labels", milliseconds(hard), "")
    table.add_row("soft_nms of the same, 200 kept per label", milliseconds(soft), "")
    # Of a long recording: as dense, and all of it kept.
    count = 64_000
    start = torch.rand(count) * 24 * count
    spans, scores = torch.stack([start, start + torch.rand(count) * 200], 1), torch.rand(count)
    (soft,) = medians(lambda: ops.soft_nms(spans, scores), repeats=3)
    table.add_row(f"soft_nms, {count:,} spans of one label, along a line", milliseconds(soft), "")


def detections(count: int, num_sequences: int, num_labels: int = 20) -> tuple[Predictions, Targets]:
    """Twenty predictions around each target, in float64, as they come from files."""
    random, num_targets = np.random.default_rng(0), count // 20
    target = random_spans(num_targets, spread=300).double()
    which = random.integers(num_targets, size=count)
    labels = random.integers(num_labels, size=num_targets)
    places = random.integers(num_sequences, size=num_targets)
    ids = tuple(f"sequence {i}" for i in range(num_sequences))
    spans = target[which] + torch.randn(count, 2, dtype=torch.float64)
    return Predictions(
        spans.sort(1).values,
        torch.from_numpy(labels[which]),
        torch.from_numpy(places[which]),
        ids,
        scores=torch.rand(count, dtype=torch.float64),
    ), Targets(target, torch.from_numpy(labels), torch.from_numpy(places), ids)


def bench_metrics(table: Table) -> None:
    torch.set_num_threads(1)
    thresholds = [t / 20 for t in range(10, 20)]
    code = (
        "import time, torch; from spanloc.metrics import average_precision;"
        "from spanloc.structures import Predictions, Targets; zero = torch.zeros(1).long();"
        "spans = torch.zeros(1, 2).double(); begin = time.perf_counter();"
        "average_precision(Predictions(spans, zero, zero, ('a',), scores=torch.ones(1)),"
        "Targets(spans + 1, zero, zero, ('a',)), [0.5]); print(time.perf_counter() - begin)"
    )
    with tempfile.TemporaryDirectory() as empty:
        command, cache = [sys.executable, "-c", code], {**os.environ, "NUMBA_CACHE_DIR": empty}
        cold, cached = (
            float(subprocess.run(command, env=cache, capture_output=True, check=True).stdout)
            for _ in range(2)
        )
    table.add_row("AveragePrecision, first call ever (compiles)", milliseconds(cold), "")
    table.add_row("AveragePrecision, first call of a process", milliseconds(cached), "")
    metrics.average_precision(*detections(2_000, 10), thresholds)  # loads the compiled code
    for count, num_sequences, repeats in (
        (40_000, 200, 9),
        (300_000, 1_500, 5),
        (10_000_000, 50_000, 1),
    ):
        predictions, targets = detections(count, num_sequences)
        columns = (*vars(predictions).values(), *vars(targets).values())
        size = sum(c.numel() * c.element_size() for c in columns if isinstance(c, torch.Tensor))

        def run(predictions: Any = predictions, targets: Any = targets) -> None:
            metric = metrics.AveragePrecision(thresholds)
            metric.update(predictions, targets)
            metric.compute()

        # First, since what a call has let go is there for the next.
        share = 1 + peak_over(run) / size
        (seconds,) = medians(run, repeats=repeats)
        label = (
            f"AveragePrecision, {count:,} predictions, {num_sequences:,} sequences, 10 thresholds"
        )
        table.add_row(label, milliseconds(seconds), f"{share:.1f} x memory of rows")
    rows = detections(300_000, 1_500)
    names = [str(i) for i in range(20)]
    for metric in (
        metrics.AverageRecall(), metrics.RecallAtTIoU(numbers=[1, 5]), metrics.RetrievalPrecision(),
        metrics.EventF1(), metrics.SegmentF1(), metrics.BoundaryError(),
    ):  # fmt: skip
        (seconds,) = medians(lambda metric=metric: metric.values(*rows), repeats=5)
        table.add_row(f"{type(metric).__name__}, 300,000 predictions", milliseconds(seconds), "")
    (seconds,) = medians(lambda: metrics.diagnose(*rows, names), repeats=3)
    table.add_row("diagnose, 300,000 predictions", milliseconds(seconds), "")


def bench_update(table: Table) -> None:
    batch = recordings()
    model = Localizer(
        ConvBackbone(6, stride=10), PyramidNeck(6), PointsHead(12, 6, num_layers=1, num_shared=1)
    )
    decode = Decode(suppress=ops.soft_nms)
    metric = metrics.AveragePrecision()

    def step() -> Predictions:
        with torch.no_grad():
            output = model.eval()(batch.features, batch.mask)
            return decode(output, batch).in_seconds(batch.timelines)

    predictions = step()
    targets = batch.targets("seconds")

    def added() -> None:
        metric.update(predictions, targets)
        metric.reset()

    update, whole = medians(added, step, repeats=9)
    label = "AveragePrecision.update and reset, of an evaluation step of experiment=sbhar"
    table.add_row(label, milliseconds(update), f"{update / whole:.2%} of the step")


def recordings() -> Batch:
    """Eight crops as experiment=sbhar has them: 160 s of 6 channels at 50 Hz."""
    samples = []
    for i in range(8):
        spans = random_spans(10, seed=i, spread=6000) * torch.tensor([1.0, 1.0])
        spans[:, 1] = spans[:, 0] + 100 + 100 * (spans[:, 1] - spans[:, 0])
        labels = torch.zeros(10, dtype=torch.int64)
        samples.append(Sample(f"crop-{i}", torch.randn(6, 8000), spans, labels))
    return collate(samples)


def bench_step(table: Table) -> None:
    batch = recordings()
    model = Localizer(
        ConvBackbone(6, stride=10), PyramidNeck(6), PointsHead(12, 6, num_layers=1, num_shared=1)
    )
    criterion = Criterion(match_points, losses.diou_loss)
    output = model(batch.features, batch.mask)

    def step() -> None:
        criterion(model(batch.features, batch.mask), batch).total.backward()

    assign, total = medians(lambda: match_points(output, batch), step, repeats=7)
    table.add_row("match_points, 8 crops of 160 s at 50 Hz", milliseconds(assign), "")
    table.add_row("forward + backward of experiment=sbhar on them", milliseconds(total), "")


class Steps(Callback):
    """Takes the time from batch to batch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last: float | None = None

    def on_train_batch_start(self, *args: object) -> None:
        now = time.perf_counter()
        if self.last is not None:
            self.seconds.append(now - self.last)
        self.last = now


def fit(*callbacks: Callback) -> float:
    """Median seconds of a step of the default ``spanloc-train``, with these callbacks."""
    model = Localizer(
        ConvBackbone(4, stride=2, width=48, num_blocks=2),
        PyramidNeck(3, width=48, num_blocks=1),
        SingleHead(3, width=48),
    )
    task = SpanLocalizer(model, Criterion(match_single, losses.giou_loss))
    steps = Steps()
    trainer = Trainer(
        max_steps=60, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
        callbacks=[*callbacks, steps],
    )  # fmt: skip
    trainer.fit(task, datamodule=SyntheticData(num_train=1920, num_val=1, num_test=1))
    return statistics.median(steps.seconds)


def bench_gradient_norms(table: Table) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    fit()
    pairs = [(fit(GradientNorms()), fit()) for _ in range(9)]
    share = statistics.median(a / b for a, b in pairs) - 1
    seconds = statistics.median(a for a, _ in pairs)
    table.add_row(
        "step of the default training, gradients logged", milliseconds(seconds), f"{share:+.1%}"
    )


def main() -> None:
    table = Table(
        "what",
        title=f"Medians, torch {torch.__version__}; losses forward and backward, on one thread",
    )
    table.add_column("time", justify="right")
    table.add_column("against", justify="right")
    threads = torch.get_num_threads()
    bench_startup(table)
    bench_losses(table)
    torch.set_num_threads(threads)
    bench_suppression(table)
    bench_metrics(table)
    torch.set_num_threads(threads)
    bench_update(table)
    bench_step(table)
    bench_attention(table)
    bench_prediction(table)
    bench_gradient_norms(table)
    Console().print(table)


if __name__ == "__main__":
    main()
