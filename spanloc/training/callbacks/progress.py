"""Progress of a run: a bar in a terminal, a line now and then in a log file."""

import logging
import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn
from torch import Tensor

from spanloc.files import time_text
from spanloc.lightning import Trainer, package
from spanloc.training.callbacks.pace import Clock, Pace, counted, total_steps

log = logging.getLogger(__name__)


def progress_display() -> package.callbacks.ProgressBar:
    """A progress bar if standard output is a terminal, :class:`ProgressLines` if it is not."""
    console = Console()
    # Rich also takes a file for a terminal where FORCE_COLOR is set, as CI services do.
    terminal = console.is_interactive and console.file.isatty()
    return EpochBar() if terminal else ProgressLines()


class _Watching(package.callbacks.ProgressBar):
    """Keeps the time, the loss and the metric that chooses the checkpoint."""

    is_disabled: Any  # as Lightning's own bar has it

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self._clock, self._pace, self._pass_began = clock, Pace(clock), clock()
        self._first = self._batches = self._validated_at = 0
        self._validation = 0.0
        self._loss: Tensor | None = None
        self._metric: Tensor | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Starts the clock. A resumed run has done none of its steps yet."""
        self._pace, self._first = Pace(self._clock), trainer.global_step
        self._batches = self._validated_at = 0
        self._validation, self._loss, self._metric = 0.0, None, None
        super().on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the batch."""
        self._batches += 1
        self._loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Starts the clock of the pass."""
        self._pass_began = self._clock()
        super().on_validation_start(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Stops it, and notes the metric that chooses the checkpoint."""
        if not trainer.sanity_checking:
            self._validation += self._clock() - self._pass_began
            self._validated_at = trainer.global_step - self._first
            monitor = getattr(trainer.checkpoint_callback, "monitor", None)
            self._metric = trainer.callback_metrics.get(monitor) if monitor else None
        super().on_validation_end(trainer, pl_module)

    def _left(self, trainer: Any) -> float:
        """Seconds of the steps to come, and of the validation to come with them; inf: not known.

        Validation takes as long as the passes so far; before the first, as if a batch of it took as long as
        one of training.
        """
        whole = total_steps(trainer) - self._first
        if not self._batches or not math.isfinite(whole):
            return math.inf
        # By batches: a step may have many, and the last step of an epoch fewer.
        batches, size = trainer.num_training_batches, trainer.accumulate_grad_batches
        if math.isfinite(batches):
            size = batches / math.ceil(batches / size)
        done = min(self._batches / size, whole)
        training = (self._pace.elapsed - self._validation) / done
        if self._validated_at:
            validation = self._validation / self._validated_at
        else:
            every = (trainer.val_check_batch or math.inf) * (trainer.check_val_every_n_epoch or 1)
            validation = training * sum(trainer.num_val_batches) / every
        return training * (whole - done) + max(validation * whole - self._validation, 0.0)

    def _values(self, trainer: Trainer) -> dict[str, str]:
        """The loss and the metric, where they are known, as text. Reading them waits for the device."""
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        pairs = (("loss", self._loss), (monitor, self._metric))
        return {str(name): f"{float(value):.3g}" for name, value in pairs if value is not None}


class EpochBar(_Watching, package.callbacks.RichProgressBar):
    """Lightning's bar, with epochs from 1, the time that is left of the whole training, loss and metric."""

    _shown: Mapping[str, str] = MappingProxyType({})
    _read_at = -math.inf

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """Those of Lightning, without batches per second, and in training without the times of an epoch."""
        left_out = {"ProcessingSpeedColumn"}
        columns = super().configure_columns(trainer)
        if trainer.state.fn == "fit":
            # The description has the time. All is to fit into a line of 80 letters.
            left_out.add("CustomTimeColumn")
            for column in columns:
                if isinstance(column, BarColumn):
                    column.bar_width = 12
        return [column for column in columns if type(column).__name__ not in left_out]

    def get_metrics(self, trainer: Trainer, pl_module: Any) -> dict[str, Any]:
        """The values of the lines in a log file, as text; read once a second."""
        if self._clock() - self._read_at >= 1:
            self._shown, self._read_at = self._values(trainer), self._clock()
        return dict(self._shown)

    def _get_train_description(self, current_epoch: int) -> str:
        text = f"Epoch {_of(current_epoch + 1, self.trainer.max_epochs)}"
        left = self._left(self.trainer)
        if math.isfinite(left):
            text += f", about {time_text(round(left))} left"
        # As wide as the bar of the validation below, or both would flicker.
        return f"{text:{len(self.validation_description)}}"

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Stops the bar: what is printed next would go into its line."""
        self._stop_progress()


class ProgressLines(_Watching):
    """Logs how far a fit, a validation or a test is, at the times of :class:`Pace`.

    The lines go to the logger of this module, level INFO; a command of spanloc writes it to standard
    output and to the run's log file.
    """

    is_disabled = False
    _epoch = _done = 0

    def enable(self) -> None:
        """Prints lines."""
        self.is_disabled = False

    def disable(self) -> None:
        """Prints none, as in all processes but the first."""
        self.is_disabled = True

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Prints a line if one is due."""
        self._epoch = trainer.current_epoch + 1
        super().on_train_batch_end(trainer, *args)
        if not self.is_disabled and self._pace.due():
            log.info("%s", self._line(trainer, self._left(trainer)))

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Prints the last line of the training."""
        if not self.is_disabled:
            log.info("training ended: %s", self._line(trainer, math.inf))

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Starts the clock of a pass over the validation or test set."""
        super().on_validation_start(trainer, pl_module)
        self._done = 0
        if trainer.state.fn != "fit":
            self._pace = Pace(self._clock)

    on_test_start = on_validation_start

    def on_validation_batch_end(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
        """Prints a line if one is due."""
        if not trainer.sanity_checking:
            self._count("validating", trainer.num_val_batches)

    def on_test_batch_end(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
        """Prints a line if one is due."""
        self._count("testing", trainer.num_test_batches)

    def _count(self, what: str, num_batches: list[int | float]) -> None:
        self._done += 1
        count = sum(num_batches)
        if not self.is_disabled and self._done < count and self._pace.due():
            done = counted(self._done, count, "batches", self._clock() - self._pass_began)
            log.info("%s: %s", what, done)

    def _line(self, trainer: Trainer, left: float) -> str:
        epoch = _of(self._epoch, trainer.max_epochs)
        values = ", ".join(f"{name} {value}" for name, value in self._values(trainer).items())
        text = f"epoch {epoch}, step {_of(trainer.global_step, total_steps(trainer))}"
        text += f"{values and ': '}{values}; {time_text(round(self._pace.elapsed))} elapsed"
        return text if not math.isfinite(left) else f"{text}, about {time_text(round(left))} left"


def _of(number: int, total: float | None) -> str:
    return str(number) if total in (None, -1, math.inf) else f"{number}/{total}"
