"""Threads and memory: no more threads than cores, none that waits at others' cost, and no memory fetched twice."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from spanloc.cli.frame import machine


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "1000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "6400000 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"cpu.max": "lots"}, 8),
        ({}, 8),
    ],
)
def test_a_container_may_use_fewer_cores_than_there_are(files, wanted, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert machine.num_cores(tmp_path) == wanted


@pytest.mark.parametrize(
    ("cores_there", "set_by_user", "wanted"), [(2, None, 2), (8, None, 4), (2, "4", 4)]
)
def test_torch_gets_no_more_threads_than_cores(cores_there, set_by_user, wanted, monkeypatch):
    monkeypatch.setattr(machine, "num_cores", lambda: cores_there)
    if set_by_user is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", set_by_user)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        machine.limit_threads()
        assert torch.get_num_threads() == wanted
    finally:
        torch.set_num_threads(before)


COMMAND = """
import os, sys
from spanloc.cli import commands
sys.argv = ["spanloc-train", "--help"]
try:
    commands.train()
except SystemExit:
    pass
print(os.environ.get("GOMP_SPINCOUNT"), file=sys.stderr)
"""


def test_a_command_lets_waiting_threads_give_up_their_core():
    environment = {
        k: v for k, v in os.environ.items() if k not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    }
    command = [sys.executable, "-c", COMMAND]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stderr.split()[-1] == "2000"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_how_threads_wait_stays_as_the_user_has_set_it(environment, wanted, monkeypatch):
    monkeypatch.setattr(os, "environ", environment)
    machine.share_cores()
    assert environment.get("GOMP_SPINCOUNT") == wanted


# Memory as a step of training takes and frees it: many blocks of some MiB, all at once.
STEPS = """
import resource
import torch
from spanloc.cli.frame.machine import keep_freed_memory
kept = keep_freed_memory()
def step():
    blocks = [torch.ones(2**20) for _ in range(20)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_step_takes_the_memory_of_the_one_before():
    command = [sys.executable, "-c", STEPS]
    found = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    kept, faults = found.stdout.split()
    assert kept == "True"
    assert int(faults) < 10_000  # of the 100,000 pages of five steps of 80 MiB


def test_settings_of_the_c_library_by_the_user_stay(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not machine.keep_freed_memory()
