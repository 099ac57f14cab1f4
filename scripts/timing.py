"""Times and memory of the benchmark, and the cases that it measures."""

import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch


def medians(*functions: Callable[[], object], repeats: int = 15) -> list[float]:
    """Median seconds of each, measured in turn after one call that warms up."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(repeats + 1):
        for number, function in enumerate(functions):
            begin = time.perf_counter()
            function()
            if turn:
                times[number].append(time.perf_counter() - begin)
    return [statistics.median(values) for values in times]


def random_spans(count: int, seed: int = 0, spread: float = 100.0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    start = torch.rand(count, generator=random) * spread
    return torch.stack([start, start + 1 + 9 * torch.rand(count, generator=random)], -1)


def memory() -> int:
    """Bytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_over(function: Callable[[], object]) -> int:
    """The most bytes that a call holds beyond what was held before it."""
    before, most, done = memory(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            most[0] = max(most[0], memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    function()
    done.set()
    watcher.join()
    return max(most[0] - before, 0)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"
