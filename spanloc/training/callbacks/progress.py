"""Progress of a run: a bar in a terminal, a line now and then in a log file."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from torch import Tensor

from spanloc.lightning import Trainer, package

log = logging.getLogger(__name__)
Clock = Callable[[], float]


def progress_display() -> package.callbacks.ProgressBar:
    """A progress bar if standard output is a terminal, :class:`ProgressLines` if it is not."""
    console = Console()
    # Rich also takes a file for a terminal where FORCE_COLOR is set, as CI services do.
    terminal = console.is_interactive and console.file.isatty()
    return EpochBar() if terminal else ProgressLines()


class Pace:
    """When to print a line: first after 5 s, then every 10 s, later every 30 s, at last every minute.

    Args:
        clock: Seconds since some moment.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._begin, self._next = clock, clock(), 5.0

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return self._clock() - self._begin

    def due(self) -> bool:
        """Whether it is time for a line; if so, the next one is due an interval later."""
        now = self.elapsed
        if now < self._next:
            return False
        self._next = now + (10 if now < 60 else 30 if now < 600 else 60)
        return True


def counted(done: int, total: float, noun: str, seconds: float) -> str:
    """How much of a loop is done and how long the rest takes, as text.

    Args:
        done, total: Rounds of the loop; a total that is not known is infinite.
        noun: What a round does.
        seconds: That the rounds so far took.

    >>> counted(120, 400, "batches", 12.9)
    '120 of 400 batches, about 0:30 left'
    """
    if not math.isfinite(total):
        return f"{done} {noun}, {duration(seconds)} elapsed"
    return f"{done} of {total} {noun}, about {duration(seconds / done * (total - done))} left"


def duration(seconds: float) -> str:
    """Seconds as a person reads them.

    >>> duration(48.7), duration(3723.0)
    ('0:49', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class EpochBar(package.callbacks.RichProgressBar):
    """Lightning's bar, with epochs that count from 1."""

    def _get_train_description(self, current_epoch: int) -> str:
        text = f"Epoch {_of(current_epoch + 1, self.trainer.max_epochs)}"
        # As wide as the bar of the validation below, or both would flicker.
        return f"{text:{len(self.validation_description)}}"

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Stops the bar: what is printed next would go into its line."""
        self._stop_progress()


class ProgressLines(package.callbacks.ProgressBar):
    """Logs how far a fit, a validation or a test is, at the times of :class:`Pace`.

    The lines go to the logger of this module, level INFO; a command of spanloc writes it to standard
    output and to the run's log file. The time that is left counts the validation that is still to
    come: as long as the passes so far took; before the first, as if a batch of it took as long as one
    of training.

    Args:
        clock: Seconds since some moment.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self._clock, self._pace, self._enabled = clock, Pace(clock), True
        self._first = self._epoch = self._batches = self._validated_at = self._done = 0
        self._validation = self._began = 0.0
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
        self._pace, self._first = Pace(self._clock), trainer.global_step
        self._batches = self._validated_at = 0
        self._validation = 0.0
        self._loss = self._metric = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Prints a line if one is due."""
        self._epoch, self._batches = trainer.current_epoch + 1, self._batches + 1
        # Only a line reads it: that waits for the device.
        self._loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
        if self._enabled and self._pace.due():
            log.info("%s", self._line(trainer, self._left(trainer)))

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
        self._validation += self._clock() - self._began
        self._validated_at = trainer.global_step - self._first
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        self._metric = trainer.callback_metrics.get(monitor) if monitor else None

    def _begin_pass(self, trainer: Trainer) -> None:
        self._began, self._done = self._clock(), 0
        if trainer.state.fn != "fit":
            self._pace = Pace(self._clock)

    def _count(self, what: str, num_batches: list[int | float]) -> None:
        self._done += 1
        if self._enabled and self._pace.due():
            seconds = self._clock() - self._began
            log.info("%s: %s", what, counted(self._done, sum(num_batches), "batches", seconds))

    def _line(self, trainer: Trainer, left: float) -> str:
        epoch = _of(self._epoch, trainer.max_epochs)
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        values = ", ".join(
            f"{name} {float(value):.3g}"
            for name, value in (("loss", self._loss), (monitor, self._metric))
            if value is not None
        )
        text = f"epoch {epoch}, step {_of(trainer.global_step, _steps(trainer))}"
        text += f"{values and ': '}{values}; {duration(self._pace.elapsed)} elapsed"
        return text if not math.isfinite(left) else f"{text}, about {duration(left)} left"

    def _left(self, trainer: Any) -> float:
        # Seconds of the steps to come, and of the validation to come with them.
        whole = _steps(trainer) - self._first
        # By batches, of which a step may have many, and the last step of an epoch fewer.
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


def _steps(trainer: Trainer) -> float:
    # Lightning has -1 for a stream without an end.
    steps = trainer.estimated_stepping_batches
    return steps if steps >= 0 else math.inf


def _of(number: int, total: float | None) -> str:
    return str(number) if total in (None, -1, math.inf) else f"{number}/{total}"
