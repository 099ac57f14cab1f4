"""Gradient norms: at every step, and for every span loss at the end."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from spanloc.convergence import relative_gradient
from spanloc.ops import tiou

SpanLoss = Callable[[Tensor, Tensor], Tensor]


class GradientNorms(Callback):
    """Logs what is left of the gradient, of all parameters and at the spans.

    At every optimizer step: ``grad/params``, the norm of the gradient of all parameters before
    clipping, and ``grad/spans``, the mean of the relative gradient of the span loss at the matched
    predictions (:func:`~spanloc.convergence.relative_gradient`): sqrt(2) for a sharp loss, however
    good the predictions; it falls with the loss for a smooth one. Without matched pairs it is not
    logged.

    When training ends, one table: loss, both norms and mean tIoU over some training batches, for
    the trained loss and, at the same predictions, for every other loss given. It is measured at the
    last weights of the optimizer; ``parameters`` there is the norm of the mean gradient of the
    total loss over these batches.

    Args:
        losses: The span losses of the table, by name; None leaves out all but the trained one.
        num_batches: How many training batches the table is taken over, at most.
    """

    def __init__(self, losses: Mapping[str, SpanLoss] | None = None, num_batches: int = 4) -> None:
        self.losses, self.num_batches = dict(losses or {}), num_batches
        self._rows: list[Tensor] = []
        #: The table: name of the loss to its figures; the trained loss is called ``trained``.
        self.final: dict[str, dict[str, float]] = {}
        self._norm: Tensor | None = None

    def history(self) -> Float[Tensor, "steps 5"]:
        """Step, span loss, score loss, ``grad/params`` and ``grad/spans``, one row a step, on the CPU.

        Where there was no matched pair, ``grad/spans`` is NaN.
        """
        # Row by row they would be copied from a GPU one at a time, and at every step.
        devices = {row.device for row in self._rows}
        parts = [torch.stack([r for r in self._rows if r.device == d]).cpu() for d in devices]
        rows = torch.cat([*parts, torch.zeros(0, 5)])
        return rows[rows[:, 0].argsort(stable=True)]

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Takes the norm, which clipping would change."""
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        self._norm = get_total_norm(gradients)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs both norms of the step that was taken."""
        if self._norm is None:
            return  # Gradients are being accumulated.
        values = {"grad/params": self._norm}
        relative = relative_gradient(
            pl_module.criterion.span_loss, outputs["pred"], outputs["target"]
        )
        if len(relative):
            values["grad/spans"] = relative.mean()
        pl_module.log_dict(values, batch_size=len(batch))
        step = torch.tensor(float(trainer.global_step), device=self._norm.device)
        curves = [outputs["span"], outputs["score"], self._norm, relative.mean()]
        self._rows.append(torch.stack([step, *curves]).detach())
        self._norm = None

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Measures and prints the table."""
        trained = pl_module.criterion.span_loss
        name = self._trained_name(trained)
        others = {other: loss for other, loss in self.losses.items() if other != name}
        losses = {"trained": trained, **others}
        self.final = _measure(trainer, pl_module, losses, self.num_batches)
        if self.final:
            _print(self.final, name)

    def state_dict(self) -> dict[str, Any]:
        """The curves so far, so that a resumed run goes on with them."""
        return {"history": self.history()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the curves of the run that is resumed."""
        self._rows = list(state_dict["history"])

    def _trained_name(self, trained: SpanLoss) -> str:
        same = [name for name, loss in self.losses.items() if _describe(loss) == _describe(trained)]
        return same[0] if same else getattr(_describe(trained)[0], "__name__", "trained")


def _measure(
    trainer: Trainer, task: Any, losses: Mapping[str, SpanLoss], num_batches: int
) -> dict[str, dict[str, float]]:
    parameters = [p for p in task.parameters() if p.requires_grad]
    gradients = {name: [torch.zeros_like(p) for p in parameters] for name in losses}
    sums = {name: torch.zeros(3, dtype=torch.float64) for name in losses}
    score, num_pairs, count = 0.0, 0, 0
    task.eval()
    with torch.enable_grad():
        for batch in islice(trainer.train_dataloader, num_batches):
            batch = trainer.strategy.batch_to_device(batch)
            output = task(batch)
            count += 1
            for name, loss in losses.items():
                result = task.criterion(output, batch, span_loss=loss)
                parts = torch.autograd.grad(
                    result.total, parameters, retain_graph=True, allow_unused=True
                )
                for total, part in zip(gradients[name], parts, strict=True):
                    if part is not None:
                        total += part
                relative = relative_gradient(loss, result.pred, result.target)
                pairs = len(relative)
                sums[name] += torch.stack(
                    [result.span * pairs, relative.sum(), tiou(result.pred, result.target).sum()]
                ).cpu()
            score += float(result.score)
            num_pairs += pairs
    task.train()
    if not num_pairs:
        return {}
    table = {}
    for name in losses:
        loss, relative, overlap = (sums[name] / num_pairs).tolist()
        norm = float(get_total_norm([total / count for total in gradients[name]]))
        table[name] = {
            "loss/span": loss,
            "loss/score": score / count,
            "grad/spans": relative,
            "grad/params": norm,
            "train/tiou": overlap,
        }
    return table


@rank_zero_only
def _print(final: Mapping[str, Mapping[str, float]], trained: str) -> None:
    table = Table(title="What is left of the gradient, at the last weights")
    table.add_column("span loss")
    columns = {
        "loss": "loss/span",
        "at the spans": "grad/spans",
        "parameters": "grad/params",
        "mean tIoU": "train/tiou",
    }
    for column in columns:
        table.add_column(column, justify="right")
    for name, figures in final.items():
        label = f"{trained} (trained)" if name == "trained" else name
        style = "bold" if name == "trained" else None
        table.add_row(label, *(f"{figures[key]:.4g}" for key in columns.values()), style=style)
    Console().print(table)


def _describe(loss: SpanLoss) -> tuple[Any, tuple[tuple[str, Any], ...]]:
    # A partial of a function is that function with its options.
    options = getattr(loss, "keywords", {})
    return getattr(loss, "func", loss), tuple(sorted(options.items()))
