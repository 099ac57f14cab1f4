"""Samplers: which sequences a process takes, and in what order."""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from torch import distributed
from torch.utils.data import Dataset, DistributedSampler


class EpochIndex(int):
    """The index of a sequence that knows its epoch, so that a data set can draw new crops in each.

    For any other data set, such as a list, it is a number as any.
    """

    epoch: int

    def __new__(cls, index: int, epoch: int = 0) -> "EpochIndex":
        """The number, with its epoch."""
        made = super().__new__(cls, index)
        made.epoch = epoch
        return made

    def __reduce__(self) -> tuple[type, tuple[int, int]]:
        return type(self), (int(self), self.epoch)


class EpochSampler(DistributedSampler[Any]):
    """A new order every epoch, drawn from ``(seed, epoch)``: a resumed run sees what it would have.

    It gives an :class:`EpochIndex` for each sequence. Several processes share an epoch between them,
    without the rest that does not divide.

    Args:
        size: Length of the data set.
        seed: Of the orders.
        num_replicas, rank: How many processes there are, and which this is; None: as
            ``torch.distributed`` says, or one.
    """

    def __init__(
        self, size: int, seed: int = 0, *, num_replicas: int | None = None, rank: int | None = None
    ) -> None:
        num_replicas, rank = _processes(num_replicas, rank)
        # Lightning leaves a DistributedSampler as it is and tells it the epoch; any other it would
        # wrap, and not tell.
        places = cast("Dataset[int]", range(size))
        super().__init__(places, num_replicas, rank, seed=seed, drop_last=True)
        self.size = size

    def __iter__(self) -> Iterator[EpochIndex]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size)
        mine = order[self.rank : self.total_size : self.num_replicas]
        return iter([EpochIndex(i, self.epoch) for i in mine.tolist()])


class EvaluationSampler(DistributedSampler[Any]):
    """Every sequence once, in order, shared between processes without repeating any.

    Lightning's own way to share repeats the first sequences, so that all processes get as many; metrics
    would count these twice, and refuse them.

    Args:
        size: Length of the data set.
        num_replicas, rank: As in :class:`EpochSampler`.

    Raises:
        ValueError: There are fewer sequences than processes.
    """

    def __init__(
        self, size: int, *, num_replicas: int | None = None, rank: int | None = None
    ) -> None:
        num_replicas, rank = _processes(num_replicas, rank)
        super().__init__(cast("Dataset[int]", range(size)), num_replicas, rank, shuffle=False)
        self.size = size
        if 0 < size < num_replicas:
            raise ValueError(
                f"{num_replicas} processes are to share {size} sequences; wanted at least one each"
            )

    def __len__(self) -> int:
        return len(range(self.rank, self.size, self.num_replicas))

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.size, self.num_replicas))


def _processes(num_replicas: int | None, rank: int | None) -> tuple[int, int]:
    if num_replicas is not None:
        return num_replicas, rank or 0
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size(), distributed.get_rank()
    return 1, 0
