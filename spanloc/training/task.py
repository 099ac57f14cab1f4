"""The LightningModule."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torchmetrics import Metric, MetricCollection

from spanloc.criterion import Criterion, Losses
from spanloc.decode import Decode
from spanloc.lightning import package, rank_zero_info
from spanloc.losses.kinds import name_of
from spanloc.metrics.assessable import assessable
from spanloc.structures import Batch, Output
from spanloc.training.finite import FiniteWatch
from spanloc.training.optimizers import on_gpu
from spanloc.training.predicting import PredictingModule
from spanloc.training.step_log import StepLog

MakeOptimizer = Callable[..., Optimizer]
MakeScheduler = Callable[[Optimizer, int], LRScheduler]
_ADAMW = partial(AdamW, lr=1e-3, weight_decay=0.05)


class SpanLocalizer(PredictingModule):
    """Trains, evaluates and applies a localizer, on batches of :class:`~spanloc.structures.Batch`.

    It logs ``train/loss``, ``train/loss_span``, ``train/loss_score`` (and so on, by term) and ``lr`` at
    every training step, and ``val/loss`` and the metrics as ``val/...`` and ``test/...``: of all
    sequences at once, so that they do not depend on batches and processes.

    When a ``Trainer`` begins to fit, :meth:`~spanloc.training.built.BuiltModule.prepare` sets up what follows
    from the training data: the sizes of the model, the normalisation and the classes.

    Args:
        localizer: Such as :class:`~spanloc.models.Localizer`; or a function that builds one, such as a
            ``functools.partial`` of it, called with the ``facts`` of the training data.
        criterion: What is minimised.
        decode: How an output becomes predictions; None: a plain ``Decode()``, without suppression.
        metrics: By name; each takes :class:`~spanloc.structures.Predictions` and
            :class:`~spanloc.structures.Targets`, in seconds, without what cannot be judged. A metric that
            computes a dictionary is logged by the keys of that (``val/mAP``), any other by its name here.
        optimizer: Called with the parameter groups, such as ``partial(torch.optim.AdamW, lr=1e-3)``; on a GPU
            with ``fused=True`` where it has that option and it is left open.
        scheduler: Called with the optimizer and the number of optimizer steps of the training, such as
            :func:`spanloc.training.schedules.cosine`; what it gives is stepped after each of them, not after
            epochs. None keeps the rate.
        classes: Names of the labels; they travel in the checkpoint. None: those of the data.
        compile: Whether training steps run the localizer by ``torch.compile``. Evaluation, where sequences
            differ in length, runs it as it is; nothing in a checkpoint depends on it.
    """

    def __init__(
        self,
        localizer: nn.Module | Callable[..., nn.Module],
        criterion: Criterion,
        decode: Decode | None = None,
        *,
        metrics: Mapping[str, Metric] | None = None,
        optimizer: MakeOptimizer = _ADAMW,
        scheduler: MakeScheduler | None = None,
        classes: Sequence[str] | None = None,
        compile: bool = False,  # noqa: A002 (as the setting is called)
    ) -> None:
        for name, make in (("optimizer", optimizer), ("scheduler", scheduler)):
            if make is not None and not callable(make):
                raise TypeError(
                    f"{name} is a {type(make).__name__}; wanted a function that makes one, such as "
                    "functools.partial(torch.optim.AdamW, lr=1e-3)"
                )
        super().__init__(localizer, classes)
        self._compile = compile
        self._compiled: Callable[..., Any] | None = None
        self.criterion, self.decode = criterion, decode or Decode()
        collection = MetricCollection(dict(metrics or {}), compute_groups=False)
        self.val_metrics = collection.clone(prefix="val/")
        self.test_metrics = collection.clone(prefix="test/")
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self._loss_sums, self._watch = torch.zeros(2), FiniteWatch()
        self._values: dict[str, Tensor] = {}
        self._steps = StepLog()
        rules: dict[str, Any] = {"matcher": criterion.matcher, "span_loss": criterion.span_loss}
        rules |= {"score_loss": criterion.score_loss, "optimizer": optimizer}
        names = {name: name_of(rule) for name, rule in rules.items()}
        self.save_hyperparameters({**names, "scheduler": scheduler and name_of(scheduler)})

    def forward(self, features: Tensor, mask: Tensor) -> Output:
        """The localizer's output for features ``(B, C, T)`` with the mask ``(B, T)`` of their steps."""
        if self.localizer is None:
            raise ValueError(
                "the localizer is not built yet: fit the task on training data, or load a checkpoint"
            )
        output: Output = self.localizer(features, mask)
        return output

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """The loss, its terms, and under ``pred`` and ``target`` the pairs the span loss saw."""
        count = self.trainer.accumulate_grad_batches
        output = (self._compiled or self)(batch.features, batch.mask)
        losses = self.criterion(output, batch, num_parts=count)
        self._note(losses, batch)
        # The mean that Lightning takes over micro-batches is undone: the criterion has the number.
        return {"loss": losses.total * count, **losses._asdict()}

    @torch.compiler.disable  # Lightning's logging cannot be traced
    def _note(self, losses: Losses, batch: Batch) -> None:
        ids = ", ".join(batch.ids)
        self._watch.add(losses.total, f"at step {self.global_step}, for the sequences {ids}")
        terms = {f"train/loss_{name}": value for name, value in losses.terms.items()}
        self._values = {"train/loss": losses.total.detach(), **terms}
        # For callbacks. Lightning would read them at every step to give them to the loggers, and to its
        # progress bar, for which a GPU would have to wait.
        for name, value in self._values.items():
            shown = name == "train/loss" and not losses.total.is_cuda
            self.log(name, value, batch_size=len(batch), logger=False, prog_bar=shown)

    def on_fit_start(self) -> None:
        """Compiles, where that is wanted."""
        self._compiled = (
            _try_compile(self.localizer.forward, self.device) if self._compile else None
        )

    def on_train_start(self) -> None:
        """Forgets the parts of a step that was interrupted, and sets the learning rate to its schedule."""
        self.criterion.pending = 0.0
        self._watch, self._steps = FiniteWatch(), StepLog()
        loop: Any = self.trainer.fit_loop
        if loop.restarted_on_epoch_end:
            # With trainer.max_steps Lightning would go through an epoch without batches first, and count it.
            loop.epoch_progress.total.completed = loop.epoch_progress.total.processed
            loop.epoch_progress.current.completed = loop.epoch_progress.current.processed
            loop.reset_restart_stage()
            loop._restarting = False
            loop.epoch_loop.restarting = False
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(schedule := config.scheduler, LambdaLR):
                # A run that goes on for longer than it was meant to is at another place of its schedule;
                # the rate that the checkpoint holds, 0 perhaps, was that of the old end.
                now = zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
                rates = [base * factor(schedule.last_epoch) for base, factor in now]
                for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate

    def on_train_epoch_end(self) -> None:
        """Logs the steps, and waits until it is known that all losses are finite."""
        self._steps.write(self.trainer.loggers)
        self._watch.finish()

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
        trainer: Any = self.trainer
        every = trainer.log_every_n_steps
        if every and ((self.global_step + 1) % every == 0 or trainer.should_stop):
            values = {**self._values, "lr": optimizer.param_groups[0]["lr"], "epoch": epoch}
            self._steps.add(trainer.loggers, self.global_step, values)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to ``val/loss`` and the metrics."""
        predictions = self._predict(batch, self._add_loss)
        self.val_metrics.update(*assessable(predictions, batch.targets("seconds")))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the metrics."""
        self.test_metrics.update(*assessable(self.predict_step(batch), batch.targets("seconds")))

    def on_validation_start(self) -> None:
        """Logs the steps before it."""
        self._steps.write(self.trainer.loggers)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what loading needs, and logs the steps before: a run that goes on does not log them again."""
        super().on_save_checkpoint(checkpoint)
        if self._steps:
            self._steps.write(self.trainer.loggers)

    def on_validation_epoch_start(self) -> None:
        """Begins to sum up the loss."""
        self._loss_sums = torch.zeros(2, device=self.device)

    def on_validation_epoch_end(self) -> None:
        """Logs the loss and the metrics."""
        # Of all sequences at once, so that it does not depend on how they lie in batches.
        total, count = self.trainer.strategy.reduce(self._loss_sums, reduce_op="sum")
        self.log("val/loss", total / count.clamp(min=1), sync_dist=True, prog_bar=True)
        self._log(self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Logs the metrics."""
        self._log(self.test_metrics)

    def configure_optimizers(self) -> Any:
        """Weight decay for matrices and kernels only, and a rate that changes at every step."""
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for parameter in self.parameters():
            (decayed if parameter.ndim > 1 else plain).append(parameter)
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        # With scaled gradients Lightning refuses to clip those of a fused optimizer.
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        options = {} if scaled else on_gpu(self.make_optimizer, self.parameters())
        optimizer = self.make_optimizer(groups, **options)
        if hasattr(optimizer, "check_trainer"):
            optimizer.check_trainer(self.trainer)
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

    def setup(self, stage: str) -> None:
        """Sets up what follows from the data; refuses precisions in which positions would not be exact."""
        if self.trainer.precision not in ("32-true", "16-mixed", "bf16-mixed"):
            raise ValueError(
                f"trainer.precision is {self.trainer.precision}; it may be 32-true, 16-mixed or "
                "bf16-mixed, which keep spans in float32"
            )
        trainer: Any = self.trainer
        kinds = (package.callbacks.WeightAveraging, package.callbacks.StochasticWeightAveraging)
        copied = [type(c).__name__ for c in trainer.callbacks if isinstance(c, kinds)]
        unset = not getattr(self.localizer, "normalised", True)
        unset &= hasattr(trainer.datamodule, "statistics")
        if stage == "fit" and copied and (unset or self.localizer is None):
            raise ValueError(
                f"{copied[0]} copies the model before it is set up: call data.setup('fit') and "
                "task.prepare(data) before fit"
            )
        super().setup(stage)
        if stage == "fit":
            for note in getattr(trainer.datamodule, "notes", ()):
                # At the level of Lightning's own messages: a command prints the notes itself.
                rank_zero_info(note)

    def _add_loss(self, output: Output, batch: Batch) -> None:
        losses = self.criterion(output, batch)
        self._loss_sums += torch.stack(
            [losses.total * losses.num_pairs.clamp(min=1), losses.num_pairs]
        )

    def _log(self, metrics: MetricCollection) -> None:
        # All processes have the same; without sync_dist Lightning warns that they might not.
        for i, (name, value) in enumerate(metrics.compute().items()):
            self.log(name, value.float(), sync_dist=True, prog_bar=i == 0)
        metrics.reset()


def _try_compile(forward: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """A function by ``torch.compile``, after a first try on the device: is there a working compiler?"""
    try:
        torch.compile(lambda x: 2 * x)(torch.ones(8, device=device))
    except Exception as error:  # of a compiler, a driver, a version of Python
        cause = getattr(error, "inner_exception", error)
        why = next(filter(None, str(cause).splitlines()), type(cause).__name__)
        raise ValueError(
            f"compile is true, and torch.compile does not work here on {device.type}: {why}; "
            "install a C++ compiler (on Linux g++), or leave it out (compile=false)"
        ) from error
    return torch.compile(forward)
