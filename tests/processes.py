"""Commands in processes of their own, and a function in two processes of one group."""

import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch.distributed as dist


def begun(name, *arguments, folder, environment=(), **options):
    """``spanloc-<name>``, which runs in the folder; its standard error is read as text unless options differ."""
    command = [Path(sys.executable).with_name(f"spanloc-{name}"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **dict(environment)}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **{**streams, **options})


def python(*arguments, code=0, folder=None, **environment):
    """Python without the checker of shapes, which cannot be compiled or exported; it runs in the folder of the tests.

    Its exit code is to be ``code``; its output is text.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder or Path(__file__).parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr[-2000:]
    return done


def ended(name, *arguments, folder, **options):
    """The exit code of ``spanloc-<name>``, and its output."""
    process = begun(name, *arguments, folder=folder, **{"stdout": subprocess.PIPE, **options})
    try:
        out, errors = process.communicate(timeout=500)
    finally:
        process.kill()
    return process.returncode, out, errors


def until_saved(process, run):
    """Wait until a training has saved its first checkpoint, or has ended."""
    while process.poll() is None and not (run / "last.ckpt").exists():
        time.sleep(0.001)


def in_two_processes(function, folder):
    """What the function gives of each rank, 0 and 1, in processes that have met."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        found = [pool.submit(_met, function, rank, folder / "store") for rank in range(2)]
        return [future.result(timeout=120) for future in found]


def _met(function, rank, store):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    try:
        return function(rank)
    finally:
        dist.destroy_process_group()
