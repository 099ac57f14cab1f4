"""Ctrl-C, SIGTERM and SIGHUP end a command in one line, whatever it is doing."""

import atexit
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: The word for a signal on the terminal and in ``error.txt``. Windows has no SIGHUP.
WORDS = {
    getattr(signal, name): word
    for name, word in (("SIGINT", "interrupted"), ("SIGTERM", "terminated"), ("SIGHUP", "hung up"))
    if hasattr(signal, name)
}
# A shell and a launcher may both send one, and a person presses Ctrl-C twice: the second must not
# disturb the cleaning up after the first.
_DEAF_SECONDS = 1.0
# How long a command may take to clean up before `when_stuck` ends it. SLURM kills after 30.
_STUCK_SECONDS = 20.0


class _Handler:
    """Raises a KeyboardInterrupt, which libraries clean up after and do not take for a failure."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.deaf_until = -math.inf
        self.when_stuck: Callable[[str], None] | None = None
        self.advice: Callable[[], str] | None = None
        self._pid = os.getpid()

    def __call__(self, number: int, frame: Any) -> None:
        if os.getpid() != self._pid and number != signal.SIGINT:
            # A worker that was forked from here ends as it would without this handler.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif time.monotonic() > self.deaf_until:
            self.received, self.deaf_until = number, time.monotonic() + _DEAF_SECONDS
            watch = threading.Timer(_STUCK_SECONDS, self._give_up)
            watch.daemon = True
            watch.start()
            raise KeyboardInterrupt

    def again(self) -> None:
        """Send the signal once more, unless the command has ended."""
        if self.deaf_until < math.inf and self.received:
            self.deaf_until = -math.inf
            os.kill(self._pid, self.received)

    def _give_up(self) -> None:
        if self.deaf_until < math.inf and self.received and self.when_stuck:
            self.when_stuck(WORDS[self.received])


_handler = _Handler()


@contextmanager
def stoppable(name: str) -> Iterator[None]:
    """End the block with one line and the exit code of a shell when it is stopped.

    A second line on how to go on follows, where :func:`when_stopped` has given one. A signal that was ignored
    before, as ``nohup`` has it, stays ignored.
    """
    global _handler
    handler = _handler = _Handler()
    before, hook = {}, sys.unraisablehook
    if threading.current_thread() is threading.main_thread():
        for number in WORDS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handler)

    def unraisable(lost: Any) -> None:
        # Python drops what is raised in a destructor or in a callback of an import.
        if isinstance(lost.exc_value, KeyboardInterrupt) and handler.received:
            threading.Timer(0.01, handler.again).start()
        else:
            hook(lost)

    sys.unraisablehook = unraisable
    try:
        yield
    except BaseException as error:
        handler.deaf_until = math.inf
        word = stopped_by(error)
        if word is None:
            raise
        if not is_child():
            print(f"{name}: {word}", file=sys.stderr)
            if handler.advice and (text := handler.advice()):
                print(text, file=sys.stderr)
        sys.exit(code_of(word))
    finally:
        handler.deaf_until = math.inf
        sys.unraisablehook = hook
        for number, old in before.items():
            signal.signal(number, old)
        # Last registered, first run: an interrupt of what ends with the interpreter is a traceback.
        atexit.register(_ignore, list(before))


def stopped_by(error: BaseException) -> str | None:
    """The signal that caused an error, as one of :data:`WORDS`; None where it has another cause."""
    if _handler.received:
        return WORDS[_handler.received]
    if isinstance(error, SystemExit) and error.__context__ is not None:
        error = error.__context__  # Lightning makes one of a KeyboardInterrupt
    if not isinstance(error, KeyboardInterrupt):
        return None
    # A word is given where another process of the run has got the signal.
    return error.args[0] if error.args else WORDS[signal.SIGINT]


def when_stopped(advice: Callable[[], str]) -> None:
    """Set the call that gives a line on how to go on, if the command is stopped; it may give none (``""``)."""
    _handler.advice = advice


@contextmanager
def ended_by(when_stuck: Callable[[str], None]) -> Iterator[None]:
    """Call ``when_stuck`` with the signal's word if the command inside goes on for 20 s after the signal."""
    handler = _handler
    handler.when_stuck = when_stuck
    try:
        yield
    finally:
        handler.when_stuck = None


def code_of(text: str) -> int | None:
    """The exit code of a signal's word, 128 plus its number as in a shell; None for any other text."""
    return next((128 + number for number, word in WORDS.items() if word == text), None)


def is_child() -> bool:
    """True for all but the first of several processes, on all machines; the first alone prints."""
    # Set by torchrun, Lightning and SLURM; Lightning's loggers go by the same.
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return any(os.environ.get(name, "0") != "0" for name in names)


def _ignore(numbers: list[int]) -> None:
    for number in numbers:
        with suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)
