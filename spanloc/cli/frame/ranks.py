"""Several processes of one run that fail together: one cause, one line.

Lightning starts the command once more for each further process, with ``LOCAL_RANK`` set. The one that fails
knows why; the others only see that a connection broke. They share the run's ``error.txt``: the process that
makes that file prints the error for all.
"""

import logging
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from spanloc.cli.frame.arguments import quoted
from spanloc.cli.frame.stopping import WORDS, code_of, ended_by, is_child
from spanloc.cli.run.resume import given_settings

# How long the others wait for the one that knows the cause: it closes its data and its loggers first.
_PATIENCE = 5.0
_LOST = r"gloo|nccl|ProcessGroup|TCPStore|connection (was )?(closed|reset|refused)|broken pipe"


def hush() -> None:
    """Let only the first process print what all of them would print."""
    if is_child():
        logging.getLogger().setLevel(logging.ERROR)
        warnings.simplefilter("ignore")


def lost_another(error: BaseException) -> bool:
    """True for an error whose only cause is another process of the run that is gone."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return "DistError" in names or (
        isinstance(error, RuntimeError) and re.search(_LOST, str(error), re.IGNORECASE) is not None
    )


def num_started() -> int:
    """The number of processes that torchrun or srun has started, on all machines; 1 without these."""
    torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    return int(os.environ.get("WORLD_SIZE" if torchrun else "SLURM_STEP_NUM_TASKS") or 1)


def refuse_started(name: str, arguments: Sequence[str]) -> None:
    """Refuse commands and settings that several processes of torchrun or srun cannot share."""
    if (count := num_started()) == 1:
        return
    began = f"torchrun or srun has started {count} processes"
    if name not in ("train", "evaluate"):
        raise ValueError(f"{began}; spanloc-{name} is for one, started without these")
    names = {argument.partition("=")[0] for argument in arguments}
    if names & {"-m", "--multirun", "launcher", "hydra.mode", "hydra/launcher", "hydra/sweeper"}:
        # Each would have a sweeper of its own, and one without a seed other settings.
        raise ValueError(
            f"{began}; a sweep starts those of its runs by itself (trainer.devices=2), without these"
        )
    if "hydra.run.dir" not in names:
        raise ValueError(
            f"{began}; wanted hydra.run.dir=FOLDER, since the time in the name of the usual folder may "
            "differ between them"
        )


def check_started(trainer: Any) -> None:
    """Compare the processes of a Trainer with those that torchrun or srun has started."""
    count, wanted = num_started(), trainer.world_size
    if count not in (1, wanted):
        raise ValueError(
            f"torchrun or srun has started {count} processes, and trainer.devices times "
            f"trainer.num_nodes is {wanted}; wanted {count} (trainer=ddp has both settings)"
        )


def leave_to_first(mark: Path | None = None) -> None:
    """Give the first process the time to print a mistake that all see, if torchrun or srun has started them.

    Where they have met, or Lightning has started the others, the first to write ``error.txt`` prints.
    """
    if num_started() > 1 and is_child() and not _grouped():
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and not (mark and mark.exists()):
            time.sleep(0.05)


def _grouped() -> bool:
    group: Any = sys.modules.get("torch.distributed")
    return group is not None and group.is_available() and bool(group.is_initialized())


def cause_of_loss(mark: Path) -> str:
    """The line for another process that is gone, unless it writes its own to ``mark`` soon."""
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
    """Write ``error.txt``, unless another process has: then its text is returned."""
    try:
        with mark.open("x", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except FileExistsError:
        return mark.read_text(encoding="utf-8").strip() or text
    except OSError:  # such as a full disk, which must not hide the cause
        pass
    return None


def end_children(*, patience: float = 0.0) -> None:
    """Kill the other processes that have not ended after ``patience`` seconds."""
    end = time.monotonic() + patience
    for process in _children():
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        process.kill()


@contextmanager
def leaving_no_group() -> Iterator[None]:
    """End the connection of a run to the processes it has started, with the run: another run follows."""
    names = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for thread in threading.enumerate():
            if hasattr(thread, "_child_processes"):  # it looks after them every few seconds
                thread._child_processes = []
        if _grouped():
            sys.modules["torch.distributed"].destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def without_kill(mark: Path, say: Callable[[str], None], sweep: bool = False) -> Iterator[None]:
    """Keep Lightning from killing this process when another one fails, and from handling SIGTERM.

    Lightning would kill it from a thread, without a line. Instead this process gets the time to end by
    itself, and is ended here if it does not, since it waits for the one that is gone. On SIGTERM Lightning
    would first wait for the others, which may wait for this one; a process that so never stops is ended here
    as well. In a ``sweep`` the process goes on with the next run.
    """
    over = threading.Event()
    launcher = sys.modules.get("lightning_fabric.strategies.launchers.subprocess_script")
    starter = sys.modules.get("pytorch_lightning.strategies.launchers.subprocess_script")
    connector = sys.modules.get("pytorch_lightning.trainer.connectors.signal_connector")

    def end(observer: Any) -> None:
        patience = 1 if code_of(_cause() or "") else _PATIENCE + 1
        if sweep and over.wait(patience):
            return
        if not sweep:
            threading.main_thread().join(patience)
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
        (starter if sweep else None, "_hydra_subprocess_cmd", _again),
        (getattr(launcher, "_ChildProcessObserver", None), "_terminate_all", end),
        (getattr(connector, "_SignalConnector", None), "_sigterm_notifier_fn", lambda *_: None),
    )
    with ended_by(when_stuck), ExitStack() as stack:
        for owner, name, new in changes:
            if owner:
                stack.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, new)
        stack.callback(over.set)
        yield


def _again(local_rank: int) -> tuple[list[str], str]:
    # The command of a further process of a run of a sweep; Lightning would start the sweep once more.
    hydra = HydraConfig.get()
    name = hydra.job.config_name
    return [
        *(sys.executable, "-c", f"from spanloc.cli.commands import {name}; {name}()"),
        *given_settings(None),
        *(text for text in hydra.overrides.task if text.startswith("ckpt_path=")),
        *("hydra.mode=RUN", quoted("hydra.run.dir", Path(hydra.runtime.output_dir))),
        *(f"hydra.job.name=train_ddp_process_{local_rank}", "hydra.output_subdir=null"),
    ], str(Path.cwd())


def _children() -> list[Any]:
    # Only Lightning's observer knows them.
    threads = threading.enumerate()
    return [p for thread in threads for p in getattr(thread, "_child_processes", ())]
