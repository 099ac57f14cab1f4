"""When to say how far something is, and in what words."""

import math
import time
from collections.abc import Callable

Clock = Callable[[], float]


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
