"""SIGTERM and SIGUSR1 during training: the model is saved, the command ends, and SLURM starts it again."""

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from spanloc.cli.frame.stopping import WORDS
from spanloc.training.callbacks import LastCheckpoint

#: Windows has none.
_REQUEUE: int | None = getattr(signal, "SIGUSR1", None)

log = logging.getLogger(__name__)
# How long a batch may take until it is saved: then the command ends as it is.
_PATIENCE = 10.0
_SCONTROL_SECONDS = 30.0


@contextmanager
def stopping_saved(trainer: Any) -> Iterator[None]:
    """Save ``last.ckpt`` after the current batch, and end, when the training inside gets SIGTERM or SIGUSR1.

    Where nothing can be saved within an epoch (:class:`~spanloc.training.callbacks.LastCheckpoint`) it
    ends at once. SLURM sends SIGUSR1 some time before a job has to end (``--signal=USR1@60``): it ends the
    command as SIGTERM does, and the job is put into the queue again. A handler of SIGUSR1 that is there
    already, such as a launcher's, stays.
    """
    last = next((c for c in trainer.callbacks if isinstance(c, LastCheckpoint)), None)
    stopping = _Stopping(last)
    if threading.current_thread() is threading.main_thread():
        # A signal that is ignored stays so.
        for number, wanted in ((signal.SIGTERM, callable), (_REQUEUE, signal.SIG_DFL.__eq__)):
            if number is not None and wanted(signal.getsignal(number)):
                stopping.before[number] = signal.signal(number, stopping)
    try:
        try:
            yield
        except Exception as error:
            if stopping.received is None:
                raise
            # The processes that read data had the signal too, and ended before the batch did.
            raise KeyboardInterrupt(WORDS[signal.SIGTERM]) from error
    except (KeyboardInterrupt, SystemExit):
        # Lightning makes a SystemExit of the interrupt.
        if stopping.received == _REQUEUE and trainer.is_global_zero:
            _requeue()
        raise
    finally:
        stopping.timer.cancel()
        for number, handler in stopping.before.items():
            signal.signal(number, handler)


class _Stopping:
    """A handler of signals that ends the command at once, or as soon as the model is saved."""

    def __init__(self, last: LastCheckpoint | None) -> None:
        self.last = last
        self.received: int | None = None
        self.before: dict[int, Any] = {}  # the handlers in whose place it is
        self.timer = threading.Timer(_PATIENCE, self._again)
        self.timer.daemon = True
        self._waiting = False
        self._pid = os.getpid()

    def __call__(self, number: int, frame: Any) -> None:
        if os.getpid() != self._pid:
            # A worker that was forked from here; SLURM sends SIGUSR1 to it too.
            if number != _REQUEUE:
                self._end(frame)
        elif self._waiting:
            pass  # a shell and a launcher may both send one
        elif self.received is None and self.last is not None and self.last.can_save:
            self.received, self._waiting = number, True
            self.timer.start()
            self.last.stop(partial(self._end, frame))
        else:
            self.received = self.received or number
            self._end(frame)

    def _end(self, frame: Any) -> None:
        self._waiting = False
        self.timer.cancel()
        handler = self.before.get(signal.SIGTERM)
        if handler is None:
            raise KeyboardInterrupt(WORDS[signal.SIGTERM])
        handler(signal.SIGTERM, frame)

    def _again(self) -> None:
        self._waiting = False
        os.kill(self._pid, signal.SIGTERM)


def _requeue() -> None:
    # A job of an array has two numbers.
    array, task = (os.environ.get(f"SLURM_ARRAY_{part}_ID") for part in ("JOB", "TASK"))
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
    if not job:
        return
    try:
        subprocess.run(
            ["scontrol", "requeue", job],
            check=True,
            capture_output=True,
            text=True,
            timeout=_SCONTROL_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        why = (getattr(error, "stderr", None) or str(error)).strip()
        log.warning("job %s is not in the queue again: scontrol requeue: %s", job, why)
    else:
        log.info("job %s is in the queue again; resume its run there", job)
