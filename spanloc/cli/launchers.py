"""The launchers of a sweep: its runs side by side in processes of this machine, on SLURM or on Ray."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from signal import SIGTERM, getsignal, signal
from typing import Any

from hydra.core.utils import JobReturn

from spanloc.cli.cores import num_cores
from spanloc.cli.spread import Ended, Job, SpreadRuns, carry_out

log = logging.getLogger(__name__)


class Joblib(SpreadRuns):
    """Processes of this machine, kept from run to run; one that is killed takes no other with it.

    Args:
        n_jobs: Runs at a time; None: as many as there are cores.
        threads: Of each run; None: the cores divided by the runs at a time. ``OMP_NUM_THREADS`` goes first.
    """

    needs = "joblib"

    def __init__(self, n_jobs: int | None = None, threads: int | None = None) -> None:
        for name, value in (("n_jobs", n_jobs), ("threads", threads)):
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise ValueError(f"hydra.launcher.{name} is {value!r}; wanted a number from 1 on")
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
            elif running:
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

    def _threads(self, count: int) -> int | None:
        return None

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
    found: JobReturn = sent.results()[0]
    return found
