"""Cores of the machine: as many threads as there are cores to use, and none that keeps one for nothing."""

import math
import os
import sys
from contextlib import suppress
from pathlib import Path

# Rounds that a thread of OpenMP waits for work before it lets go of its core; GNU's own number is 300,000.
_ROUNDS = "2000"


def share_cores() -> None:
    """Let threads that wait for others give up their core at once, so that another process runs there meanwhile.

    Otherwise two trainings on two cores each take twice as long as they need. It counts if it is called before
    torch is imported; what the user has set (``GOMP_SPINCOUNT``, ``OMP_WAIT_POLICY``) stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _ROUNDS)


def limit_threads() -> None:
    """No more threads of torch, if it is imported, than :func:`num_cores`; ``OMP_NUM_THREADS`` goes first.

    torch itself has a thread for each core of the machine, also in a container that may use two of them.
    """
    torch = sys.modules.get("torch")
    if (
        torch is not None
        and "OMP_NUM_THREADS" not in os.environ
        and torch.get_num_threads() > num_cores()
    ):
        torch.set_num_threads(num_cores())


def num_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """The cores that this process may use, at least 1.

    Args:
        root: Where Linux says what a container may use (``docker run --cpus``): ``cpu.max``, or with the first
            version of control groups ``cpu/cpu.cfs_quota_us`` and ``cpu/cpu.cfs_period_us``.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with suppress(OSError, ValueError):  # no such file; "max" and -1 are no limit
            quota, period = (
                int(word) for file in files for word in (root / file).read_text().split()
            )
            if quota > 0 and period > 0:
                cores = min(cores, math.ceil(quota / period))
    return max(cores, 1)
