"""Several processes of one run that fail together: one cause, one line.

Lightning starts the command once more for each further process, with ``LOCAL_RANK`` set. The one that fails
says why; the others only see that a connection broke. They share the run's ``error.txt``: who makes
that file speaks for all.
"""

import logging
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spanloc.cli.stopping import WORDS, code_of, ended_by, is_child

# How long the others wait for the one that knows the cause: it closes its data and its loggers first.
_PATIENCE = 5.0
_LOST = r"gloo|nccl|ProcessGroup|TCPStore|connection (was )?(closed|reset|refused)|broken pipe"


def hush() -> None:
    """Leave to the first process what all of them would print."""
    if is_child():
        logging.getLogger().setLevel(logging.ERROR)
        warnings.simplefilter("ignore")


def lost_another(error: BaseException) -> bool:
    """Whether an error only says that another process of the run is gone."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return "DistError" in names or (
        isinstance(error, RuntimeError) and re.search(_LOST, str(error), re.IGNORECASE) is not None
    )


def cause_of_loss(mark: Path) -> str:
    """What to say of another process that is gone, if it does not say so itself in ``mark`` soon."""
    end, text = time.monotonic() + _PATIENCE, None
    while text is None and time.monotonic() < end and not mark.exists():
        time.sleep(0.05)
        text = _cause()
    return text or "another process of the run has ended"


def _cause() -> str | None:
    for rank, process in enumerate(_children(), 1):
        code = process.poll() or 0
        if code - 128 in WORDS or -code in WORDS:
            return WORDS[abs(code) % 128]
        if code < 0:
            return f"process {rank} of the run was killed by {signal.Signals(-code).name}"
    return None


def claim(mark: Path, text: str) -> str | None:
    """Write ``error.txt``, unless another process has: then that one speaks, and its text is returned."""
    try:
        with mark.open("x", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except FileExistsError:
        return mark.read_text(encoding="utf-8").strip() or text
    except OSError:  # such as a full disk, which must not hide the cause
        pass
    return None


def end_children(*, patience: float = 0.0) -> None:
    """Kill the other processes, those that have not ended after so many seconds."""
    end = time.monotonic() + patience
    for process in _children():
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        process.kill()


@contextmanager
def without_kill(mark: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Inside, Lightning does not kill this process when another one fails, and leaves SIGTERM alone.

    It would do so from a thread, without a word. Instead this process gets the time to end by itself; if it
    does not, since it waits for the one that is gone, it is ended here. On SIGTERM Lightning
    would first wait for the others, which may wait for this one. A process that waits for another one
    when it is stopped, and so never stops, is ended here as well.
    """
    launcher = sys.modules.get("lightning_fabric.strategies.launchers.subprocess_script")
    connector = sys.modules.get("pytorch_lightning.trainer.connectors.signal_connector")

    def end(observer: Any) -> None:
        threading.main_thread().join(1 if code_of(_cause() or "") else _PATIENCE + 1)
        finish(cause_of_loss(mark))

    def finish(text: str) -> None:
        other = claim(mark, text)
        if not is_child() and (other is None or code_of(other)):
            say(other or text)
        end_children()
        sys.stdout.flush()
        os._exit(code_of(other or text) or 1)

    def when_stuck(text: str) -> None:
        # One process alone waits for no other, and a person can press Ctrl-C again.
        if os.environ.get("WORLD_SIZE", "1") != "1":
            finish(text)

    changes = (
        (getattr(launcher, "_ChildProcessObserver", None), "_terminate_all", end),
        (getattr(connector, "_SignalConnector", None), "_sigterm_notifier_fn", lambda *_: None),
    )
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes if owner]
    for owner, name, new in changes:
        if owner:
            setattr(owner, name, new)
    try:
        with ended_by(when_stuck):
            yield
    finally:
        for owner, name, old in before:
            setattr(owner, name, old)


def _children() -> list[Any]:
    # Only Lightning's observer knows them.
    threads = threading.enumerate()
    return [p for thread in threads for p in getattr(thread, "_child_processes", ())]
