"""Progress of a run: a bar in a terminal, a line now and then in a log file."""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from torch import Tensor

from spanloc.lightning import Trainer, package
from spanloc.training.callbacks.pace import Clock, Pace, counted, duration
from spanloc.training.callbacks.remaining import Remaining, total_steps

log = logging.getLogger(__name__)


def progress_display() -> package.callbacks.ProgressBar:
    """A progress bar if standard output is a terminal, :class:`ProgressLines` if it is not."""
    console = Console()
    # Rich also takes a file for a terminal where FORCE_COLOR is set, as CI services do.
    terminal = console.is_interactive and console.file.isatty()
    return EpochBar() if terminal else ProgressLines()


class EpochBar(package.callbacks.RichProgressBar):
    """Lightning's bar, with epochs that count from 1 and the time that is left of the whole training."""

    def __init__(self) -> None:
        super().__init__()
        self._remaining = Remaining()

    def _get_train_description(self, current_epoch: int) -> str:
        text = f"Epoch {_of(current_epoch + 1, self.trainer.max_epochs)}"
        left = self._remaining.left(self.trainer)
        if math.isfinite(left):
            text += f", about {duration(left)} left"
        # As wide as the bar of the validation below, or both would flicker.
        return f"{text:{len(self.validation_description)}}"

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Starts the clock."""
        self._remaining.start(trainer)
        super().on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the batch, and says once how long all will take."""
        self._remaining.count()
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if not self.is_disabled and (text := self._remaining.estimate(trainer)):
            log.info("%s", text)

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Starts the clock of the pass."""
        self._remaining.begin_pass()
        super().on_validation_start(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Stops it."""
        self._remaining.end_pass(trainer)
        super().on_validation_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Stops the bar: what is printed next would go into its line."""
        self._stop_progress()


class ProgressLines(package.callbacks.ProgressBar):
    """Logs how far a fit, a validation or a test is, at the times of :class:`Pace`.

    The lines go to the logger of this module, level INFO; a command of spanloc writes it to standard
    output and to the run's log file.

    Args:
        clock: Seconds since some moment.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self._clock, self._pace, self._enabled = clock, Pace(clock), True
        self._remaining = Remaining(clock)
        self._epoch = self._done = 0
        self._loss: Tensor | None = None
        self._metric: Tensor | None = None

    def enable(self) -> None:
        """Prints lines."""
        self._enabled = True

    def disable(self) -> None:
        """Prints none, as in all processes but the first."""
        self._enabled = False

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Starts the clock. A resumed run has done none of its steps yet."""
        self._pace = Pace(self._clock)
        self._remaining.start(trainer)
        self._loss = self._metric = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Prints a line if one is due, and once how long all will take."""
        self._epoch = trainer.current_epoch + 1
        self._remaining.count()
        # Only a line reads it: that waits for the device.
        self._loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
        if self._enabled and (text := self._remaining.estimate(trainer)):
            log.info("%s", text)
        if self._enabled and self._pace.due():
            log.info("%s", self._line(trainer, self._remaining.left(trainer)))

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Prints the last line of the training."""
        if self._enabled:
            log.info("training ended: %s", self._line(trainer, math.inf))

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Starts the clock of a pass over the validation set."""
        self._begin_pass(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Starts the clock of a pass over the test set."""
        self._begin_pass(trainer)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
        """Prints a line if one is due."""
        if not trainer.sanity_checking:
            self._count("validating", trainer.num_val_batches)

    def on_test_batch_end(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
        """Prints a line if one is due."""
        self._count("testing", trainer.num_test_batches)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Notes how long the pass took, and the metric that chooses the checkpoint."""
        if trainer.sanity_checking:
            return
        self._remaining.end_pass(trainer)
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        self._metric = trainer.callback_metrics.get(monitor) if monitor else None

    def _begin_pass(self, trainer: Trainer) -> None:
        self._remaining.begin_pass()
        self._done = 0
        if trainer.state.fn != "fit":
            self._pace = Pace(self._clock)

    def _count(self, what: str, num_batches: list[int | float]) -> None:
        self._done += 1
        if self._enabled and self._pace.due():
            done = counted(self._done, sum(num_batches), "batches", self._remaining.in_pass)
            log.info("%s: %s", what, done)

    def _line(self, trainer: Trainer, left: float) -> str:
        epoch = _of(self._epoch, trainer.max_epochs)
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        values = ", ".join(
            f"{name} {float(value):.3g}"
            for name, value in (("loss", self._loss), (monitor, self._metric))
            if value is not None
        )
        text = f"epoch {epoch}, step {_of(trainer.global_step, total_steps(trainer))}"
        text += f"{values and ': '}{values}; {duration(self._pace.elapsed)} elapsed"
        return text if not math.isfinite(left) else f"{text}, about {duration(left)} left"


def _of(number: int, total: float | None) -> str:
    return str(number) if total in (None, -1, math.inf) else f"{number}/{total}"
