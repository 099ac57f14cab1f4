"""A function in two processes of one group."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import torch.distributed as dist


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
