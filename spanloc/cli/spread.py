"""What the launchers of a sweep share: a run in another process, and what becomes of one that fails there."""

import logging
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from signal import SIGTERM, signal
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from spanloc.cli import stopping
from spanloc.cli.ranks import claim
from spanloc.cli.sweeps import FailedRunError, outcome, shown

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A run of a sweep, to be carried out by any process that sees the same files."""

    number: int
    config: DictConfig
    folder: str
    place: str  # where the command is run
    threads: int | None
    context: HydraContext
    task: TaskFunction
    state: Any  # of Hydra


#: A job, and a call that gives its result or raises what its process ended with.
Ended = tuple[Job, Callable[[], JobReturn]]


def carry_out(job: Job) -> JobReturn:
    """Do the run in this process. What it prints goes to ``output.log`` in its folder."""
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


class SpreadRuns(Launcher):
    """Runs that are carried out elsewhere."""

    needs = ""  # a package, of the extra with the name of the launcher's file
    outlives = False  # whether runs go on when this process has ended

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what the runs need; called by Hydra.

        Raises:
            ValueError: A package is missing.
        """
        self.context, self.task, self.config = hydra_context, task_function, config
        try:
            import_module(self.needs)
        except ImportError:
            extra = type(self).__name__.lower()
            text = f"launcher={extra} needs {self.needs}: pip install 'spanloc[{extra}]'"
            raise ValueError(text) from None

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Carry out the runs, all to their end; called by Hydra's sweeper."""
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        threads = self._threads(len(job_overrides))
        jobs = [
            self._job(number, some, threads)
            for number, some in enumerate(job_overrides, initial_job_idx)
        ]
        outcome().folder = shown(self.config.hydra.sweep.dir)
        results: dict[int, JobReturn] = {}
        log.info(
            "%d run%s, %s; see output.log of each",
            len(jobs),
            "s"[: len(jobs) != 1],
            self._said(len(jobs)),
        )
        try:
            for job, result in self._results(jobs):
                results[job.number] = found = _returned(job, result)
                failed, place = outcome().add(found), shown(job.folder)
                how = f"failed: {failed.line}" if failed else "done"
                log.info("%d of %d: %s %s", len(results), len(jobs), place, how)
        except BaseException as error:
            word = stopping.stopped_by(error) or "the launcher failed"
            for job in jobs:
                if job.number not in results and Path(job.folder).is_dir() and not self.outlives:
                    claim(Path(job.folder) / "error.txt", word)
            raise
        return [results[job.number] for job in jobs]

    def _said(self, count: int) -> str:
        """Where the runs are carried out."""
        raise NotImplementedError

    def _threads(self, count: int) -> int | None:
        """Threads of each of so many runs; None: as the process finds it."""
        raise NotImplementedError

    def _results(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """The jobs as they end, in any order."""
        raise NotImplementedError

    def _job(self, number: int, overrides: Sequence[str], threads: int | None) -> Job:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        instance = HydraConfig.instance()
        before = instance.cfg
        instance.set_config(config)
        try:
            folder = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir).absolute()
        finally:
            instance.cfg = before
        return Job(
            number, config, str(folder), str(Path.cwd()), threads, self.context, self.task,
            Singleton.get_state(),
        )  # fmt: skip


def _returned(job: Job, result: Callable[[], JobReturn]) -> JobReturn:
    # Also where the process did not come to its end.
    try:
        found = result()
    except Exception as error:  # whatever a launcher says of a lost process
        line = _without_result(error)
        found = JobReturn(cfg=job.config, status=JobStatus.COMPLETED)
        found.return_value = FailedRunError(shown(job.folder), line)
        mark = Path(job.folder) / "error.txt"
        mark.parent.mkdir(parents=True, exist_ok=True)
        claim(mark, line)
    return found


def _without_result(error: Exception) -> str:
    text = str(error).strip()
    state = re.search(r"state: \w+", text)  # as SLURM has it: TIMEOUT, OUT_OF_MEMORY
    cause = state[0] if state else re.split(r"\.?\s*\n|\. ", text)[0]
    if re.search(r"Traceback|^ray::", text):
        cause = text.splitlines()[-1]
    return f"its process ended without a result ({cause}), as where memory or time runs out"
