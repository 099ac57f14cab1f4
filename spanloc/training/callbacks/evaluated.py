"""What a model predicted while it was tested, and what was true."""

from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from spanloc.metrics import Predictions, SpanMetric, Targets, sequence_key


class Evaluated(Callback):
    """Keeps the predictions and the targets of a test, in seconds, of all processes.

    It takes them from the first of the task's metrics that has them; without one, ``rows`` stays None.

    Attributes:
        rows: Predictions and targets.
        names: Of the sequences, by :func:`~spanloc.metrics.sequence_key`.
        durations: Of the sequences, in seconds.
    """

    def __init__(self) -> None:
        self.rows: tuple[Predictions, Targets] | None = None
        self.names: dict[int, str] = {}
        self.durations: dict[int, float] = {}

    def on_test_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Forgets what it has of an earlier test."""
        self.rows, self.names, self.durations = None, {}, {}

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Takes down the names and durations of the sequences."""
        steps = batch.mask.sum(1).tolist()
        for name, count, line in zip(batch.ids, steps, batch.timelines, strict=True):
            self.names[sequence_key(name)] = name
            self.durations[sequence_key(name)] = count * line.seconds_per_step

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Takes the rows, before the task resets its metrics."""
        metrics = [m for m in pl_module.test_metrics.values() if isinstance(m, SpanMetric)]
        if metrics:
            with metrics[0].sync_context():
                self.rows = metrics[0].rows()
        if trainer.world_size > 1:
            every: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(every, (self.names, self.durations))
            for names, durations in every:
                self.names |= names
                self.durations |= durations
