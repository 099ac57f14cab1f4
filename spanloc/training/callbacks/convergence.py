"""What is left of the gradient at convergence, and why."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from spanloc import plots
from spanloc.callbacks.annealing import AnnealSmoothing
from spanloc.callbacks.gradients import GradientNorms
from spanloc.callbacks.measurement import measure, summarise, whole_train_dataloader
from spanloc.callbacks.summary import flat, show
from spanloc.convergence import SpanLoss, checked, fit_exponent, has_plateaued
from spanloc.files import write_json


class Convergence(Callback):
    """Measures at convergence, over the whole training set, where the remaining gradient comes from.

    During training a gradient norm holds two things: the noise of the mini-batch, which an average
    over all data takes away, and what the loss's kink leaves, which nothing takes away but a
    smooth loss. So when training has converged, this measures once, without dropout and on the
    training sequences as they are (:func:`~spanloc.callbacks.measurement.whole_train_dataloader`
    says which, and what it cannot keep out): the norm of the gradient of *all* training data (beside that of the last
    mini-batches, for comparison), and pair by pair the relative gradient of the span loss
    (:func:`~spanloc.convergence.relative_gradient`), in which no average hides the kink: near
    sqrt(2) for a sharp loss however small the loss is, falling with the loss for a smooth one. The
    same is taken for other span losses at the same predictions.

    Over the run it fits the exponent of gradient norm against loss
    (:func:`~spanloc.convergence.fit_exponent`).

    It logs ``convergence/...`` to every logger, prints a table, and writes ``convergence.json`` and
    ``figures/convergence.png``. It needs :class:`~spanloc.callbacks.GradientNorms` before it
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
        folder: Where the files go; None writes none.

    Raises:
        ValueError: An option is out of range, or there is no ``GradientNorms`` before it,
            a loss to compare does not work, or nobody knows the whole training set.
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
        self.losses = dict(losses or {})
        self.when, self.level = when, level
        self.window, self.patience, self.tolerance = window, patience, tolerance
        self.folder = folder
        #: What was measured, as in ``convergence.json``; None until then.
        self.result: dict[str, Any] | None = None

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Looks at what it needs: the gradient norms, and losses that work."""
        before = trainer.callbacks[: trainer.callbacks.index(self)]
        if not any(isinstance(callback, GradientNorms) for callback in before):
            raise ValueError("Convergence needs GradientNorms before it among the callbacks")
        for name, loss in self.losses.items():
            try:
                checked(loss)
            except ValueError as error:
                raise ValueError(f"convergence.losses.{name}: {error}") from error
        if stage == "fit":
            self.result = None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Looks whether there is a whole training set: at the end it would be late to say no."""
        whole_train_dataloader(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks, after each window, whether training has converged."""
        if self.when == "last" or self.result is not None or trainer.global_step % self.window:
            return
        norms = _norms(trainer)
        loss = norms.history()[:, 1]
        size = max(1, self.window // norms.every_n_steps)
        if self.when == "plateau":
            rule = {"window": size, "patience": self.patience, "tolerance": self.tolerance}
            met = has_plateaued(loss, **rule)
        else:
            met = len(loss) >= size and float(loss[-size:].nanmean()) < self.level
        if met:
            self._measure(trainer, pl_module, self.when)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Measures, unless training converged before, and tells."""
        if self.result is None:
            self._measure(trainer, pl_module, "last step")
        show(self.result, self.when)
        # Again: a resumed run may have measured before, and in another folder.
        self._write()
        self._draw(trainer)

    def state_dict(self) -> dict[str, Any]:
        """What was measured, so that a resumed run does not measure again."""
        return {"result": self.result}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the run that is resumed. What it measured by another rule is measured anew."""
        result = state_dict["result"]
        self.result = result if result and result["reason"] == self.when else None

    def metrics(self) -> dict[str, float]:
        """The figures of the trained loss, under the names by which they are logged."""
        return {f"convergence/{name}": value for name, value in flat(self.result or {})}

    def _measure(self, trainer: Trainer, task: Any, reason: str) -> None:
        trained, losses = self._named(task.criterion.span_loss)
        found = summarise(measure(trainer, task, losses), losses)
        history = _norms(trainer).history()
        _, span, _, params, spans = history.T
        # Not more than the last quarter, in which the weights have moved little.
        steps = max(1, min(self.window, trainer.global_step // 4))
        last = history[history[:, 0] > trainer.global_step - steps].nanmean(0).tolist()
        self.result = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "reason": reason,
            "trained": trained,
            **found,
            "minibatch": {
                "steps": steps,
                "loss": last[1],
                "grad_params": last[3],
                "grad_spans": last[4],
            },
            "exponent": {
                "spans": self._exponent(trainer, span, spans),
                "params": self._exponent(trainer, span, params),
            },
        }
        values = self.metrics()
        for name, figures in found["losses"].items():
            if name != trained:
                row = {**figures, "relative_gradient": figures["relative_gradient"]["mean"]}
                values |= {f"convergence/{name}/{key}": value for key, value in row.items()}
        for logger in trainer.loggers:
            # Lightning counts the rows of its logs from 0.
            logger.log_metrics(values, step=max(trainer.global_step - 1, 0))
        # Here, not at the end: a run that is stopped later keeps it.
        self._write()

    def _exponent(self, trainer: Trainer, loss: Tensor, gradient: Tensor) -> dict[str, Any]:
        found = fit_exponent(loss, gradient)
        if any(isinstance(callback, AnnealSmoothing) for callback in trainer.callbacks):
            found = found._replace(reason="the loss was another at every step, annealed")
        return found._asdict()

    def _named(self, trained: SpanLoss) -> tuple[str, dict[str, SpanLoss]]:
        # The trained loss goes first, by the name it has in the list, if it is there.
        kind = _describe(trained)
        same = [name for name, loss in self.losses.items() if _describe(loss) == kind]
        name = same[0] if same else getattr(kind[0], "__name__", "trained").removesuffix("_loss")
        if not same and name in self.losses:
            name = f"{name} (trained)"
        return name, {name: trained, **{n: f for n, f in self.losses.items() if n != name}}

    @rank_zero_only
    def _write(self) -> None:
        if self.folder is not None:
            write_json(Path(self.folder) / "convergence.json", self.result)

    @rank_zero_only
    def _draw(self, trainer: Trainer) -> None:
        if self.folder is not None:
            history = _norms(trainer).history()
            figure = plots.convergence(self.result, *history.T[[0, 1, 3, 4]])
            plots.save_figure(figure, Path(self.folder) / "figures" / "convergence.png")


def _norms(trainer: Trainer) -> GradientNorms:
    return next(c for c in trainer.callbacks if isinstance(c, GradientNorms))


def _describe(loss: SpanLoss) -> tuple[Any, tuple[tuple[str, Any], ...]]:
    # A partial of a function is that function with its options, which may be such things too.
    options: dict[str, Any] = {}
    while hasattr(loss, "func"):
        options = {**loss.keywords, **options}
        loss = loss.func
    plain = {k: _describe(v) if callable(v) else v for k, v in options.items()}
    return loss, tuple(sorted(plain.items()))
