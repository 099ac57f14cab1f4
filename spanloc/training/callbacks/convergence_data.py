"""The training samples that the measurement at convergence is taken of."""

from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

# A measurement of so few steps takes no time worth saving.
_LEAST_STEPS = 4096


def whole_train_dataloader(trainer: Any) -> Any:
    """Every training sequence once, in order: this process's share.

    A DataModule says what that is with ``whole_train_dataloader(*, num_replicas, rank)``, as those
    of spanloc do. Without, it is all of the data set that the training loader draws from, whatever
    its sampler picks; what such a data set augments by itself is augmented here too.

    Raises:
        ValueError: The data are a stream, or no loader of a data set at all.
    """
    share = {"num_replicas": trainer.world_size, "rank": trainer.global_rank}
    own = getattr(trainer.datamodule, "whole_train_dataloader", None)
    if own is not None:
        return own(**share)
    loader = trainer.train_dataloader
    stream = not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset)
    if stream or not hasattr(loader.dataset, "__len__"):
        what = loader.dataset if isinstance(loader, DataLoader) else loader
        raise ValueError(
            f"the training data are {type(what).__name__}, a stream or loader without a known end; give "
            "the DataModule a method whole_train_dataloader(*, num_replicas, rank)"
        )
    if loader.batch_sampler is None:
        return loader  # of batches that the data set makes
    sampler = range(share["rank"], len(loader.dataset), share["num_replicas"])
    return _over(loader, sampler, loader.batch_size or 1)


def sampled(loader: Any, num_batches: float) -> tuple[Any, int | None]:
    """A loader of so many batches of samples, drawn at random; and how many samples there are.

    The draw is always the same, in the order of the loader, and has at least one sample, or several short
    ones. A loader of another kind, which cannot be sampled from, stays as it is, and how many it has is
    not known: None. The loader is that of this process's share, the batches are those of all processes.
    """
    whole = not isinstance(loader, DataLoader) or loader.batch_size is None
    if whole or isinstance(loader.dataset, IterableDataset):
        return loader, None
    dataset: Any = loader.dataset
    count = len(dataset)
    most = num_batches * loader.batch_size
    if most < count:
        # Not by the batches of this process: all are to draw the same.
        most = max(most, _LEAST_STEPS // loader.collate_fn([dataset[0]]).mask.shape[1], 1)
    if most >= count:
        return loader, count
    drawn = torch.randperm(count, generator=torch.Generator().manual_seed(0))[: int(most)]
    chosen = set(drawn.tolist())
    return _over(loader, [i for i in loader.sampler if i in chosen], loader.batch_size), count


def _over(loader: DataLoader[Any], sampler: Any, batch_size: int) -> DataLoader[Any]:
    return DataLoader(
        loader.dataset,
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        # Measuring must not use up the random numbers of training.
        generator=torch.Generator(),
    )
