"""Gradient norms while a model trains."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from spanloc.convergence import GradientHistory, relative_gradient
from spanloc.lightning import Callback, LightningModule, Trainer
from spanloc.training.step_log import StepLog


class GradientNorms(Callback):
    """Logs the residual gradient, of all parameters and at the spans, while a model trains.

    To every logger, at the steps that are measured:

    ``grad/params`` is the norm of the gradient of all parameters before clipping, ``grad/clipped``
    after it (where there is clipping), both without the scale of mixed precision. ``grad/spans`` is
    the mean of the relative gradient of the span loss at the matched predictions
    (:func:`~spanloc.convergence.relative_gradient`): sqrt(2) for a sharp loss, however good the
    predictions; it falls with the loss for a smooth one. Without matched pairs it is left out.

    They belong to an optimizer step: to all of its micro-batches and processes. So they hold the
    noise of a mini-batch; :class:`~spanloc.training.callbacks.Convergence` measures without it.

    Args:
        every_n_steps: Steps, in numbers of optimizer steps, that are measured.

    Raises:
        ValueError: ``every_n_steps`` is below 1.
    """

    def __init__(self, every_n_steps: int = 2) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps is {every_n_steps}; it must be at least 1")
        self.every_n_steps = every_n_steps
        self._stepping, self._norm = False, torch.zeros(())
        self._forget()

    def _forget(self) -> None:
        self._past, self._log = GradientHistory.empty(), StepLog(optional={"grad/spans"})
        self._rows: list[Tensor] = []
        self._sums: list[Tensor] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forgets an earlier run; what a resumed one holds is loaded afterwards."""
        if stage == "fit" and trainer.global_step == 0:
            self._forget()

    def history(self) -> GradientHistory:
        """The measurements so far, one row for each step."""
        if self._rows:
            # Row by row they would be copied from a GPU one at a time, and at every step.
            self._past = self._past.joined(torch.stack(self._rows))
            self._rows = []
        return self._past

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Takes the norm, which clipping would change."""
        self._stepping = True
        if (trainer.global_step + 1) % self.every_n_steps == 0:
            self._norm = _norm(pl_module)
            scaler = getattr(trainer.precision_plugin, "scaler", None)
            if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
                # Such an optimizer takes the scale out itself, later.
                self._norm = self._norm / scaler.get_scale()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds a micro-batch to its step; logs the step when it was taken."""
        stepped, self._stepping = self._stepping, False
        if (trainer.global_step + (not stepped)) % self.every_n_steps:
            return
        span_loss = pl_module.criterion.span_loss
        relative = relative_gradient(span_loss, outputs["pred"], outputs["target"])
        terms = outputs["terms"]
        count = torch.full_like(terms["span"], len(relative))
        part = [terms["span"] * count, relative.sum(), count, terms["score"]]
        self._sums.append(torch.stack(part).detach())
        if not stepped:
            return
        sums = torch.stack(self._sums).sum(0)
        num_batches, self._sums = len(self._sums) * trainer.world_size, []
        if trainer.world_size > 1:
            sums = trainer.strategy.reduce(sums, reduce_op="sum")
        # Without pairs 0/0: NaN, which says so.
        span, spans, score = sums[0] / sums[2], sums[1] / sums[2], sums[3] / num_batches
        step = torch.full_like(span, trainer.global_step)
        self._rows.append(torch.stack([step, span, score, self._norm, spans]).float())
        if trainer.loggers:
            # Not by pl_module.log: Lightning repeats its last value at the steps that are not measured.
            values = {"grad/params": self._norm}
            if trainer.gradient_clip_val:
                values["grad/clipped"] = _norm(pl_module)
            # Lightning counts the rows of its logs from 0.
            self._log.add(trainer.loggers, trainer.global_step - 1, values | {"grad/spans": spans})

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the steps before it."""
        self._log.write(trainer.loggers)

    on_train_epoch_end = on_validation_start

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Any, checkpoint: Any) -> None:
        """Logs the steps that the checkpoint has behind it: a run that goes on from it does not."""
        self._log.write(trainer.loggers)

    def state_dict(self) -> dict[str, Any]:
        """The history so far, so that a resumed run goes on with it."""
        return {"history": self.history().state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the history of the run that is resumed."""
        self._past, self._rows = GradientHistory(**state_dict["history"]), []


def _norm(module: LightningModule) -> Tensor:
    return get_total_norm([p.grad for p in module.parameters() if p.grad is not None])
