"""The residual gradient at convergence, and its cause."""

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from spanloc.convergence import (
    ConvergenceResult,
    Exponent,
    Minibatch,
    checked,
    fit_exponent,
    has_plateaued,
    kink_of,
    measure,
    summarise,
)
from spanloc.lightning import Callback, Trainer, isolate_rng
from spanloc.losses import SpanLoss
from spanloc.losses.kinds import name_of, same
from spanloc.ops import length
from spanloc.structures import Batch
from spanloc.training.callbacks.annealing import AnnealSmoothing
from spanloc.training.callbacks.convergence_data import sampled, whole_train_dataloader
from spanloc.training.callbacks.gradients import GradientNorms
from spanloc.training.callbacks.pace import Pace, counted
from spanloc.training.callbacks.summary import show

log = logging.getLogger(__name__)


class Convergence(Callback):
    """Measures at convergence, over the training set, where the remaining gradient comes from.

    During training a gradient norm holds two things: the noise of the mini-batch, which an average
    over all data takes away, and what the loss's kink leaves, which nothing takes away but a
    smooth loss. So when training has converged, this measures once, without dropout and on the
    training sequences as they are (see :func:`whole_train_dataloader`): the norm of the gradient of
    all of them at once (beside that of the last mini-batches, for comparison), and pair by pair the
    relative gradient of the span loss (:func:`~spanloc.convergence.relative_gradient`), in which no
    average hides the kink: near sqrt(2) for a sharp loss however small the loss is, falling with the
    loss for a smooth one. The same is taken for other span losses at the same predictions. Where all
    that would cost more than ``share`` of the training, it is measured on a random sample of the
    training sequences, the same in every run.

    Over the run it fits the exponent of gradient norm against loss
    (:func:`~spanloc.convergence.fit_exponent`).

    It logs ``convergence/...`` to every logger, prints a few lines, and writes ``convergence.json`` and
    ``figures/convergence.png``. It needs :class:`~spanloc.training.callbacks.GradientNorms` before it
    among the callbacks.

    Args:
        losses: Span losses to compare with the trained one, by name.
        when: ``"last"`` measures when training ends; ``"plateau"`` and ``"level"`` as soon as the
            span loss, averaged over windows, has stopped falling
            (:func:`~spanloc.convergence.has_plateaued`) or is below ``level``, and when training
            ends if that never happened.
        window: Steps in a window. The rule is looked at after each.
        patience: Windows without a gain that make a plateau.
        tolerance: Relative gain that still counts as falling.
        level: Of the span loss.
        share: Of the training's cost so far that a measurement may cost, counted in passes through the
            model; with processes that load and the plot it takes up to twice as long. None: all training
            sequences, whatever it costs.
        folder: Where the files go; None writes none.

    Raises:
        ValueError: An option is out of range, or there is no ``GradientNorms`` before it,
            a loss to compare does not work, or the whole training set is unknown.
    """

    def __init__(
        self,
        losses: Mapping[str, SpanLoss] | None = None,
        *,
        when: Literal["last", "plateau", "level"] = "last",
        window: int = 50,
        patience: int = 4,
        tolerance: float = 0.01,
        level: float | None = None,
        share: float | None = 0.05,
        folder: str | None = None,
    ) -> None:
        if when not in ("last", "plateau", "level"):
            raise ValueError(f"when is {when!r}; it may be last, plateau or level")
        if (when == "level") != (level is not None):
            raise ValueError(f"level is {level} and when is {when}; when=level goes with a level")
        for name, value in (("window", window), ("patience", patience)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if not 0 <= tolerance < 1:
            raise ValueError(f"tolerance is {tolerance}; it must lie in [0, 1)")
        if share is not None and not 0 < share < math.inf:
            raise ValueError(f"share is {share}; it must be above 0, or null for all sequences")
        self.losses, self.share = dict(losses or {}), share
        self.when, self.level = when, level
        self.window, self.patience, self.tolerance = window, patience, tolerance
        self.folder = folder
        self._finished = False
        #: Whether it prints nothing: a command does so after its result.
        self.silent = False
        #: What was measured; None until then.
        self.result: ConvergenceResult | None = None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Requires the gradient norms, and losses that work."""
        before = trainer.callbacks[: trainer.callbacks.index(self)]
        if not any(isinstance(callback, GradientNorms) for callback in before):
            raise ValueError("Convergence needs GradientNorms before it among the callbacks")
        for name, loss in self.losses.items():
            try:
                checked(loss)
            except ValueError as error:
                raise ValueError(f"convergence.losses.{name}: {error}") from error
        if stage == "fit":
            self.result, self._finished = None, False

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Requires a whole training set: at the end it would be too late to refuse."""
        whole_train_dataloader(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Checks for convergence after each window."""
        if self.when == "last" or self.result is not None or trainer.global_step % self.window:
            return
        norms = _norms(trainer)
        loss = norms.history().span
        size = max(1, self.window // norms.every_n_steps)
        if self.when == "plateau":
            met = has_plateaued(loss, window=size, patience=self.patience, tolerance=self.tolerance)
        else:
            met = (
                self.level is not None
                and len(loss) >= size
                and float(loss[-size:].nanmean()) < self.level
            )
        if met:
            self._measure(trainer, pl_module, self.when)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Measures, unless training converged before, and writes and draws the result."""
        self._finish(trainer, pl_module)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Does so for a training that was complete when it was resumed, and prints the result last of all."""
        if not self._finished:
            for callback in trainer.callbacks:
                if isinstance(callback, AnnealSmoothing):
                    callback.apply(trainer, pl_module, trainer.global_step - 1)
            self._finish(trainer, pl_module)
        if trainer.is_global_zero and self.result is not None and not self.silent:
            show(self.result, self.when, self.folder)

    def _finish(self, trainer: Trainer, task: Any) -> None:
        if self.result is None:
            self._measure(trainer, task, "last step")
        # Again: a resumed run may have measured before, and in another folder.
        self._write(trainer, draw=True)
        self._finished = True

    def state_dict(self) -> dict[str, Any]:
        """The measurement and its rule, so that a resumed run does not measure again."""
        return {"result": self.result and self.result.state(), "rule": self._rule()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the run that is resumed. What it measured by another rule is measured again."""
        state = state_dict.get("result")
        self.result = None
        if state and state_dict.get("rule") == self._rule():
            self.result = ConvergenceResult.of(state)

    def _rule(self) -> list[Any]:
        rule = [self.when, self.window, self.patience, self.tolerance, self.level, self.share]
        return [*rule, sorted(self.losses)]

    def _measure(self, trainer: Trainer, task: Any, reason: str) -> None:
        span_loss = task.criterion.span_loss
        trained, losses = self._named(span_loss)
        # A data set or a worker may draw random numbers: those of training are not used up.
        with isolate_rng():
            loader = whole_train_dataloader(trainer)
            loader, available = sampled(loader, self._most(trainer, len(losses)))
            found = measure(task, task.criterion, _batches(trainer, task, loader), losses)
        history = _norms(trainer).history()
        sizes = length(found.target)
        # Not more than the last quarter, in which the weights have moved little.
        steps = max(1, min(self.window, trainer.global_step // 4))
        last = history[history.step > trainer.global_step - steps]
        self.result = summarise(
            found,
            losses,
            num_available=available,
            kink=kink_of(span_loss, float(sizes.median())) if len(sizes) else None,
            step=trainer.global_step,
            epoch=trainer.current_epoch,
            reason=reason,
            trained=trained,
            minibatch=Minibatch(
                steps,
                float(last.span.nanmean()),
                float(last.grad_params.nanmean()),
                float(last.grad_spans.nanmean()),
            ),
            exponent=self._exponent(trainer, history.span, history.grad_spans),
            exponent_params=self._exponent(trainer, history.span, history.grad_params),
        )
        values = self.result.metrics()
        for name, row in self.result.losses.items():
            if name != trained:
                for key in ("loss", "total", "grad_span", "grad_total"):
                    values[f"convergence/{name}/{key}"] = getattr(row, key)
                values[f"convergence/{name}/relative_gradient"] = row.relative_gradient.mean
        for logger in trainer.loggers:
            # Lightning counts the rows of its logs from 0.
            logger.log_metrics(values, step=max(trainer.global_step - 1, 0))
        # Here, not at the end: a run that is stopped later keeps it.
        self._write(trainer)

    def _most(self, trainer: Any, num_losses: int) -> float:
        """The most batches that may be measured, in all processes."""
        if self.share is None:
            return math.inf
        # A training step goes forward once and back once, and back costs twice as much. Here it goes
        # back for each span loss, and for the other terms of the total together.
        backward = num_losses + 1
        steps = self.share * trainer.global_step * trainer.accumulate_grad_batches
        return steps * 3 / (1 + 2 * backward) * trainer.world_size

    def _exponent(self, trainer: Any, loss: Tensor, gradient: Tensor) -> Exponent:
        found = fit_exponent(loss, gradient)
        if any(isinstance(callback, AnnealSmoothing) for callback in trainer.callbacks):
            found = found._replace(reason="the loss was another at every step, annealed")
        return found

    def _named(self, trained: SpanLoss) -> tuple[str, dict[str, SpanLoss]]:
        # The trained loss goes first, by the name it has in the list, if it is there.
        listed = [name for name, loss in self.losses.items() if same(loss, trained)]
        name = listed[0] if listed else name_of(trained)
        if not listed and name in self.losses:
            name = f"{name} (trained)"
        return name, {name: trained, **{n: f for n, f in self.losses.items() if n != name}}

    def _write(self, trainer: Trainer, *, draw: bool = False) -> None:
        if self.folder is None or self.result is None or not trainer.is_global_zero:
            return
        self.result.write(Path(self.folder) / "convergence.json")
        if draw:
            # Only a run that ends with its plot pays for the library that draws it.
            from spanloc import plots

            figure = plots.convergence(self.result, _norms(trainer).history())
            plots.save_figure(figure, Path(self.folder) / "figures" / "convergence.png")


def _batches(trainer: Any, task: Any, loader: Any) -> Iterator[Batch]:
    pace = Pace()
    for done, batch in enumerate(loader, 1):
        yield trainer.strategy.batch_to_device(batch, device=task.device)
        if done < _length(loader) and pace.due() and trainer.is_global_zero:
            text = counted(done, _length(loader), "batches", pace.elapsed)
            skip = "for the study of losses (callbacks.convergence=null skips it)"
            log.info("measuring the residual gradient, %s: %s", skip, text)


def _length(loader: Any) -> float:
    try:
        return len(loader)
    except TypeError:  # a stream
        return math.inf


def _norms(trainer: Any) -> GradientNorms:
    return next(c for c in trainer.callbacks if isinstance(c, GradientNorms))
