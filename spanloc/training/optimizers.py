"""An optimizer that uses the loss, and options for the others on a GPU."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.optim import Optimizer

from spanloc.models.sizing import open_arguments


def on_gpu(make: Callable[..., Optimizer], parameters: Iterable[Tensor]) -> dict[str, bool]:
    """Further options to make an optimizer with: ``fused=True`` where all parameters are on a GPU.

    Then a step is a few kernels in place of some for every parameter. PyTorch does not do so on its own.

    Args:
        make: A class, or a partial of one; one that has no such option, or was given a choice, is left alone.
        parameters: To be optimized.
    """
    is_open = {"fused", "foreach"} <= open_arguments(make)
    return {"fused": True} if is_open and all(p.is_cuda for p in parameters) else {}


class Polyak(Optimizer):
    """Gradient descent with Polyak's step: ``(loss - minimum) / (gradient norm)^2``, at most ``lr``.

    A sharp loss gives the same gradient norm near its minimum as far away, and only the loss itself
    says how far there is to go; this step uses it. It needs a known minimum: one set too low never
    settles, one set too high stops early.

    The closure may return one loss, or ``(n,)`` losses of ``n`` independent problems: then every
    parameter holds ``n`` rows, the gradient is that of the losses' sum, and each row takes its own
    step.

    Args:
        params: As any optimizer takes them; the norm is over all of them together.
        lr: The longest step.
        minimum: Of the loss.

    Raises:
        ValueError: ``lr`` is not above 0, or :meth:`step` gets no closure, as with a gradient scaler.

    Source:
        Polyak 1969; with a longest step, Loizou et al. 2021, arXiv:2002.10542.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1.0, *, minimum: float = 0.0) -> None:
        if lr <= 0:
            raise ValueError(f"lr is {lr}; it must be above 0")
        super().__init__(params, {"lr": lr})
        self.minimum = minimum

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step. The closure sets the gradients to zero, computes them, and returns the loss."""
        if closure is None:
            raise ValueError(
                "Polyak's step needs the loss, so a closure; trainer.precision=16-mixed gives none"
            )
        with torch.enable_grad():
            loss = torch.as_tensor(closure())
        self._move(loss.detach().clone())
        return loss

    def check_trainer(self, trainer: Any) -> None:
        """Refuse a ``Trainer`` that would change the loss or the gradient of a batch.

        Raises:
            ValueError: It clips gradients, or accumulates them.
        """
        for name, value, wanted in (
            ("gradient_clip_val", trainer.gradient_clip_val or None, None),
            ("accumulate_grad_batches", trainer.accumulate_grad_batches, 1),
        ):
            if value != wanted:
                raise ValueError(
                    f"trainer.{name} is {value}; with Polyak's step, which needs loss and gradient "
                    f"of one batch as they are, it must be {'null' if wanted is None else wanted}"
                )

    @torch.no_grad()
    def _move(self, loss: Tensor) -> None:
        if dist.is_available() and dist.is_initialized():
            # The gradients are the mean over the processes; so must the loss be.
            dist.all_reduce(loss)
            loss /= dist.get_world_size()
        parameters = [
            p for group in self.param_groups for p in group["params"] if p.grad is not None
        ]
        rows = loss.ndim
        squares = [p.grad.flatten(rows).square().sum(-1) for p in parameters]
        norm = torch.stack([square if rows else square.sum() for square in squares]).sum(0)
        gap = (loss - self.minimum).clamp(min=0)
        # Where the gradient vanishes there is nowhere to go.
        wanted = torch.where(norm > 0, gap / norm.clamp(min=torch.finfo(norm.dtype).tiny), 0.0)
        for group in self.param_groups:
            size = wanted.clamp(max=group["lr"])
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shape = (*size.shape, *[1] * (parameter.ndim - rows))
                    parameter.sub_(size.view(shape) * parameter.grad)
