"""What flows between the parts: samples, batches, outputs, predictions and targets."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

Unit = Literal["steps", "seconds"]
_Some = TypeVar("_Some", bound="_Spans")


class Timeline(NamedTuple):
    """When steps happen: step ``i`` covers ``offset + [i, i + 1) * seconds_per_step`` seconds."""

    seconds_per_step: float = 1.0
    offset: float = 0.0


def to_seconds(
    spans: Float[Tensor, "n 2"], places: Int64[Tensor, " n"], timelines: Sequence[Timeline]
) -> Float[Tensor, "n 2"]:
    """Spans in steps as spans in seconds, float64.

    Args:
        spans: In steps.
        places: The place in ``timelines`` of each span's sequence.
        timelines: Of the sequences.

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
        features: One column a step, at least one step.
        spans: Half-open, in steps, ``0 <= start <= end <= steps``; none is fine.
        labels: Index of each span's class, from 0.
        timeline: When the steps happen.
        weight: What the sequence counts in the loss, from 0 to 1e6: 2 as if it were there twice.
            Keep the mean near 1: with less than one pair in all, a step's loss is not brought to
            scale.

    Raises:
        ValueError: A shape or a value is off; it names the sequence and the field.
    """

    id: str
    features: Float32[Tensor, "channels steps"]
    spans: Float[Tensor, "targets 2"]
    labels: Int64[Tensor, " targets"]
    timeline: Timeline = Timeline()
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or not self.features.shape[1]:
            self._refuse("features", tuple(self.features.shape), "(channels, steps >= 1)")
        if self.features.dtype != torch.float32:
            self._refuse("features", self.features.dtype, "float32")
        if (*self.spans.shape[1:], self.spans.is_floating_point()) != (2, True):
            self._refuse("spans", (*self.spans.shape, self.spans.dtype), "(targets, 2), floats")
        if self.labels.shape != self.spans.shape[:1]:
            self._refuse("labels", tuple(self.labels.shape), f"({len(self.spans)},), one a span")
        steps = self.features.shape[1]
        ends = torch.cat([self.spans.new_zeros(len(self.spans), 1), self.spans], 1)
        if not (ends.diff(dim=1) >= 0).all() or (self.spans > steps).any():
            self._refuse("spans", self.spans.tolist(), f"0 <= start <= end <= {steps} steps")
        if (self.labels < 0).any():
            self._refuse("labels", self.labels.tolist(), "numbers from 0")
        if not 0 <= self.weight <= 1e6:
            self._refuse("weight", self.weight, "a number from 0 to 1e6")

    def _refuse(self, field: str, came: object, wanted: str) -> None:
        raise ValueError(f"sequence {self.id!r}: {field} is {came}; wanted {wanted}")


@dataclass(frozen=True)
class Batch:
    """Sequences of different lengths, padded at the end with zeros. :func:`collate` makes one.

    ``mask`` is true at the steps of a sequence and false in its padding, ``target_mask`` likewise
    for the targets; there is room for at least one target. Without ``weights`` all sequences count
    the same.
    """

    features: Float32[Tensor, "batch channels steps"]
    mask: Bool[Tensor, "batch steps"]
    spans: Float[Tensor, "batch targets 2"]
    labels: Int64[Tensor, "batch targets"]
    target_mask: Bool[Tensor, "batch targets"]
    ids: tuple[str, ...]
    timelines: tuple[Timeline, ...]
    weights: Float32[Tensor, " batch"] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch with its tensors on ``device``."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from where copies to a GPU are fast."""
        return self._map(Tensor.pin_memory)

    def targets(self, unit: Unit = "steps") -> "Targets":
        """The true spans of the batch, without the padding, in steps or in seconds (float64)."""
        places = self.target_mask.nonzero()[:, 0]
        spans = self.spans[self.target_mask]
        if unit == "seconds":
            spans = to_seconds(spans, places, self.timelines)
        return Targets(spans, self.labels[self.target_mask], places, self.ids, unit)

    def split(self) -> list[Sample]:
        """The sequences without their padding: undoes :func:`collate`."""
        samples = []
        for i in range(len(self)):
            targets = self.target_mask[i]
            features = self.features[i, :, self.mask[i]]
            spans, labels = self.spans[i, targets], self.labels[i, targets]
            weight = 1.0 if self.weights is None else self.weights[i].item()
            samples.append(Sample(self.ids[i], features, spans, labels, self.timelines[i], weight))
        return samples

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        return replace(self, **_mapped(self, function))


def _mapped(rows: "Batch | _Spans", function: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    tensors = {name: v for name, v in vars(rows).items() if isinstance(v, Tensor)}
    return {name: function(tensor) for name, tensor in tensors.items()}


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
    num_channels = len(first.features)
    num_steps = max(sample.features.shape[1] for sample in samples)
    num_targets = max(1, *(len(sample.spans) for sample in samples))
    features = torch.zeros(len(samples), num_channels, num_steps)
    mask = torch.zeros(len(samples), num_steps, dtype=torch.bool)
    spans = torch.zeros(len(samples), num_targets, 2)
    labels = torch.zeros(len(samples), num_targets, dtype=torch.int64)
    target_mask = torch.zeros(len(samples), num_targets, dtype=torch.bool)
    for i, sample in enumerate(samples):
        channels, steps = sample.features.shape
        if channels != num_channels:
            raise ValueError(
                f"sequence {sample.id!r} has {channels} channels; {first.id!r} has {num_channels}, "
                "and all must have the same number"
            )
        features[i, :, :steps] = sample.features
        mask[i, :steps] = True
        spans[i, : len(sample.spans)] = sample.spans
        labels[i, : len(sample.spans)] = sample.labels
        target_mask[i, : len(sample.spans)] = True
    ids = tuple(sample.id for sample in samples)
    timelines = tuple(sample.timeline for sample in samples)
    weights = torch.tensor([sample.weight for sample in samples], dtype=torch.float32)
    return Batch(features, mask, spans, labels, target_mask, ids, timelines, weights)


@dataclass(frozen=True)
class DataFacts:
    """What a model may need to know of the training data before it is built.

    Args:
        num_channels: Of the features.
        num_classes: Labels.
        shortest: A typical short span, in steps: the 5 % quantile of the lengths.
        longest: The longest span, in steps.

    Raises:
        ValueError: A number is out of range.
    """

    num_channels: int
    num_classes: int
    shortest: float
    longest: float

    def __post_init__(self) -> None:
        # They may come from a file, and decide how large a model becomes.
        sizes = self.num_channels >= 1 and self.num_classes >= 1
        if not (sizes and 0 <= self.shortest <= self.longest <= 1e9):
            raise ValueError(f"{self}: wanted sizes >= 1, 0 <= shortest <= longest <= 1e9")


@dataclass(frozen=True)
class Output:
    """What a localizer gives for a batch: a span, and a score per label, for each of P predictions.

    Args:
        spans: In steps, float32, ``start <= end`` by construction.
        logits: Scores before the sigmoid.
        points: Position and stride, in steps, of the point that each prediction comes from; None
            for a head without points.
        mask: False for the predictions that come from padding.
        extra: What a head has beside these, by name, with ``(batch, predictions)`` in front. Only
            the head's own terms and decoding read it.
        earlier: Outputs of earlier layers, which are trained as well.
    """

    spans: Float32[Tensor, "batch predictions 2"]
    logits: Float32[Tensor, "batch predictions labels"]
    points: Float32[Tensor, "predictions 2"] | None
    mask: Bool[Tensor, "batch predictions"]
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    earlier: "tuple[Output, ...]" = ()


# So that torch.export and torch.onnx.export see through it.
with warnings.catch_warnings():
    # torch 2.6 warns about this function itself.
    warnings.simplefilter("ignore", FutureWarning)
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

    def __getitem__(self: _Some, rows: Tensor | slice) -> _Some:
        """Some of the spans, of the same sequences."""
        return self._map(lambda tensor: tensor[rows])

    def of(self: _Some, place: int) -> _Some:
        """The spans of one sequence, the one at ``place`` in ``ids``."""
        found = self[self.places == place]
        return replace(found, places=torch.zeros_like(found.places), ids=(self.ids[place],))

    def to(self: _Some, device: torch.device | str) -> _Some:
        """The same on ``device``."""
        return self._map(lambda tensor: tensor.to(device))

    def _map(self: _Some, function: Callable[[Tensor], Tensor]) -> _Some:
        return replace(self, **_mapped(self, function))


@dataclass(frozen=True)
class Targets(_Spans):
    """True spans of whole sequences.

    Args:
        spans: Half-open, in ``unit``.
        labels: Index of each span's class.
        places: The place in ``ids`` of each span's sequence.
        ids: Of the sequences, also of those without spans. No two of an evaluation are the same.
        unit: Of the spans.
    """


@dataclass(frozen=True)
class Predictions(_Spans):
    """Scored spans of whole sequences; other fields as in :class:`Targets`.

    Args:
        scores: Higher is better.
    """

    scores: Float[Tensor, " spans"] = field(kw_only=True)

    def in_seconds(self, timelines: Sequence[Timeline]) -> "Predictions":
        """Predictions in steps as predictions in seconds (float64).

        Args:
            timelines: Of the sequences, in the order of ``ids``.
        """
        if self.unit == "seconds":
            return self
        spans = to_seconds(self.spans, self.places, timelines)
        return replace(self, spans=spans, unit="seconds")
