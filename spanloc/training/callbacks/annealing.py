"""From a smooth span loss to a sharp one while a model trains."""

import inspect
from functools import partial
from typing import Any, Literal

import torch

from spanloc.lightning import Callback, Trainer
from spanloc.losses.kinds import name_of


class AnnealSmoothing(Callback):
    """Lowers the ``smoothing`` of the span loss from step to step, and logs it as ``smoothing``.

    Early on the rounding is wide, and the gradient falls as predictions improve; at the end the
    loss is nearly the sharp one. The value depends on the step alone, so a resumed run goes on with
    it. When training ends, the criterion keeps the final value.

    Args:
        start, final: Smoothing at the first step, and from the end of the schedule on; in the range
            of the loss.
        shape: By the same factor at every step, or by the same amount.
        share: Of the optimizer steps that the schedule takes, in ``(0, 1]``.

    Raises:
        ValueError: An option is out of range, or the span loss has no ``smoothing``.
    """

    def __init__(
        self,
        start: float = 0.7,
        final: float = 0.01,
        *,
        shape: Literal["geometric", "linear"] = "geometric",
        share: float = 1.0,
    ) -> None:
        for name, value in (("start", start), ("final", final)):
            if value <= 0:
                raise ValueError(f"{name} is {value}; it must be above 0")
        if shape not in ("geometric", "linear"):
            raise ValueError(f"shape is {shape!r}; it may be geometric or linear")
        if not 0 < share <= 1:
            raise ValueError(f"share is {share}; it must lie in (0, 1]")
        self.start, self.final, self.shape, self.share = start, final, shape, share

    def smoothing(self, progress: float) -> float:
        """The value when a share ``progress`` of the training steps is done.

        >>> AnnealSmoothing(0.4, 0.1).smoothing(0.5)
        0.2
        """
        done = min(progress / self.share, 1.0)
        if self.shape == "linear":
            return self.start + (self.final - self.start) * done
        return self.start * (self.final / self.start) ** done

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Requires a loss with ``smoothing``, and tries both ends of the schedule."""
        self._loss = loss = pl_module.criterion.span_loss
        if "smoothing" not in inspect.signature(getattr(loss, "forward", loss)).parameters:
            raise ValueError(
                f"{name_of(loss)} has no smoothing to anneal; span_loss=smooth_giou, for one, has"
            )
        span = torch.tensor([[0.0, 1.0]], device=pl_module.device)
        for smoothing in (self.start, self.final):
            loss(span, span, smoothing=smoothing)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Sets the smoothing of the step."""
        value = self.apply(trainer, pl_module, trainer.global_step)
        pl_module.log("smoothing", value, batch_size=len(batch))

    def apply(self, trainer: Trainer, pl_module: Any, step: int) -> float:
        """Set the smoothing of a step, counted from 0, and give it."""
        value = self.smoothing(step / max(trainer.estimated_stepping_batches - 1, 1))
        pl_module.criterion.span_loss = partial(self._loss, smoothing=value)
        return value
