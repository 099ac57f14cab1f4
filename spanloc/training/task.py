"""The LightningModule."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DistributedSampler
from torchmetrics import Metric, MetricCollection

from spanloc.criterion import Criterion
from spanloc.data import Batch
from spanloc.decode import Decode
from spanloc.metrics import Predictions, Targets, sequence_key
from spanloc.models import Output
from spanloc.optimizers import Polyak

MakeOptimizer = Callable[[Iterable[dict[str, Any]]], Optimizer]
MakeScheduler = Callable[[Optimizer, int], LRScheduler]
_ADAMW = partial(AdamW, lr=1e-3, weight_decay=0.05)


class SpanLocalizer(LightningModule):
    """Trains, evaluates and applies a localizer, on batches of :class:`~spanloc.data.Batch`.

    It logs ``loss/total``, ``loss/span``, ``loss/score`` and ``lr`` at every training step, and
    ``val/loss`` and the metrics as ``val/...`` and ``test/...``: of all sequences at once, each
    counted once, so that they do not depend on batches and processes.

    Args:
        localizer: Such as :class:`~spanloc.models.Localizer`.
        criterion: What is minimised.
        decode: How an output becomes predictions.
        metrics: By name; each takes :class:`~spanloc.metrics.Predictions` and
            :class:`~spanloc.metrics.Targets`, in seconds. One that computes a dictionary logs its
            names.
        optimizer: Called with the parameter groups.
        scheduler: Called with the optimizer and the number of steps; None keeps the rate.
        classes: Names of the labels; they travel in the checkpoint.
    """

    def __init__(
        self,
        localizer: nn.Module,
        criterion: Criterion,
        decode: Decode | None = None,
        *,
        metrics: Mapping[str, Metric] | None = None,
        optimizer: MakeOptimizer = _ADAMW,
        scheduler: MakeScheduler | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.localizer, self.criterion = localizer, criterion
        self.decode = decode or Decode()
        collection = MetricCollection(dict(metrics or {}), compute_groups=False)
        self.val_metrics = collection.clone(prefix="val/")
        self.test_metrics = collection.clone(prefix="test/")
        self._seen, self._loss_sums = 0, torch.zeros(2)
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.classes = list(classes)
        # What spanloc.load builds the model from; a model built in plain Python has none.
        self.config: dict[str, Any] | None = None

    def forward(self, batch: Batch) -> Output:
        """The localizer's output for a batch."""
        return self.localizer(batch.features, batch.mask)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The loss, its parts, and under ``pred`` and ``target`` the pairs the span loss saw."""
        count = self.trainer.accumulate_grad_batches
        # The mean that Lightning takes over micro-batches is undone: the criterion has the number.
        losses = (self.criterion if count == 1 else self.criterion.part)(self(batch), batch)
        if not torch.isfinite(losses.total):
            raise FloatingPointError(
                f"the loss is {losses.total.item()} at step {self.global_step}, for the sequences "
                f"{', '.join(batch.ids)}"
            )
        parts = {"total": losses.total.detach(), "span": losses.span, "score": losses.score}
        self.log_dict({f"loss/{name}": v for name, v in parts.items()}, batch_size=len(batch))
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=len(batch))
        return {"loss": losses.total * count, **losses._asdict()}

    def on_train_start(self) -> None:
        """Begins a step anew: one that was interrupted has left its parts behind."""
        self.criterion.drop()

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """Takes the step, with the gradients of all its micro-batches over the number of all pairs."""

        def closure() -> Any:
            loss = optimizer_closure()
            if self.trainer.accumulate_grad_batches > 1:
                scale = self.criterion.finish()
                for parameter in self.parameters():
                    if parameter.grad is not None:
                        parameter.grad.mul_(scale)
            return loss

        super().optimizer_step(epoch, batch_idx, optimizer, closure)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to ``val/loss`` and the metrics."""
        output, counted = self(batch), self._counted(batch, self.trainer.val_dataloaders)
        weights = counted.float() if batch.weights is None else batch.weights * counted
        losses = self.criterion(output, replace(batch, weights=weights))
        self._loss_sums += torch.stack([losses.total * losses.count.clamp(min=1), losses.count])
        self._update(self.val_metrics, output, batch, counted)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the metrics."""
        counted = self._counted(batch, self.trainer.test_dataloaders)
        self._update(self.test_metrics, self(batch), batch, counted)

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Predictions:
        """Predictions in steps; ``sequences`` counts from 0 in the batch."""
        return self._predict(self(batch), batch)

    def on_validation_epoch_start(self) -> None:
        """Begins to count the sequences, and to sum up the loss."""
        self._seen, self._loss_sums = 0, torch.zeros(2, device=self.device)

    def on_test_epoch_start(self) -> None:
        """Begins to count the sequences."""
        self._seen = 0

    def on_validation_epoch_end(self) -> None:
        """Logs the loss and the metrics."""
        # Of all sequences at once, so that it does not depend on how they lie in batches.
        total, count = self.trainer.strategy.reduce(self._loss_sums, reduce_op="sum")
        self.log("val/loss", total / count.clamp(min=1), sync_dist=True)
        self._log(self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Logs the metrics."""
        self._log(self.test_metrics)

    def configure_optimizers(self) -> Any:
        """Weight decay for matrices and kernels only, and a rate that changes at every step."""
        decayed, plain = [], []
        for parameter in self.parameters():
            (decayed if parameter.ndim > 1 else plain).append(parameter)
        groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        optimizer = self.make_optimizer(groups)
        if isinstance(optimizer, Polyak):
            self._check_polyak()
        if self.make_scheduler is None:
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if not 0 < steps < math.inf:
            raise ValueError(
                "the schedule needs a number of steps: set trainer.max_epochs or trainer.max_steps"
            )
        scheduler = self.make_scheduler(optimizer, int(steps))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _check_polyak(self) -> None:
        for name, value, wanted in (
            ("gradient_clip_val", self.trainer.gradient_clip_val or None, None),
            ("accumulate_grad_batches", self.trainer.accumulate_grad_batches, 1),
        ):
            if value != wanted:
                raise ValueError(
                    f"trainer.{name} is {value}; with Polyak's step, which needs loss and gradient "
                    f"of one batch as they are, it must be {'null' if wanted is None else wanted}"
                )

    def setup(self, stage: str) -> None:
        """Refuses precisions in which positions in a sequence would not be exact."""
        if self.trainer.precision not in ("32-true", "16-mixed", "bf16-mixed"):
            raise ValueError(
                f"trainer.precision is {self.trainer.precision}; it may be 32-true, 16-mixed or "
                "bf16-mixed, which keep spans in float32"
            )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the names of the classes, where none were given."""
        self.classes = self.classes or list(checkpoint.get("spanloc", {}).get("classes", ()))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what :func:`spanloc.load` needs."""
        checkpoint["spanloc"] = {"config": self.config, "classes": self.classes}

    def _counted(self, batch: Batch, loader: Any) -> Tensor:
        """Which sequences of the batch count, ``(B,)``: those that were not put there as padding.

        A sampler that shares sequences out over processes repeats the first ones at the end, so that
        all get as many.
        """
        places = torch.arange(self._seen, self._seen + len(batch), device=self.device)
        self._seen += len(batch)
        loader = loader[0] if isinstance(loader, list | tuple) else loader
        inner = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
        for sampler in (getattr(loader, "sampler", None), inner):
            if isinstance(sampler, DistributedSampler):
                return places * sampler.num_replicas + sampler.rank < len(sampler.dataset)
        return torch.ones_like(places, dtype=torch.bool)

    def _update(
        self, metrics: MetricCollection, output: Output, batch: Batch, counted: Tensor
    ) -> None:
        predictions = self._predict(output, batch)
        found = predictions.sequences
        there = batch.target_mask & counted[:, None]
        true = there.nonzero()[:, 0]
        keys = torch.tensor([sequence_key(name) for name in batch.ids], device=self.device)
        predictions = predictions._replace(
            spans=batch.to_seconds(predictions.spans, found), sequences=keys[found]
        )
        targets = Targets(
            batch.to_seconds(batch.spans[there], true), batch.labels[there], keys[true]
        )
        metrics.update(Predictions(*(field[counted[found]] for field in predictions)), targets)

    def _predict(self, output: Output, batch: Batch) -> Predictions:
        finite = (output.spans.isfinite().all(-1) & output.logits.isfinite().all(-1)).all(-1)
        if not finite.all():
            bad = [name for name, fine in zip(batch.ids, finite.tolist(), strict=True) if not fine]
            raise FloatingPointError(f"the output is not finite for the sequences {', '.join(bad)}")
        return self.decode(output, batch.mask)

    def _log(self, metrics: MetricCollection) -> None:
        # All processes have the same; without sync_dist Lightning warns that they might not.
        values = {name: value.float() for name, value in metrics.compute().items()}
        self.log_dict(values, sync_dist=True)
        metrics.reset()
