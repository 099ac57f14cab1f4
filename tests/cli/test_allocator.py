"""Freed memory stays with the process, so that the next step does not ask the system for it again."""

import platform
import subprocess
import sys

import pytest

# Memory as a step of training takes and frees it: many blocks of some MiB, all at once.
STEPS = """
import resource, sys
import torch
from spanloc.cli.allocator import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
def step():
    blocks = [torch.ones(2**20) for _ in range(20)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(how: str, **environment: str) -> tuple[str, int]:
    command = [sys.executable, "-c", STEPS, how]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    kept, faults = found.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_step_takes_the_memory_of_the_one_before():
    kept, faults = run("keep")
    assert kept == "True"
    assert faults < 10_000  # of the 100,000 pages of five steps of 80 MiB


def test_settings_of_the_user_stay():
    assert run("keep", MALLOC_ARENA_MAX="2")[0] == "False"
