"""The DataModule over a folder of annotated recordings."""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor

from spanloc.data.annotations.folder import SUBSETS, Annotations, BadSpan, Record, read_annotations
from spanloc.data.annotations.problems import bad_span_notes
from spanloc.data.annotations.rows import nearest
from spanloc.data.crops import Crops, require_room
from spanloc.data.datamodule import SpanDataModule
from spanloc.data.extremes import extremes_of
from spanloc.data.fingerprint import Fingerprint
from spanloc.data.folds import required_fold
from spanloc.data.held_out import (
    divided,
    lacking_notes,
    nested_share,
    training_notes,
)
from spanloc.data.inputs import facts_of
from spanloc.data.quotes import as_mapping
from spanloc.data.sequences import AnnotatedSequences, TiledSequences, change_ratio, offset_share
from spanloc.data.signals import ArraySignal, NpySignal, Stretch
from spanloc.data.sound import features_for, note_on_sound, require_features
from spanloc.data.transforms import DrawsOthers, Transform, Transformed
from spanloc.data.uniform import late_beginnings, uniform, with_features


class AnnotatedData(SpanDataModule):
    """A folder of annotated recordings (:func:`~spanloc.data.read_annotations`).

    The model is chosen by the ``validation`` subset and evaluated on ``testing``. Where one of them is
    missing, a share of the training recordings takes its place, drawn by ``split_seed``; recordings of one
    ``subject`` stay together, and of few recordings the ends are held out. The recordings of the final
    evaluation are checked with the rest, and loaded by it only.

    Args:
        root: The folder; or the annotations that were read from it or made of arrays.
        crop_seconds: Length of the random crops that are trained on; infinite: whole recordings.
        crops_per_epoch: How many crops an epoch has. None: as many as cover the recordings once.
        min_kept: A crop keeps a span where at least this fraction of it is inside.
        with_spans: At least this fraction of the crops hold a span, where spans are rare.
        rate, on_rate, channels, missing: Common rate and channels of the recordings, and what becomes of
            missing values (:func:`~spanloc.data.uniform.uniform`).
        features: ``log_spectrogram`` computes bands of frequencies from the signals, as they are read
            (:class:`~spanloc.data.signals.LogSpectrogram`); ``none``: the signals themselves. None: the
            former for sound (files ``.wav`` and ``.flac`` of at least 1000 samples a second).
        feature_options: Of these. For sound, ``hop`` and ``window`` follow from the lengths of the spans.
        val_share, test_share: Shares of the training recordings that validate and are evaluated on where no
            subset is, in [0, 1). Without validation nothing chooses among the epochs.
        train_share: Share of the training recordings that is trained on, in (0, 1], drawn by ``seed`` so that a
            larger one contains a smaller one. Model size and number of steps follow all of them.
        transforms: Changes that training makes to its samples, one after the other
            (:mod:`spanloc.data.transforms`).
        batch_size, num_workers, seed: As in :class:`SpanDataModule`.
        split_seed: Of the recordings that are held out; apart from ``seed``, so that runs with other
            seeds are evaluated on the same ones.
        folds, fold: For cross-validation: all recordings, whatever their subset, are divided into ``folds`` by
            subject, and number ``fold``, from 0, is evaluated on.
        reading: How the files are to be read: ``fps`` (steps per second, where files do not say them),
            ``format``, ``unit``, ``ends``, ``label_map``, ``bad_spans`` and the others of
            :func:`~spanloc.data.read_annotations`. An error about ``data.fps`` is about ``fps``.
    """

    def __init__(
        self,
        root: str | Path | Annotations,
        *,
        crop_seconds: float = math.inf,
        crops_per_epoch: int | None = None,
        min_kept: float = 0.5,
        with_spans: float = 0.5,
        rate: float | None = None,
        on_rate: str = "resample",
        channels: Sequence[str | int] | None = None,
        missing: str = "error",
        features: str | None = None,
        feature_options: Mapping[str, Any] | None = None,
        val_share: float = 0.15,
        test_share: float = 0.2,
        train_share: float = 1.0,
        transforms: Mapping[str, Transform | None] | Sequence[Transform] = (),
        batch_size: int = 8,
        num_workers: int = 0,
        seed: int = 0,
        split_seed: int = 0,
        folds: int | None = None,
        fold: int | None = None,
        **reading: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, num_workers=num_workers, seed=seed)
        count = 1 if crops_per_epoch is None else crops_per_epoch
        for name, value, fits, wanted in (
            ("min_kept", min_kept, 0 < min_kept < 1, "lie between 0 and 1"),
            ("val_share", val_share, 0 <= val_share < 1, "lie in [0, 1)"),
            ("test_share", test_share, 0 <= test_share < 1, "lie in [0, 1)"),
            ("with_spans", with_spans, 0 <= with_spans < 1, "lie in [0, 1)"),
            ("train_share", train_share, 0 < train_share <= 1, "lie in (0, 1]"),
            ("crop_seconds", crop_seconds, crop_seconds > 0, "be above 0"),
            ("crops_per_epoch", count, 0 < count <= 10**9, "be above 0, and at most 10^9"),
        ):
            if not fits:
                raise ValueError(f"data.{name} is {value}; it must {wanted}")
        for name in ("label_map", "columns", "subset_map"):
            reading[name] = as_mapping(reading.get(name), name)
        feature_options = as_mapping(feature_options, "feature_options")
        known = {*inspect.signature(read_annotations).parameters} - {"root", "found", "refused"}
        for name in reading.keys() - known:
            others = sorted(known.union(inspect.signature(AnnotatedData).parameters) - {"reading"})
            raise ValueError(f"data.{name}: there is no such setting{nearest(name, others)}")
        for one in transforms.values() if isinstance(transforms, Mapping) else transforms:
            if not (one is None or callable(one) or isinstance(one, DrawsOthers)):
                wanted = "wanted objects, such as spanloc.data.transforms.Speed()"
                raise TypeError(f"transforms has {one!r:.60}; {wanted}")
        self.features, self.feature_options = features, dict(feature_options or {})
        require_features(features, self.feature_options)
        self.rate, self.on_rate, self.channels, self.reading = rate, on_rate, channels, reading
        self.missing = missing
        #: The recordings; those of a folder once they are read.
        self.annotations = root if isinstance(root, Annotations) else None
        self.root = Path() if isinstance(root, Annotations) else Path(str(root))
        self.val_share, self.test_share, self.split_seed = val_share, test_share, split_seed
        self.train_share, self.fold = train_share, required_fold(folds, fold)
        self.min_kept, self.with_spans, self.transforms = min_kept, with_spans, transforms
        self.crop_seconds, self.crops_per_epoch = crop_seconds, crops_per_epoch
        self._in_memory = self._as_given = self.annotations is not None
        #: Notes of what was done to the data, a line each.
        self.notes: list[str] = []

    def setup(self, stage: str | None = None) -> None:
        """Read and check annotations and headers; sets ``classes``, ``num_channels``, ``train_set``, ``notes``.

        Raises:
            FileNotFoundError, ValueError: As in :func:`~spanloc.data.read_annotations`; or there is
                nothing to train on or to hold out.
        """
        if hasattr(self, "train_set"):
            return
        self._split(self._begin().subsets)
        signals = (r.signal for r in chain.from_iterable(self._begin().subsets.values()))
        #: True where reading takes more than a copy.
        self.slow = any(not isinstance(signal, NpySignal | ArraySignal) for signal in signals)
        crop = max(1.0, self.crop_seconds / self.seconds_per_step)
        crop = round(crop) if math.isfinite(crop) else crop
        longest = int(min(crop, max(record.num_steps for record in self._train)))
        require_room(self._train, crop, self.min_kept, self.seconds_per_step)
        self.whole_train_set = TiledSequences(self._train, longest, min_kept=self.min_kept)
        crops = Crops(
            self._train,
            crop,
            count=self.crops_per_epoch,
            min_kept=self.min_kept,
            with_spans=self.with_spans,
            seed=self.seed,
        )
        self.train_set = crops
        if self.transforms:
            self.train_set = Transformed(
                crops, self.transforms, self.seed, most=longest, min_kept=self.min_kept
            )
        self.val_set, self.test_set = AnnotatedSequences(self._val), AnnotatedSequences(self._test)
        self.train_window = longest
        self._evaluate_on([*self._val, *self._test], longest)

    def setup_all(self) -> None:
        """Read the folder to evaluate on all its recordings, whatever their subset: ``test_set`` has them.

        Nothing is held out, and there is no training set.

        Raises:
            FileNotFoundError, ValueError: As in :func:`~spanloc.data.read_annotations`.
        """
        records = list(chain.from_iterable(self._begin().subsets.values()))
        self.test_set = AnnotatedSequences(records)
        crop = self.crop_seconds / self.seconds_per_step
        self._evaluate_on(records, int(min(crop, max(record.num_steps for record in records))))

    def _evaluate_on(self, records: Sequence[Record], longest: int) -> None:
        # Evaluation keeps no gradients, so that several times the steps of a training batch need less
        # memory than it does.
        self.window = 4 * self.batch_size * longest
        most = max((record.num_steps for record in records), default=1)
        self.evaluation_batch_size = max(1, min(self.batch_size, self.window // most))

    def _begin(self) -> Annotations:
        if self.annotations is None:
            self.annotations = self._alike(self._read())
        elif self._as_given:
            self.annotations = self._alike(self.annotations)
        self._as_given = False
        self.classes = self.annotations.classes
        self.num_channels = self.annotations.num_channels
        self.seconds_per_step = self.annotations.seconds_per_step
        return self.annotations

    def fingerprint(self) -> Fingerprint | None:
        """The files of the data; None for arrays."""
        if self._in_memory or self.annotations is None:
            return None
        records = chain.from_iterable(self.annotations.subsets.values())
        paths = [record.signal.path for record in records]
        subsets = getattr(self, "subsets", None)
        return Fingerprint.of(self.root, self.annotations.files, paths, subsets)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation per channel, ``(C,)``, of the training sequences."""
        return AnnotatedSequences(self._train).statistics()

    def offsets(self) -> float:
        """As :func:`~spanloc.data.sequences.offset_share`, of the training recordings."""
        return offset_share(self._all_train)

    def changes(self, steps: int) -> float:
        """As :func:`~spanloc.data.sequences.change_ratio`, of the training recordings."""
        return change_ratio(self._all_train, steps)

    def extremes(self) -> tuple[float, str]:
        """As :func:`~spanloc.data.extremes.extremes_of`, of the training recordings."""
        return extremes_of(self._all_train)

    def span_labels(self) -> list[Tensor]:
        """Labels of the spans of each training sequence, in the order of :meth:`span_lengths`."""
        return [labels for _, labels in self._targets()]

    def _targets(self) -> list[tuple[Tensor, Tensor]]:
        # Whatever train_share is.
        return [(record.spans, record.labels) for record in self._all_train]

    def sizes(self) -> dict[str, list[int]]:
        """Steps of each sequence: of ``train``, whatever ``train_share`` is, and ``val``."""
        parts = {"train": self._all_train, "val": self._val}
        return {name: [record.num_steps for record in found] for name, found in parts.items()}

    def _read(self) -> Annotations:
        """The recordings of the folder."""
        found: list[BadSpan] = []
        ours: dict[str, Any] = {"channels": self.channels, "on_rate": self.on_rate}
        read = read_annotations(self.root, found=found, **ours, **self.reading)
        if not any(read.subsets.values()):
            raise ValueError(f"{self.root}: there are no recordings")
        self.notes += bad_span_notes(found, str(self.reading.get("bad_spans", "error")))
        return read

    def _alike(self, read: Annotations) -> Annotations:
        """Recordings of one rate, with the same channels, or features of them."""
        records = [record for subset in SUBSETS for record in read.subsets.get(subset, ())]
        self.notes += [] if read.clocks else late_beginnings(records)
        wanted: dict[str, Any] = {"channels": self.channels, "on_rate": self.on_rate}
        records, notes = uniform(records, rate=self.rate, missing=self.missing, **wanted)
        self.notes += notes
        train = [record for record in records if record.subset == "training"]
        name, options = features_for(train, self.features, self.feature_options)
        if self.features is None:
            self.notes += note_on_sound(train)
        #: True where features were not set, and chosen.
        self.chosen_features = self.features is None and name is not None
        self.features, self.feature_options = name, options
        if records:
            first = records[0]
            time = (self.reading.get("columns") or {}).get("time")
            time = None if time is None else str(time)  # a file without names has numbers
            #: The signals that the model is trained on.
            self.input = facts_of(
                first.signal, first.timeline, name, options, self.missing, time, self.channels
            )
            if len({tuple(record.signal.channels or ()) for record in records}) > 1:
                # Chosen by number, under several names.
                self.input = replace(self.input, channels=None)
        if name is not None:
            records = [with_features(record, name, options) for record in records]
        subsets = {name: [r for r in records if r.subset == name] for name in SUBSETS}
        return Annotations(read.classes, subsets, read.files)

    def _split(self, subsets: dict[str, list[Record]]) -> None:
        if not subsets["training"] and not self.fold:
            raise ValueError(f"{self.root}: no sequence has the subset 'training'")
        #: The recordings of each subset, where some are held out too.
        self.subsets, notes = divided(
            subsets,
            test_share=self.test_share,
            val_share=self.val_share,
            seed=self.split_seed,
            fold=self.fold,
        )
        self.notes += notes
        train, self._val, self._test = self.subsets.values()
        #: True where recordings are divided in time.
        self.in_parts = any(isinstance(record.signal, Stretch) for record in train)
        self._all_train, self._train = train, nested_share(train, self.train_share, self.seed)
        #: Recordings that are trained on.
        self.num_trained = len(self._train)
        self.notes += training_notes(self._train, len(train), self._val, self._test)
        self.notes += lacking_notes(self.classes, self._train, self._val, self._test)
