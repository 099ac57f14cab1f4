"""Predictions and targets of a test."""

from typing import Any

import torch

from spanloc.lightning import Callback, Trainer
from spanloc.metrics import SpanMetric
from spanloc.structures import Predictions, Targets


class Evaluated(Callback):
    """Keeps the predictions and the targets of a test, in seconds, of all processes: those that count.

    What cannot be judged, in ignored stretches above all, is left out, as it is for the metrics
    (:func:`~spanloc.metrics.assessable.assessable`).

    It takes them from the first of the task's metrics that has them; without one, ``predictions`` and
    ``targets`` stay None.

    Attributes:
        predictions, targets: Of all sequences.
        durations: Of the sequences, in seconds, by id.
        subjects: Of the sequences, by id, as far as they are known; whoever tests sets them.
    """

    def __init__(self) -> None:
        self.predictions: Predictions | None = None
        self.targets: Targets | None = None
        self.durations: dict[str, float] = {}
        self.subjects: dict[str, str] = {}

    def on_test_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Forgets an earlier test."""
        self.predictions, self.targets, self.durations = None, None, {}

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Takes down the durations of the sequences."""
        steps = batch.mask.sum(1).tolist()
        for name, count, line in zip(batch.ids, steps, batch.timelines, strict=True):
            self.durations[name] = count * line.seconds_per_step

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Takes the rows, before the task resets its metrics."""
        metrics = [m for m in pl_module.test_metrics.values() if isinstance(m, SpanMetric)]
        if metrics:
            with metrics[0].sync_context():
                self.predictions, self.targets = metrics[0].rows()
        if trainer.world_size > 1:
            every: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(every, self.durations)
            for durations in every:
                self.durations |= durations
