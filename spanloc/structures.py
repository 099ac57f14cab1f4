"""Data that flows between the parts: samples, batches, outputs, predictions and targets."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

if TYPE_CHECKING:
    from pandas import DataFrame

Unit = Literal["steps", "seconds"]
_Some = TypeVar("_Some", bound="_Spans")
_Rows = TypeVar("_Rows")


class Timeline(NamedTuple):
    """Times of steps: step ``i`` covers ``offset + [i, i + 1) * seconds_per_step`` seconds."""

    seconds_per_step: float = 1.0
    offset: float = 0.0


def to_seconds(
    spans: Float[Tensor, "n 2"], places: Int64[Tensor, " n"], timelines: Sequence[Timeline]
) -> Float[Tensor, "n 2"]:
    """Spans in steps as spans in seconds, float64; ``places`` in ``timelines`` of their sequences.

    >>> to_seconds(torch.tensor([[0.0, 3.0]]), torch.tensor([1]), [Timeline(), Timeline(0.5, 10.0)])
    tensor([[10.0000, 11.5000]], dtype=torch.float64)
    """
    lines = torch.tensor(timelines, dtype=torch.float64, device=spans.device).reshape(-1, 2)
    step, offset = lines[places, :, None].unbind(1)
    return spans.double() * step + offset


@dataclass(frozen=True)
class Sample:
    """One sequence.

    Args:
        id: Names the sequence in errors, predictions and metrics; no two sequences share one.
        features: One column a step, at least one step; finite.
        spans: Half-open, in steps, ``0 <= start <= end <= steps``; none is fine.
        labels: Index of each span's class, from 0; -1 where it is not known.
        timeline: When the steps happen: ``Timeline(1 / 50)`` at 50 a second; else a step is a second.
        weight: Weight of the sequence in the loss, from 0 to 1e6: 2 as if it were there twice.
            Keep the mean near 1: the loss is divided by the weighted number of pairs, or by 1 if that is less.
        ignored: Stretches, in steps, that nobody annotated: predictions there are neither right nor wrong.

    Raises:
        ValueError: A shape or a value is off; it names the sequence and the field.
    """

    id: str
    features: Float32[Tensor, "channels steps"]
    spans: Float[Tensor, "targets 2"]
    labels: Int64[Tensor, " targets"]
    timeline: Timeline = Timeline()
    weight: float = 1.0
    ignored: Float[Tensor, "stretches 2"] = field(default_factory=lambda: torch.zeros(0, 2))

    def __post_init__(self) -> None:
        kinds = {"id": str, **dict.fromkeys(("features", "spans", "labels", "ignored"), Tensor)}
        for name, kind in kinds.items():
            if not isinstance(value := getattr(self, name), kind):
                self._refuse(name, type(value).__name__, kind.__name__)
        kind_of = self.features.ndim, self.features.dtype
        if kind_of != (2, torch.float32) or not self.features.shape[1]:
            self._refuse("features", self.features, "(channels, steps >= 1), torch.float32")
        # The sum is cheap, but may overflow where all values are finite.
        if not self.features.sum().isfinite() and not (fine := self.features.isfinite()).all():
            place = tuple((~fine).nonzero()[0].tolist())
            self._refuse("features", f"{self.features[place]:g} at {place}", "finite values")
        steps = self.features.shape[1]
        for name, spans in (("spans", self.spans), ("ignored", self.ignored)):
            if (*spans.shape[1:], spans.is_floating_point()) != (2, True):
                self._refuse(name, spans, "(0 or more, 2), floats")
            if not (F.pad(spans, (1, 0)).diff(dim=1) >= 0).all() or (spans > steps).any():
                self._refuse(name, spans.tolist(), f"0 <= start <= end <= {steps} steps")
        if (*self.labels.shape, self.labels.dtype) != (len(self.spans), torch.int64):
            self._refuse("labels", self.labels, f"({len(self.spans)}, torch.int64), one a span")
        if (self.labels < -1).any():
            self._refuse("labels", self.labels.tolist(), "numbers from 0, or -1 for not known")
        if not 0 <= self.weight <= 1e6:
            self._refuse("weight", self.weight, "a number from 0 to 1e6")

    def _refuse(self, field: str, came: object, wanted: str) -> None:
        said = (*came.shape, came.dtype) if isinstance(came, Tensor) else came
        raise ValueError(f"sequence {self.id!r}: {field} is {said}; wanted {wanted}")


@dataclass(frozen=True)
class Batch:
    """Sequences of different lengths, padded at the end with zeros. :func:`collate` makes one.

    ``mask`` is true at the steps of a sequence, ``target_mask`` at its targets (room for at least one). Without
    ``weights`` all count the same; ``ignored`` are stretches that nobody annotated, padded with empty ones.
    """

    features: Float32[Tensor, "batch channels steps"]
    mask: Bool[Tensor, "batch steps"]
    spans: Float[Tensor, "batch targets 2"]
    labels: Int64[Tensor, "batch targets"]
    target_mask: Bool[Tensor, "batch targets"]
    ids: tuple[str, ...]
    timelines: tuple[Timeline, ...]
    weights: Float32[Tensor, " batch"] | None = None
    ignored: Float[Tensor, "batch stretches 2"] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch with its tensors on ``device``; copies from page-locked memory do not block."""
        return _mapped(self, lambda x: x.to(device, non_blocking=non_blocking or x.is_pinned()))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from where copies to a GPU are fast."""
        return _mapped(self, Tensor.pin_memory)

    def targets(self, unit: Unit = "steps") -> "Targets":
        """The true spans of the batch, without the padding, in steps or in seconds (float64)."""
        places, spans = self.target_mask.nonzero()[:, 0], self.spans[self.target_mask]
        ignored = () if self.ignored is None else self._ignored()
        if unit == "seconds":
            spans = to_seconds(spans, places, self.timelines)
            pairs = zip(ignored, self.timelines, strict=False)
            ignored = tuple(to_seconds(s, s[:, 0].long() * 0, [line]) for s, line in pairs)
        return Targets(spans, self.labels[self.target_mask], places, self.ids, unit, ignored)

    def split(self) -> list[Sample]:
        """The sequences without their padding: undoes :func:`collate`."""
        samples, weights = [], self.weights
        for i, ignored in enumerate(self._ignored()):
            there, weight = self.target_mask[i], 1.0 if weights is None else weights[i].item()
            own = self.features[i, :, self.mask[i]], self.spans[i, there], self.labels[i, there]
            samples.append(Sample(self.ids[i], *own, self.timelines[i], weight, ignored))
        return samples

    def _ignored(self) -> tuple[Tensor, ...]:
        padded = self.spans[:, :0] if self.ignored is None else self.ignored
        return tuple(spans[spans[:, 0] < spans[:, 1]] for spans in padded)


def _mapped(rows: _Rows, function: Callable[[Tensor], Tensor]) -> _Rows:
    fields = {name: function(v) for name, v in vars(rows).items() if isinstance(v, Tensor)}
    return cast(_Rows, replace(cast(Any, rows), **fields))


def collate(samples: Sequence[Sample]) -> Batch:
    """Pad sequences into a :class:`Batch`; the ``collate_fn`` of a ``DataLoader``.

    Raises:
        ValueError: The sequences differ in their number of channels.

    >>> one = Sample("a", torch.ones(2, 3), torch.tensor([[0.0, 2.0]]), torch.tensor([1]))
    >>> two = Sample("b", torch.ones(2, 5), torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
    >>> batch = collate([one, two])
    >>> batch.features.shape, batch.mask.sum(1).tolist(), batch.target_mask.tolist()
    (torch.Size([2, 2, 5]), [3, 5], [[True], [False]])
    """
    first = samples[0]
    for sample in samples:
        if len(sample.features) != len(first.features):
            raise ValueError(
                f"sequence {sample.id!r} has {len(sample.features)} channels; {first.id!r} has "
                f"{len(first.features)}, and all must have the same number"
            )
    steps = torch.tensor([sample.features.shape[1] for sample in samples])
    counts = torch.tensor([len(sample.spans) for sample in samples])
    longest, room = int(steps.max()), max(1, int(counts.max()))
    ignored = pad_sequence([sample.ignored.float() for sample in samples], batch_first=True)
    return Batch(
        torch.stack([F.pad(s.features, (0, longest - s.features.shape[1])) for s in samples]),
        torch.arange(longest) < steps[:, None],
        torch.stack([F.pad(s.spans.float(), (0, 0, 0, room - len(s.spans))) for s in samples]),
        torch.stack([F.pad(s.labels, (0, room - len(s.labels))) for s in samples]),
        torch.arange(room) < counts[:, None],
        tuple(sample.id for sample in samples),
        tuple(sample.timeline for sample in samples),
        torch.tensor([sample.weight for sample in samples], dtype=torch.float32),
        ignored if ignored.shape[1] else None,
    )


@dataclass(frozen=True)
class Output:
    """Output of a localizer for a batch: a span, and a score per label, for each of P predictions.

    Args:
        spans: In steps, float32, ``start <= end`` by construction.
        logits: Scores before the sigmoid.
        points: Position and stride, in steps, of the point that each prediction comes from; None
            for a head without points.
        mask: False for the predictions that come from padding.
        extra: Further outputs of a head by name, with ``(batch, predictions)`` in front, or the first
            predictions alone, such as those of the finest level. Only the head's own terms and decoding read it.
        earlier: Outputs of earlier layers, which are trained as well; one that has the logits of this output,
            the same tensor, for its spans alone.
    """

    spans: Float32[Tensor, "batch predictions 2"]
    logits: Float32[Tensor, "batch predictions labels"]
    points: Float32[Tensor, "predictions 2"] | None
    mask: Bool[Tensor, "batch predictions"]
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    earlier: "tuple[Output, ...]" = ()


# So that torch.export and torch.onnx.export see through it. torch 2.6 warns about the function itself.
with warnings.catch_warnings(action="ignore", category=FutureWarning):
    torch.export.register_dataclass(Output)


@dataclass(frozen=True)
class _Spans:
    spans: Float[Tensor, "spans 2"]
    labels: Int64[Tensor, " spans"]
    places: Int64[Tensor, " spans"]
    ids: tuple[str, ...]
    unit: Unit = "seconds"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self: _Some, rows: Tensor | slice | int) -> _Some:
        """Some of the spans, of the same sequences."""
        return _mapped(self, lambda tensor: tensor[[rows] if isinstance(rows, int) else rows])

    def of(self: _Some, place: int) -> _Some:
        """The spans of one sequence, the one at ``place`` in ``ids``; -1 is the last."""
        found = self[self.places == range(len(self.ids))[place]]
        return replace(found, places=torch.zeros_like(found.places), ids=(self.ids[place],))

    def to(self: _Some, device: torch.device | str) -> _Some:
        """The same on ``device``."""
        return _mapped(self, lambda tensor: tensor.to(device))


@dataclass(frozen=True)
class Targets(_Spans):
    """True spans of whole sequences.

    Args:
        spans: Half-open, in ``unit``.
        labels: Index of each span's class; -1 where it is not known.
        places: The place in ``ids`` of each span's sequence.
        ids: Of the sequences, also of those without spans. No two of an evaluation are the same.
        ignored: By sequence, the stretches ``(n, 2)`` in ``unit`` that nobody looked at; (): none.
    """

    ignored: tuple[Tensor, ...] = ()

    def of(self, place: int) -> "Targets":
        """The spans of one sequence, the one at ``place`` in ``ids``; -1 is the last."""
        return replace(super().of(place), ignored=self.ignored[place:][:1])

    def to(self, device: torch.device | str) -> "Targets":
        """The same on ``device``."""
        return replace(super().to(device), ignored=tuple(s.to(device) for s in self.ignored))


@dataclass(frozen=True)
class Predictions(_Spans):
    """Scored spans of whole sequences; other fields as in :class:`Targets`.

    Args:
        scores: Higher is better.
        classes: Names of the labels, where they are known.
    """

    scores: Float[Tensor, " spans"] = field(kw_only=True)
    classes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        count = f"spans: {len(self)}, sequences: {len(self.ids)}"
        return f"Predictions({count}; to_pandas() lists the spans)"

    def to_pandas(self) -> "DataFrame":
        """A row a span: ``sequence``, ``start``, ``end``, ``label`` (its name where known), ``score``."""
        from pandas import DataFrame

        names = dict(enumerate(self.classes))
        sequences = [self.ids[place] for place in self.places.tolist()]
        labels = [names.get(label, label) for label in self.labels.tolist()]
        columns = (sequences, *self.spans.T.tolist(), labels, self.scores.tolist())
        heads = ("sequence", "start", "end", "label", "score")
        return DataFrame(dict(zip(heads, columns, strict=True)))

    def in_seconds(self, timelines: Sequence[Timeline]) -> "Predictions":
        """Predictions in seconds (float64); ``timelines`` of the sequences, in the order of ``ids``."""
        if self.unit == "seconds":
            return self
        return replace(self, spans=to_seconds(self.spans, self.places, timelines), unit="seconds")
