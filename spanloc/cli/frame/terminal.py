"""Standard output and error whose failures cannot stop a command, such as a long training."""

import errno
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def harmless_streams(name: str) -> Iterator[None]:
    """Let standard output and error write what they can, and drop the rest.

    A character that the encoding lacks becomes a question mark. A closed pipe, as of ``| head``, ends the
    printing silently; for a full disk there is one line on standard error.
    """
    before = {stream: getattr(sys, stream) for stream in ("stdout", "stderr")}
    ours = {stream: Harmless(old, f"{name}: {stream}") for stream, old in before.items()}
    for stream, new in ours.items():
        setattr(sys, stream, new)
    # What a log cannot write would be a traceback each time.
    raising, logging.raiseExceptions = logging.raiseExceptions, False
    # TensorBoard writes in a thread, and says in the main one what failed there.
    hook = threading.excepthook
    threading.excepthook = lambda lost: None if isinstance(lost.exc_value, OSError) else hook(lost)
    try:
        yield
    finally:
        logging.raiseExceptions, threading.excepthook = raising, hook
        for stream, new in ours.items():
            new.flush()
            setattr(sys, stream, before[stream])


class Harmless:
    """A text stream that drops what it cannot write."""

    def __init__(self, stream: Any, name: str) -> None:
        # Python has None where a standard stream was closed before it started.
        missing = stream is None or getattr(stream, "closed", False)
        self._stream = open(os.devnull, "w", encoding="utf-8") if missing else stream  # noqa: SIM115
        self._name, self._lost = name, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, or drop it."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._try(self._stream.write, text.encode(encoding, "replace").decode(encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the lines, or drop them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Pass on what was written, or drop it."""
        self._try(self._stream.flush)

    def _try(self, call: Callable[..., Any], *arguments: Any) -> None:
        if not self._lost:
            try:
                call(*arguments)
            except (OSError, ValueError) as error:
                self._lose(error)

    def _lose(self, error: Exception) -> None:
        self._lost = True
        with suppress(OSError, ValueError, AttributeError):
            # What is left in its buffer is tried again when the interpreter ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if isinstance(error, OSError) and error.errno != errno.EPIPE and sys.stderr is not self:
            print(f"{self._name}: {error.strerror}; going on without printing", file=sys.stderr)
