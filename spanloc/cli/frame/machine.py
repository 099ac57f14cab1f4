"""Cores and memory of the machine, as a command uses them."""

import math
import os
import sys
from contextlib import suppress
from pathlib import Path

# Rounds that a thread of OpenMP waits for work before it lets go of its core; GNU's own number is 300,000.
_ROUNDS = "2000"
# Of mallopt(3). The greatest block that glibc takes from its heap on request, and more than any step frees.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK, _KEPT = 32 * 2**20, 2**30


def share_cores() -> None:
    """Let threads that wait for others give up their core at once, so that another process runs there meanwhile.

    Otherwise two trainings on two cores each take twice as long as they need. It counts if it is called before
    torch is imported; what the user has set (``GOMP_SPINCOUNT``, ``OMP_WAIT_POLICY``) stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _ROUNDS)


def limit_threads() -> None:
    """Limit the threads of torch, if it is imported, to :func:`num_cores`, unless ``OMP_NUM_THREADS`` is set.

    torch itself has a thread for each core of the machine, also in a container that may use two of them.
    """
    torch = sys.modules.get("torch")
    if torch is not None and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), num_cores()))


def num_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """The number of cores that this process may use, at least 1.

    A container may have fewer than the machine (``docker run --cpus``). ``root`` is where Linux keeps its
    limits, in the files of the first or the second version of control groups.
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


def keep_freed_memory() -> bool:
    """Let glibc keep up to 1 GiB of freed memory for this process; true if it does.

    By itself it gives large blocks back to the system after every training step and gets them again, page by
    page, in the next: about a twentieth of the time of training on the CPU. Settings of the user
    (``MALLOC_...``, ``GLIBC_TUNABLES``) stay as they are.
    """
    if any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ):
        return False
    import ctypes  # for training alone

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; Windows has no CDLL(None)
        return False
    # Both or none: a trim threshold on its own leaves all large blocks to the system.
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK) and mallopt(_TRIM_THRESHOLD, _KEPT))
