"""Samplers: the sequences that each process takes, and their order."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
from torch import distributed
from torch.utils.data import Dataset, DistributedSampler

#: Steps of the sequences: the same in every epoch, or by epoch.
Lengths = Sequence[int] | Callable[[int], Sequence[int]]

# Batches that share their sequences out by length: the more, the less padding, and the less random.
_WINDOW = 16


class EpochIndex(int):
    """The index of a sequence, with the epoch, so that a data set can draw new crops in each.

    For any other data set, such as a list, it is a plain number.
    """

    epoch: int

    def __new__(cls, index: int, epoch: int = 0) -> "EpochIndex":
        """The number, with its epoch."""
        made = super().__new__(cls, index)
        made.epoch = epoch
        return made


class EpochSampler(DistributedSampler[Any]):
    """A new order every epoch, drawn from ``(seed, epoch)``, so that a resumed run continues exactly.

    It gives an :class:`EpochIndex` for each sequence. Several processes share an epoch between them,
    without the rest that does not divide.

    With ``lengths``, sequences of similar lengths come together, which saves padding: of the random order,
    every 16 batches are sorted by length and cut into batches again, and the order of all batches is
    random. What does not fill a batch comes last, as it is. Batches that processes take at the same time
    are of similar lengths too.

    Args:
        size: Length of the data set.
        seed: Of the orders.
        lengths: Of the sequences, at least roughly, in any unit. None: order does not depend on length.
        batch_size: Of each process; used with ``lengths`` only.
        num_replicas, rank: Number of processes, and the place of this one. None: those of
            ``torch.distributed``, or one.

    Raises:
        ValueError: There are more or fewer lengths than sequences.
    """

    def __init__(
        self,
        size: int,
        seed: int = 0,
        *,
        lengths: Lengths | None = None,
        batch_size: int = 1,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        self._given = num_replicas, rank
        # Lightning leaves a DistributedSampler as it is and sets its epoch; any other it would wrap,
        # and set none.
        places = cast("Dataset[int]", range(size))
        super().__init__(places, *_processes(*self._given), seed=seed, drop_last=True)
        self.size, self.batch_size = size, batch_size
        self.lengths = lengths
        self._done = (0, 0)
        self._lengths()

    def go_on(self, epoch: int, done: int) -> None:
        """Begin in the middle of an epoch: without the first ``done`` sequences of this process."""
        self.set_epoch(epoch)
        self._done = epoch, done

    def __len__(self) -> int:
        return self.size // _processes(*self._given)[0]

    def __iter__(self) -> Iterator[EpochIndex]:
        # A loader may be made before the processes meet.
        num_replicas, rank = _processes(*self._given)
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.size)[: self.size // num_replicas * num_replicas]
        lengths = self._lengths()
        if lengths is not None and len(set(lengths.tolist())) > 1:
            # What all processes take at a time is one batch here.
            order = _by_length(order, lengths, self.batch_size * num_replicas, rng)
        mine = order[rank::num_replicas]
        epoch, done = self._done
        left = mine[done:] if epoch == self.epoch else mine
        return iter([EpochIndex(i, self.epoch) for i in left.tolist()])

    def _lengths(self) -> np.ndarray | None:
        if self.lengths is None:
            return None
        found = np.asarray(self.lengths(self.epoch) if callable(self.lengths) else self.lengths)
        if len(found) != self.size:
            raise ValueError(
                f"there are {len(found)} lengths of {self.size} sequences; wanted one each"
            )
        return found


class EvaluationSampler(DistributedSampler[Any]):
    """Every sequence once, in order, shared between processes without repeating any.

    Lightning's own way to share repeats the first sequences, so that all processes get as many; metrics
    would refuse these.

    It may be made before the processes meet: their number is looked up when it is used.

    Args:
        size: Length of the data set.
        num_replicas, rank: As in :class:`EpochSampler`.

    Raises:
        ValueError: There are fewer sequences than processes.
    """

    def __init__(
        self, size: int, *, num_replicas: int | None = None, rank: int | None = None
    ) -> None:
        places = cast("Dataset[int]", range(size))
        super().__init__(places, *_processes(num_replicas, rank), shuffle=False)
        self.size = size
        self._given = num_replicas, rank
        self._share()

    def __len__(self) -> int:
        return len(self._share())

    def __iter__(self) -> Iterator[int]:
        return iter(self._share())

    def _share(self) -> range:
        num_replicas, rank = _processes(*self._given)
        if 0 < self.size < num_replicas:
            raise ValueError(
                f"{num_replicas} processes are to share {self.size} sequences; wanted at least one each"
            )
        return range(rank, self.size, num_replicas)


def known_lengths(dataset: object) -> Lengths | None:
    """Steps of each sequence, where they are known without reading any; else None.

    They are known of a list of samples, and of a data set with ``lengths``: a list, or a method of the epoch.
    """
    if isinstance(dataset, list | tuple):
        return [sample.features.shape[1] for sample in dataset]
    lengths: Lengths | None = getattr(dataset, "lengths", None)
    return lengths


def _by_length(
    order: np.ndarray, lengths: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    full = len(order) // size * size
    order, rest = order[:full], order[full:]
    for first in range(0, full, size * _WINDOW):
        window = order[first : first + size * _WINDOW]
        # Of the same length, what came first stays first.
        window[:] = window[np.argsort(lengths[window], kind="stable")]
    return np.concatenate([rng.permutation(order.reshape(-1, size)).ravel(), rest])


def _processes(num_replicas: int | None, rank: int | None) -> tuple[int, int]:
    if num_replicas is not None:
        return num_replicas, rank or 0
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size(), distributed.get_rank()
    return 1, 0
