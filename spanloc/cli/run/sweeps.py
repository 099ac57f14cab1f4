"""The runs of a sweep, in this process or another: one that fails does not end the others, and is named."""

import logging
import multiprocessing
import os
import shlex
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM, signal
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from spanloc.cli.frame import stopping
from spanloc.cli.frame.mistakes import is_mistake, line_of
from spanloc.cli.run.resume import how_to_resume
from spanloc.files import counted

log = logging.getLogger(__name__)
_CORE = "hydra._internal.core_plugins."


class FailedRunError(ValueError):
    """A run of a sweep failed: its folder, and the line of its ``error.txt``."""

    def __init__(self, folder: str, line: str) -> None:
        super().__init__(folder, line)  # both, so that it comes out of another process as it was
        self.folder, self.line = folder, line

    def __str__(self) -> str:
        return f"{self.folder}: {self.line}"


class Outcome:
    """The successes and failures of the runs of a sweep, wherever they ran."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the runs of an earlier command in this process."""
        self.count = 0
        self.folder = ""  # of the sweep
        self.failed: list[FailedRunError] = []

    def add(self, result: JobReturn) -> FailedRunError | None:
        """Count a run that ended in another process; its failure, if it is one."""
        self.count += 1
        value = result._return_value
        if not isinstance(value, FailedRunError):
            return None
        self.failed.append(value)
        return value

    def comparison(self) -> str | None:
        """The command that compares the runs; None where there are not two of a sweep that ended well."""
        if self.count - len(self.failed) < 2:
            return None
        return f"To compare these runs: spanloc-report {shlex.quote(f'runs={self.folder}')}"

    def message(self) -> str | None:
        """The runs that failed, with their reasons: a line each, or one for a common reason. None: none failed."""
        if not self.failed:
            return None
        lines = {failed.line for failed in self.failed}
        if len(self.failed) == self.count > 1 and len(lines) == 1:
            return f"all {self.count} runs failed: {lines.pop()}"
        head = f"{len(self.failed)} of {counted(self.count, 'run')} failed:"
        if len(self.failed) == 1:
            return f"{head} {self.failed[0]}"
        return "\n".join([head, *(f"  {failed}" for failed in self.failed)])


#: Of the runs of this process.
outcome = Outcome()


def noted(run: Callable[[], Any], debug: bool) -> Any:
    """Call a run of a sweep, and note its failure, so that the others go on.

    The failure is returned, or raised where the sweeper goes by what runs return. With ``debug`` the traceback
    of a user's mistake is logged too.
    """
    hydra = HydraConfig.get()
    ours = str(hydra.launcher["_target_"]).startswith("hydra_plugins.spanloc.")
    outcome.folder = shown(hydra.sweep.dir)
    if not ours:  # ours count when a run is back from where it was carried out
        outcome.count += 1
    try:
        return run()
    except Exception as error:  # whatever one run fails with, the others go on
        folder, line = shown(hydra.runtime.output_dir), line_of(error) or type(error).__name__
        failed = FailedRunError(folder, line)
        traceback = debug or not is_mistake(error)
        log.log(logging.ERROR, "the run failed: %s", line, exc_info=traceback)
        if not ours:
            outcome.failed.append(failed)
        # Hydra's own sweeper would say the first failure in words of its own, and has no use for it. Other
        # launchers do not bring home what was noted.
        launcher, sweeper = (str(part["_target_"]) for part in (hydra.launcher, hydra.sweeper))
        if sweeper.startswith(_CORE) and (ours or launcher.startswith(_CORE)):
            return failed
        raise failed from error


def how_to_go_on(folders: Sequence[str | Path], waiting: int) -> str:
    """Lines for a sweep that was stopped: how the runs in ``folders`` go on, and how many were still waiting."""
    lines = []
    for folder in folders:
        if not (text := how_to_resume("train", Path(folder))):
            waiting += 1
        elif text.startswith("To resume"):
            lines.append(text)
        else:
            lines.append(f"{shown(str(folder))}: {text[0].lower()}{text[1:]}")
    if waiting:
        lines.append(
            f"{counted(waiting, 'run')} of the sweep had not begun: start a sweep of the rest"
        )
    return "\n".join(lines)


def shown(folder: str) -> str:
    """A folder as it was given, where it lies below the place of the command."""
    path, here = Path(folder), Path.cwd()
    return str(path.relative_to(here) if here in path.parents else path)


@dataclass(frozen=True)
class Job:
    """A run of a sweep, to be carried out by any process that sees the same files."""

    number: int
    config: DictConfig
    folder: str
    place: str  # the folder that the command is run in
    threads: int | None
    context: HydraContext
    task: TaskFunction
    state: Any  # of Hydra


def carry_out(job: Job) -> JobReturn:
    """Do the run in this process. Its output goes to ``output.log`` in its folder."""
    os.chdir(job.place)
    if job.place not in sys.path:
        sys.path.append(job.place)
    if job.threads is not None:  # before torch is imported
        os.environ.setdefault("OMP_NUM_THREADS", str(job.threads))
    # Workers that read data start as they do in a command: joblib's processes would start them its own way,
    # which torch's loaders do not take.
    multiprocessing.set_start_method(None, force=True)
    with suppress(ValueError):  # not the main thread
        signal(SIGTERM, stopping._handler)  # as in a command; Ray's own leaves no word
    setup_globals()
    Singleton.set_state(job.state)
    with _output_to(Path(job.folder) / "output.log"):
        return run_job(job.task, job.config, "hydra.sweep.dir", "hydra.sweep.subdir", job.context)


def how_jobs_go_on(jobs: Sequence[Job], done: Container[int]) -> str:
    """:func:`how_to_go_on` of the jobs of ``spanloc-train`` whose numbers are not among those done."""
    left = [job for job in jobs if job.number not in done]
    if any(job.config.hydra.job.config_name != "train" for job in left):
        return ""
    begun = [job.folder for job in left if Path(job.folder).is_dir()]
    return how_to_go_on(begun, len(left) - len(begun))


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    streams = (sys.stdout, sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)

    def lead(*numbers: int) -> None:
        for stream in streams:
            stream.flush()
        for number, to in zip(numbers, (1, 2), strict=True):
            os.dup2(number, to)

    kept = os.dup(1), os.dup(2)
    with path.open("ab") as file:
        lead(file.fileno(), file.fileno())
    try:
        yield
    finally:
        lead(*kept)
        for number in kept:
            os.close(number)
