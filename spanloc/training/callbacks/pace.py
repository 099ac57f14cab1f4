"""Progress in words: when a line is due, and how long the rest takes."""

import math
import time
from collections.abc import Callable

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


def total_steps(trainer: Trainer) -> float:
    """Steps of the whole training; inf for a stream without an end, for which Lightning has -1."""
    steps = trainer.estimated_stepping_batches
    return steps if steps >= 0 else math.inf
