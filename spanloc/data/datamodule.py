"""DataModules: what is trained on, chosen by, and evaluated on."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch import distributed as dist
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from spanloc.data.annotations import AnnotatedSequences, Annotations, Record, read_annotations
from spanloc.data.sample import Sample, Timeline, collate
from spanloc.data.synthetic import SyntheticSequences
from spanloc.ops import length


class SpanDataModule(LightningDataModule, ABC):
    """Loaders over three data sets of :class:`~spanloc.data.Sample`; subclasses say which.

    A subclass sets ``train_set``, ``val_set`` and ``test_set`` when it is made, and
    ``whole_train_set`` where its training set draws crops or augments. It also says its
    ``classes``, ``num_channels``, ``seconds_per_step`` and, from the training sequences alone, the
    :meth:`statistics` of the channels and the :meth:`span_lengths`.

    Args:
        batch_size: Sequences per batch.
        num_workers: Processes that load; 0 loads in the main one. The data do not depend on it.
        seed: Of the order of the sequences (and of whatever the subclass draws).
    """

    train_set: Dataset[Sample]
    whole_train_set: Dataset[Sample] | None = None
    val_set: Dataset[Sample]
    test_set: Dataset[Sample]
    classes: list[str]
    num_channels: int
    seconds_per_step: float

    def __init__(self, *, batch_size: int = 32, num_workers: int = 0, seed: int = 0) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"data.batch_size is {batch_size}; it must be at least 1")
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.whole_batch_size = batch_size

    @abstractmethod
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation per channel, ``(C,)``, of the training sequences."""

    @abstractmethod
    def span_lengths(self) -> list[Tensor]:
        """Lengths, in steps, of the spans of each training sequence."""

    def train_dataloader(self) -> DataLoader[Any]:
        """Training batches, in a new order every epoch."""
        return self._loader(self.train_set, EpochSampler(len(self.train_set), self.seed))

    def whole_train_dataloader(self, *, num_replicas: int = 1, rank: int = 0) -> DataLoader[Any]:
        """Every training sequence once, whole and in order: what is measured is measured on this.

        Args:
            num_replicas, rank: How many processes share the sequences, and which one this is.
        """
        dataset = self.whole_train_set or self.train_set
        return DataLoader(
            dataset,
            batch_size=self.whole_batch_size,
            sampler=range(rank, len(dataset), num_replicas),
            collate_fn=collate,
            num_workers=self.num_workers,
            # Measuring must not use up the random numbers of training.
            generator=torch.Generator(),
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Validation batches."""
        return self._loader(self.val_set)

    def test_dataloader(self) -> DataLoader[Any]:
        """Test batches."""
        return self._loader(self.test_set)

    def _loader(
        self, dataset: Dataset[Sample], sampler: Sampler[int] | None = None
    ) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            # In training a last, smaller batch would get steps as long as the others.
            drop_last=sampler is not None and len(dataset) >= self.batch_size,
            collate_fn=collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


class SyntheticData(SpanDataModule):
    """:class:`~spanloc.data.SyntheticSequences`, three sets of them with seeds of their own.

    Args:
        num_train, num_val, num_test: Sequences in each set.
        end_noise: Of the training set alone, as annotators err; the other sets are exact.
        batch_size, num_workers, seed: As in :class:`SpanDataModule`.
        knobs: Those of :class:`~spanloc.data.SyntheticSequences`.
    """

    def __init__(
        self,
        *,
        num_train: int = 2000,
        num_val: int = 200,
        num_test: int = 500,
        end_noise: float = 0.0,
        batch_size: int = 32,
        num_workers: int = 0,
        seed: int = 0,
        **knobs: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, num_workers=num_workers, seed=seed)
        self.train_set, self.val_set, self.test_set = (
            _Kept(SyntheticSequences(count, seed=[seed, part], end_noise=noise, **knobs))
            for part, (count, noise) in enumerate(
                ((num_train, end_noise), (num_val, 0.0), (num_test, 0.0))
            )
        )
        self.classes = self.train_set.sequences.classes
        self.num_channels = self.train_set.sequences.num_channels
        self.seconds_per_step = Timeline().seconds_per_step

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation per channel, ``(C,)``, of the training sequences."""
        steps = torch.cat([sample.features for sample in self._samples()], dim=1)
        return steps.mean(1), steps.std(1, correction=0).clamp(min=1e-6)

    def span_lengths(self) -> list[Tensor]:
        """Lengths, in steps, of the spans of each training sequence."""
        return [length(sample.spans) for sample in self._samples()]

    def _samples(self) -> list[Sample]:
        return [self.train_set[i] for i in range(len(self.train_set))]


class AnnotatedData(SpanDataModule):
    """A folder in the annotation format (:func:`~spanloc.data.read_annotations`).

    Validation is the ``validation`` subset where there is one, else a seeded share of the training
    sequences; sequences of one ``subject`` stay together. The ``testing`` subset is checked with
    the rest but loaded by the final evaluation only.

    Args:
        root: The folder that holds ``annotations.json`` and ``data/``.
        crop_seconds: Length of the random crops in training; null trains on whole sequences.
        crops_per_sequence: Crops of each sequence per epoch.
        min_kept: A crop keeps a span where at least this fraction of it is inside.
        val_share: Share of the training sequences that validates, in (0, 1).
        batch_size, num_workers, seed: As in :class:`SpanDataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        crop_seconds: float | None = None,
        crops_per_sequence: int = 1,
        min_kept: float = 0.5,
        val_share: float = 0.2,
        batch_size: int = 8,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, num_workers=num_workers, seed=seed)
        for name, value in (("val_share", val_share), ("min_kept", min_kept)):
            if not 0 < value < 1:
                raise ValueError(f"data.{name} is {value}; it must lie between 0 and 1")
        for name, value in (
            ("crop_seconds", crop_seconds),
            ("crops_per_sequence", crops_per_sequence),
        ):
            if value is not None and value <= 0:
                raise ValueError(f"data.{name} is {value}; it must be above 0")
        self.annotations: Annotations = read_annotations(root)
        self.classes = self.annotations.classes
        self.num_channels = self.annotations.num_channels
        self.seconds_per_step = self.annotations.seconds_per_step
        subsets = self.annotations.subsets
        self._train, self._val = subsets["training"], subsets["validation"]
        if not self._train:
            raise ValueError(f"{root}/annotations.json: no sequence has the subset 'training'")
        if not self._val:
            self._train, self._val = _held_out(self._train, val_share, seed)
        crop = None
        if crop_seconds is not None:
            crop = max(1, round(crop_seconds / self.seconds_per_step))
        self.train_set = AnnotatedSequences(
            self._train,
            crop=crop,
            crops_per_sequence=crops_per_sequence,
            min_kept=min_kept,
            seed=seed,
        )
        if crop is not None:
            self.whole_train_set = AnnotatedSequences(self._train)
            # About as many steps in a batch as in training, for the memory's sake.
            longest = max(record.num_steps for record in self._train)
            self.whole_batch_size = max(1, batch_size * min(crop, longest) // longest)
        self.val_set = AnnotatedSequences(self._val)
        self.test_set = AnnotatedSequences(subsets["testing"])

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation per channel, ``(C,)``, of the training sequences."""
        return self.train_set.statistics()

    def span_lengths(self) -> list[Tensor]:
        """Lengths, in steps, of the spans of each training sequence."""
        return [length(record.spans) for record in self._train]


class EpochSampler(DistributedSampler[Sample]):
    """A new order every epoch, drawn from ``(seed, epoch)``: a resumed run sees what it would have.

    The indices of epoch ``e`` are ``e * size ... (e + 1) * size - 1``; a data set takes them modulo
    its length, and one that draws crops draws new ones. Several processes share an epoch between
    them, without the rest that does not divide.

    Args:
        size: Length of the data set.
        seed: Of the orders.
        num_replicas, rank: How many processes there are, and which this is; None: as
            ``torch.distributed`` says, or one.
    """

    def __init__(
        self, size: int, seed: int = 0, *, num_replicas: int | None = None, rank: int | None = None
    ) -> None:
        if num_replicas is None:
            running = dist.is_available() and dist.is_initialized()
            num_replicas = dist.get_world_size() if running else 1
            rank = dist.get_rank() if running else 0
        # Lightning leaves a DistributedSampler as it is and tells it the epoch; any other it would
        # wrap, and not tell.
        super().__init__(range(size), num_replicas, rank, seed=seed, drop_last=True)
        self.size = size

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size)
        mine = order[self.rank : self.total_size : self.num_replicas]
        return iter((self.epoch * self.size + mine).tolist())


class _Kept(Dataset[Sample]):
    # Drawing a synthetic sequence costs about as much as a training step does on it: do it once.
    def __init__(self, sequences: SyntheticSequences) -> None:
        self.sequences = sequences
        self._samples: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> Sample:
        index %= len(self.sequences)
        if index not in self._samples:
            self._samples[index] = self.sequences[index]
        return self._samples[index]


def _held_out(
    records: Sequence[Record], share: float, seed: int
) -> tuple[list[Record], list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.subject or f"sequence {record.id}", []).append(record)
    if len(groups) < 2:
        raise ValueError(
            f"the training subset has {len(records)} sequences of one subject; validation needs "
            "sequences of a second one, or a 'validation' subset"
        )
    names = sorted(groups)
    np.random.default_rng(seed).shuffle(names)
    val: list[Record] = []
    while len(names) > 1 and (not val or len(val) < share * len(records)):
        val += groups[names.pop()]
    return [record for name in sorted(names) for record in groups[name]], val
