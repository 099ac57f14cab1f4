"""The launchers of a sweep: its runs side by side in processes of this machine, on SLURM or on Ray."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from signal import SIGTERM, getsignal, signal
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from spanloc.cli.frame import stopping
from spanloc.cli.frame.folder import in_run
from spanloc.cli.frame.machine import num_cores
from spanloc.cli.frame.ranks import claim
from spanloc.cli.run.sweeps import FailedRunError, Job, carry_out, how_jobs_go_on, outcome, shown
from spanloc.files import counted, pip_install, require_whole

log = logging.getLogger(__name__)
#: A job, and a call that gives its result or raises what its process ended with.
Ended = tuple[Job, Callable[[], JobReturn]]


class SpreadRuns(Launcher):
    """Runs that are carried out elsewhere."""

    needs = ""  # a package, of the extra with the name of the launcher's file
    outlives = False  # whether runs go on when this process has ended

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what the runs need; called by Hydra."""
        self.context, self.task, self.config = hydra_context, task_function, config
        try:
            import_module(self.needs)
        except ImportError:
            extra = type(self).__name__.lower()
            text = f"launcher={extra} needs {self.needs}: {pip_install(extra)}"
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
        outcome.folder = shown(self.config.hydra.sweep.dir)
        results: dict[int, JobReturn] = {}
        if not self.outlives:
            stopping.when_stopped(partial(how_jobs_go_on, jobs, results))
        many = counted(len(jobs), "run")
        log.info("%s, %s; see output.log of each", many, self._said(len(jobs)))
        try:
            for job, result in self._results(jobs):
                results[job.number] = found = _returned(job, result)
                failed, place = outcome.add(found), shown(job.folder)
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
        """The place where the runs are carried out, in words."""
        raise NotImplementedError

    def _threads(self, count: int) -> int | None:
        """The threads of each of so many runs; None: as the process finds it."""
        return None

    def _results(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """The jobs as they end, in any order."""
        raise NotImplementedError

    def _job(self, number: int, overrides: Sequence[str], threads: int | None) -> Job:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        with in_run(config):
            folder = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir).absolute()
        return Job(
            number, config, str(folder), str(Path.cwd()), threads, self.context, self.task,
            Singleton.get_state(),
        )  # fmt: skip


class Joblib(SpreadRuns):
    """Processes of this machine, kept from run to run; one that is killed takes no other with it.

    Args:
        n_jobs: Runs at a time; None: as many as there are cores.
        threads: Of each run; None: the cores divided by the runs at a time. ``OMP_NUM_THREADS`` goes first.
    """

    needs = "joblib"

    def __init__(self, n_jobs: int | None = None, threads: int | None = None) -> None:
        for name, value in (("n_jobs", n_jobs), ("threads", threads)):
            if value is not None:
                require_whole(f"hydra.launcher.{name}", value, 1)
        self.n_jobs, self.num_threads = n_jobs, threads

    def _side_by_side(self, count: int) -> int:
        return min(count, self.n_jobs or num_cores())

    def _threads(self, count: int) -> int | None:
        return self.num_threads or max(1, num_cores() // self._side_by_side(count))

    def _said(self, count: int) -> str:
        threads = os.environ.get("OMP_NUM_THREADS") or self._threads(count)
        return f"{self._side_by_side(count)} at a time with {threads} thread(s) each"

    def _results(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        from joblib.externals.loky import ProcessPoolExecutor

        num = self._side_by_side(len(jobs))
        pools: list[Any] = []
        free: SimpleQueue[Any] = SimpleQueue()

        def new() -> Any:
            # One process each: loky gives up all of a pool when one of them dies.
            pools.append(ProcessPoolExecutor(1))
            return pools[-1]

        def carried(job: Job) -> JobReturn:
            pool = free.get()
            try:
                return pool.submit(carry_out, job).result()
            except BaseException:
                pool.shutdown(kill_workers=True)
                pool = new()
                raise
            finally:
                free.put(pool)

        for _ in range(num):
            free.put(new())
        threads = ThreadPoolExecutor(num)
        try:
            running = {threads.submit(carried, job): job for job in jobs}
            for future in as_completed(running):
                yield running[future], future.result
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            for pool in pools.copy():
                pool.shutdown(kill_workers=True)


class Slurm(SpreadRuns):
    """Jobs of SLURM, one array for a sweep, by submitit.

    Args:
        executor: ``slurm``; or ``local``: processes of this machine, to try the same without a cluster.
        parameters: Of submitit's ``update_parameters``.
    """

    needs = "submitit"

    def __init__(self, parameters: Mapping[str, Any], executor: str = "slurm") -> None:
        if executor not in ("slurm", "local"):
            raise ValueError(f"hydra.launcher.executor is {executor!r}; wanted slurm or local")
        self.executor, self.outlives = executor, executor == "slurm"
        self.parameters = dict(parameters)

    def _threads(self, count: int) -> int | None:
        return self.parameters.get("cpus_per_task")

    def _said(self, count: int) -> str:
        return f"by submitit ({self.executor})"

    def _results(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        import submitit

        folder = Path(self.config.hydra.sweep.dir, ".submitit", "%j").absolute()
        executor = submitit.AutoExecutor(folder, cluster=self.executor)
        executor.update_parameters(**self.parameters)
        # A queue has room for all; submitit's local processes all run at once.
        room = len(jobs) if self.outlives else max(1, num_cores() // (self._threads(0) or 1))
        waiting = list(jobs)
        running: dict[Any, Job] = {}
        try:
            while waiting or running:
                some = [waiting.pop(0) for _ in range(min(room - len(running), len(waiting)))]
                if some:
                    with executor.batch():
                        sent = [executor.submit(carry_out, job) for job in some]
                    running |= dict(zip(sent, some, strict=True))
                for done in [sent for sent in running if sent.done()]:
                    yield running.pop(done), partial(_first_of, done)
                time.sleep(1.0 if self.outlives else 0.1)
        finally:
            if self.outlives and running:
                numbers = sorted({sent.job_id.split("_")[0] for sent in running})
                log.warning("the jobs go on; scancel %s ends them", " ".join(numbers))
            else:
                for sent in running:
                    sent.cancel()


class Ray(SpreadRuns):
    """Tasks of a Ray cluster, or of one that is started on this machine for the sweep.

    Args:
        init: Of ``ray.init``; ``address: auto`` for a cluster that runs.
        remote: Of ``ray.remote``: what a run takes of the cluster. Ray gives it as many threads as CPUs.
    """

    needs = "ray"

    def __init__(self, init: Mapping[str, Any], remote: Mapping[str, Any]) -> None:
        self.init, self.remote = dict(init), dict(remote)

    def _said(self, count: int) -> str:
        return "by Ray"

    def _results(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        import ray

        handler = getsignal(SIGTERM)
        ray.init(**{"log_to_driver": False, "include_dashboard": False, **self.init})
        signal(SIGTERM, handler)  # Ray's own ends a command with an exit code of its own
        # What a run fails with comes back as its result; a process that was killed is not started again.
        task = ray.remote(**{"max_retries": 0, **self.remote})(carry_out)
        try:
            running = {task.remote(job): job for job in jobs}
            while running:
                (done,), _ = ray.wait(list(running), num_returns=1)
                result: Any = partial(ray.get, done)
                yield running.pop(done), result
        finally:
            ray.shutdown()


LAUNCHERS = (Joblib, Slurm, Ray)


def _first_of(sent: Any) -> JobReturn:
    found: JobReturn = sent.results()[0]  # of several tasks
    return found


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
