"""Progress in words: when a line is due, and how long the rest takes."""

import math
import time
from collections.abc import Callable
from typing import Any

from spanloc.files import time_text
from spanloc.lightning import Trainer

Clock = Callable[[], float]


class Pace:
    """Tells when to print a line: first after 5 s, then every 10, later every 30 s, at last every minute."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._begin, self._next = clock, clock(), 5.0

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return self._clock() - self._begin

    def due(self) -> bool:
        """True when it is time for a line; the next one is then due an interval later."""
        now = self.elapsed
        if now < self._next:
            return False
        self._next = now + (10 if now < 60 else 30 if now < 600 else 60)
        return True


def counted(done: int, total: float, noun: str, seconds: float) -> str:
    """The rounds of a loop that are done and the time of the rest, as text; a total not known is infinite.

    >>> counted(120, 400, "batches", 12.9)
    '120 of 400 batches, about 30 s left'
    """
    if not math.isfinite(total):
        return f"{done} {noun}, {time_text(round(seconds))} elapsed"
    left = time_text(round(seconds / done * (total - done)))
    return f"{done} of {total} {noun}, about {left} left"


class Remaining:
    """Estimates the time that is left of a training, with the validation that is still to come.

    Validation takes as long as the passes so far; before the first, as if a batch of it took as long as
    one of training.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._began = clock, clock()
        self.start()

    def start(self, first: int = 0) -> None:
        """Starts the clock, of a training that begins after so many steps."""
        self._begin, self._first = self._clock(), first
        self._batches = self._validated_at = 0
        self._validation = 0.0

    def count(self) -> None:
        """Counts a batch of training."""
        self._batches += 1

    def begin_pass(self) -> None:
        """Starts the clock of a pass over a validation or test set."""
        self._began = self._clock()

    @property
    def in_pass(self) -> float:
        """Seconds since the pass began."""
        return self._clock() - self._began

    def end_pass(self, trainer: Trainer) -> None:
        """Adds a pass over the validation set."""
        self._validation += self.in_pass
        self._validated_at = trainer.global_step - self._first

    def left(self, trainer: Any) -> float:
        """Seconds of the steps to come, and of the validation to come with them; inf: not known."""
        whole = total_steps(trainer) - self._first
        if not self._batches or not math.isfinite(whole):
            return math.inf
        # By batches: a step may have many, and the last step of an epoch fewer.
        batches, size = trainer.num_training_batches, trainer.accumulate_grad_batches
        if math.isfinite(batches):
            size = batches / math.ceil(batches / size)
        done = min(self._batches / size, whole)
        training = (self._clock() - self._begin - self._validation) / done
        if self._validated_at:
            validation = self._validation / self._validated_at
        else:
            every = (trainer.val_check_batch or math.inf) * (trainer.check_val_every_n_epoch or 1)
            validation = training * sum(trainer.num_val_batches) / every
        return training * (whole - done) + max(validation * whole - self._validation, 0.0)


def total_steps(trainer: Trainer) -> float:
    """Steps of the whole training; inf for a stream without an end, for which Lightning has -1."""
    steps = trainer.estimated_stepping_batches
    return steps if steps >= 0 else math.inf
