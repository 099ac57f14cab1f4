"""The DataModule over a folder in the annotation format."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from spanloc.data.annotations.folder import Annotations, Record, read_annotations
from spanloc.data.datamodule import SpanDataModule
from spanloc.data.sequences import AnnotatedSequences, TiledSequences
from spanloc.ops import length


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
        for name, size in (
            ("crop_seconds", crop_seconds),
            ("crops_per_sequence", crops_per_sequence),
        ):
            if size is not None and size <= 0:
                raise ValueError(f"data.{name} is {size}; it must be above 0")
        self.root, self.val_share, self.min_kept = Path(root), val_share, min_kept
        self.crop_seconds, self.crops_per_sequence = crop_seconds, crops_per_sequence
        self.annotations: Annotations | None = None

    def setup(self, stage: str | None = None) -> None:
        """Read and check ``annotations.json`` and the headers of the arrays.

        Raises:
            FileNotFoundError, ValueError: As in :func:`~spanloc.data.read_annotations`; or there is
                nothing to train on or to hold out.
        """
        if self.annotations is not None:
            return
        self.annotations = read_annotations(self.root)
        self.classes = self.annotations.classes
        self.num_channels = self.annotations.num_channels
        self.seconds_per_step = self.annotations.seconds_per_step
        subsets = self.annotations.subsets
        self._train, self._val = subsets["training"], subsets["validation"]
        if not self._train:
            raise ValueError(f"{self.root}/annotations.json: no sequence has the subset 'training'")
        if not self._val:
            self._train, self._val = _held_out(self._train, self.val_share, self.seed)
        crop = None
        if self.crop_seconds is not None:
            crop = max(1, round(self.crop_seconds / self.seconds_per_step))
        self.train_set = AnnotatedSequences(
            self._train,
            crop=crop,
            crops_per_sequence=self.crops_per_sequence,
            min_kept=self.min_kept,
            seed=self.seed,
        )
        longest = max(record.num_steps for record in self._train)
        if crop is not None:
            _require_room(self._train, crop, self.min_kept, self.seconds_per_step)
            self.whole_train_set = TiledSequences(self._train, crop, min_kept=self.min_kept)
            longest = min(crop, longest)
        self.val_set = AnnotatedSequences(self._val)
        self.test_set = AnnotatedSequences(subsets["testing"])
        # Evaluation keeps no gradients, so that several times the steps of a training batch need less
        # memory than it does.
        self.window = 4 * self.batch_size * longest
        most = max(record.num_steps for record in (*self._val, *subsets["testing"]))
        self.evaluation_batch_size = max(1, min(self.batch_size, self.window // most))

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation per channel, ``(C,)``, of the training sequences."""
        return AnnotatedSequences(self._train).statistics()

    def span_lengths(self) -> list[Tensor]:
        """Lengths, in steps, of the spans of each training sequence."""
        return [length(record.spans) for record in self._train]


def _require_room(records: Sequence[Record], crop: int, min_kept: float, step: float) -> None:
    # Crops no longer than a part of any span would have nothing to learn from.
    lengths = [size for record in records for size in length(record.spans).tolist()]
    if lengths and crop < min_kept * min(lengths):
        raise ValueError(
            f"data.crop_seconds is {crop * step:g}: no crop holds {min_kept:.0%} of a span "
            f"(data.min_kept); the shortest has {min(lengths) * step:g} s"
        )


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
