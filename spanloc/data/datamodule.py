"""DataModules: the sequences that a run trains on, validates on and is evaluated on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from spanloc.data.fingerprint import Fingerprint
from spanloc.data.sampling import EpochSampler, EvaluationSampler, known_lengths
from spanloc.data.sequences import channel_statistics
from spanloc.data.synthetic import SyntheticSequences
from spanloc.facts import DataFacts
from spanloc.lightning import LightningDataModule
from spanloc.ops import length, overlap
from spanloc.structures import Sample, Timeline, collate

# Neighbours may overlap by so many steps, as their boundaries are rounded.
_ROUNDING = 1.5


@runtime_checkable
class Samples(Protocol):
    """A list of samples, or a data set."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sample: ...


class SpanDataModule(LightningDataModule):
    """Loaders over three sets of :class:`~spanloc.structures.Sample`, data sets or lists.

    A subclass sets ``train_set``, ``val_set`` and ``test_set`` and its ``classes``, when it is made or in
    ``setup``, which a Trainer calls; and ``whole_train_set`` where its training set draws crops or augments. A
    training set that draws something new in each epoch finds the epoch in its index
    (:class:`~spanloc.data.EpochIndex`).

    The facts that a model needs of the training data are read off the samples: :meth:`statistics` of the
    channels, :meth:`span_lengths`, :meth:`facts`. A subclass that knows a shorter way says so.

    Args:
        batch_size: Sequences per batch.
        num_workers: Processes that load; 0 loads in the main one. The data do not depend on it.
        seed: Of the order of the sequences (and of whatever the subclass draws).
    """

    train_set: Samples
    whole_train_set: Samples | None = None
    val_set: Samples
    test_set: Samples
    classes: list[str]
    num_channels: int | None = None
    #: Steps that a model evaluates at once; longer sequences go through it in windows. None: any.
    window: int | None = None
    #: Steps of a training sample at most. None: not known.
    train_window: int | None = None
    seconds_per_step: float = Timeline().seconds_per_step

    def __init__(self, *, batch_size: int = 32, num_workers: int = 0, seed: int = 0) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"data.batch_size is {batch_size}; it must be at least 1")
        if not 0 <= num_workers <= 1024:
            raise ValueError(f"data.num_workers is {num_workers}; it must lie between 0 and 1024")
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.evaluation_batch_size = batch_size
        self._first_epoch = self._first_batch = 0

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation per channel, ``(C,)``, of the training sequences."""
        return channel_statistics(sample.features.numpy() for sample in self._samples())

    def span_lengths(self) -> list[Tensor]:
        """Lengths, in steps, of the spans of each training sequence."""
        return [length(spans) for spans, _ in self._targets()]

    def fingerprint(self) -> Fingerprint | None:
        """The files of the data, for a run that is resumed later; None: the settings say all."""
        return None

    def sizes(self) -> dict[str, list[int]]:
        """Steps of each sequence: of ``train`` and ``val``."""
        return {
            name: [dataset[i].features.shape[1] for i in range(len(dataset))]
            for name, dataset in (("train", self.train_set), ("val", self.val_set))
        }

    def facts(self) -> DataFacts:
        """Facts of the training data.

        Raises:
            ValueError: The training sequences have no spans.
        """
        targets = self._targets()
        lengths = torch.cat([length(spans) for spans, _ in targets])
        if not len(lengths):
            raise ValueError("the training sequences have no spans at all")
        if not self.classes:
            raise ValueError("no span has a label that is a class: all are unknown or ignored")
        channels = self.num_channels or len(next(self._samples()).features)
        shortest, longest = float(lengths.quantile(0.05)), float(lengths.max())
        overlapping = any(_overlapping(spans[labels >= 0]) for spans, labels in targets)
        return DataFacts(channels, len(self.classes), shortest, longest, overlapping)

    def train_dataloader(self) -> DataLoader[Any]:
        """Training batches, in a new order every epoch.

        Where the training set knows the lengths of its sequences without reading them, as a list of
        samples does, or by ``lengths`` (a list, or a method of the epoch), those of a batch have similar
        ones (:class:`~spanloc.data.EpochSampler`).
        """
        dataset = self.train_set
        lengths = known_lengths(dataset)
        sampler = EpochSampler(len(dataset), self.seed, lengths=lengths, batch_size=self.batch_size)
        # Lightning sets the epoch when workers have begun to load already: of a resumed run, epoch 0.
        sampler.go_on(self._first_epoch, self._first_batch * self.batch_size)
        self._first_epoch = self._first_batch = 0
        return self._loader(dataset, sampler)

    def state_dict(self) -> dict[str, Any]:
        """The epoch that a resumed run begins with, and how many of its batches were trained on."""
        trainer: Any = self.trainer
        epochs = trainer.fit_loop.epoch_progress.current
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        inside = epochs.started > epochs.processed and batches < trainer.num_training_batches
        return {"epoch": epochs.processed, "batch": batches if inside else 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the epoch of the run that is resumed, and its place in it."""
        trainer: Any = self.trainer
        if trainer.state.fn == "fit":
            self._first_epoch = int(state_dict["epoch"])
            self._first_batch = int(state_dict.get("batch", 0))

    def whole_train_dataloader(self, *, num_replicas: int = 1, rank: int = 0) -> DataLoader[Any]:
        """Every step of the training sequences once, in order, without a random crop: to measure on.

        Args:
            num_replicas, rank: Number of processes that share the sequences, and the place of this one.
        """
        dataset = self.whole_train_set or self.train_set
        return DataLoader(
            cast("Dataset[Sample]", dataset),
            batch_size=self.batch_size,
            sampler=range(rank, len(dataset), num_replicas),
            collate_fn=collate,
            num_workers=self.num_workers,
            # Measuring must not use up the random numbers of training.
            generator=torch.Generator(),
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Validation batches; none where nothing is held out."""
        return self._loader(self.val_set) if len(self.val_set) else []

    def test_dataloader(self) -> DataLoader[Any]:
        """Test batches."""
        return self._loader(self.test_set)

    def predict_dataloader(self) -> DataLoader[Any]:
        """The test batches, to predict on."""
        return self.test_dataloader()

    def _targets(self) -> list[tuple[Tensor, Tensor]]:
        # Spans in steps, and labels, of each training sequence.
        return [(sample.spans, sample.labels) for sample in self._samples()]

    def _samples(self) -> Iterator[Sample]:
        dataset = self.whole_train_set or self.train_set
        classes = getattr(self, "classes", None)
        for i in range(len(dataset)):
            sample = dataset[i]
            most = max(sample.labels.tolist(), default=-1)
            if classes and most >= len(classes):
                names = f"classes names {len(classes)}, from 0"
                raise ValueError(f"sequence {sample.id!r}: a label is {most}; {names}")
            yield sample

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            ours = name in SpanDataModule.__annotations__
            remedy = ": call setup(), or set it there or when it is made" if ours else ""
            raise AttributeError(f"{type(self).__name__} has no {name}{remedy}")

    def _loader(self, dataset: Samples, order: EpochSampler | None = None) -> DataLoader[Any]:
        training = order is not None
        sampler = EvaluationSampler(len(dataset)) if order is None else order
        # A machine with a GPU may train on its CPU.
        device = getattr(getattr(self.trainer, "strategy", None), "root_device", None)
        kind = _TrainingLoader if training else DataLoader
        return kind(
            cast("Dataset[Sample]", dataset),
            batch_size=self.batch_size if training else self.evaluation_batch_size,
            sampler=sampler,
            # In training a last, smaller batch would get steps as long as the others.
            drop_last=training and len(sampler) >= self.batch_size,
            collate_fn=collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=isinstance(device, torch.device) and device.type == "cuda",
        )


def _overlapping(spans: Tensor) -> bool:
    spans = spans[spans[:, 0].argsort()]
    before, after = spans[:-1], spans[1:]
    # Rounding to steps moves an end and a start; of short spans, half is more than that.
    most = torch.minimum(length(before), length(after)).div(2).clamp(max=_ROUNDING)
    return bool((overlap(before, after) > most).any())


class _TrainingLoader(DataLoader[Any]):
    # To Lightning a loader that can go on in the middle of an epoch is one with these methods; only the
    # DataModule knows where it goes on, as a loader is ahead of the training.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass


class SyntheticData(SpanDataModule):
    """Three sets of :class:`~spanloc.data.SyntheticSequences` with seeds of their own.

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
        parts = (num_train, end_noise), (num_val, 0.0), (num_test, 0.0)
        sequences = [
            SyntheticSequences(count, seed=[seed, part], end_noise=noise, **knobs)
            for part, (count, noise) in enumerate(parts)
        ]
        self.train_set, self.val_set, self.test_set = map(_Kept, sequences)
        self.classes, self.num_channels = sequences[0].classes, sequences[0].num_channels

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation per channel, ``(C,)``, of the training sequences."""
        # All of them are kept in memory anyway.
        steps = torch.cat([sample.features for sample in self._samples()], dim=1)
        return steps.mean(1), steps.std(1, correction=0).clamp(min=1e-6)


class _Kept(Dataset[Sample]):
    # Drawing a synthetic sequence costs about as much as a training step does on it: do it once.
    def __init__(self, sequences: SyntheticSequences) -> None:
        self.sequences = sequences
        self._samples: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> Sample:
        if index not in self._samples:
            self._samples[index] = self.sequences[index]
        return self._samples[index]
