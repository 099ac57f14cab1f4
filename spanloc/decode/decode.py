"""Output to predictions: candidates, their scores, suppression, and the options after it."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spanloc import ops
from spanloc.decode.boundaries import at_boundaries
from spanloc.structures import Batch, Output, Predictions, Targets

# Valid points of a sequence, on all levels, that the numbers of candidates and predictions are for.
_POINTS = 2048
Suppress = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
#: Scores and labels of one sequence, ``(n,)`` each, to calibrated scores ``(n,)``.
Calibrate = Callable[[Tensor, Tensor], Tensor]


class Scored(NamedTuple):
    """Spans ``(n, 2)`` in steps of one sequence, scores ``(n,)`` and labels ``(n,)``."""

    spans: Tensor
    scores: Tensor
    labels: Tensor

    def at(self, rows: Tensor | slice) -> "Scored":
        """Some of the spans."""
        return Scored(*(field[rows] for field in self))


@dataclass(kw_only=True, eq=False)
class Decode:
    """Turns the output of a batch into its predictions, best first within each sequence.

    Every pair of a predicted span and a label is a candidate, scored by the sigmoid of its logit, and by
    where the head's curves see boundaries, if it has some (``head=boundary``). What is done with the
    candidates of a sequence is done in the order of the options below, from ``bias`` on; those from
    ``bias`` to ``max_per_sequence`` do nothing, and cost nothing, unless they are set.

    Args:
        boundary_weight: Weight of such curves in the score: with the chances ``a`` of a start and ``b`` of an
            end where the candidate has its own, its score is multiplied by ``sqrt(a * b) ** boundary_weight``.
        snap: How far the ends of a candidate move towards the curves' peak around them, as a share of the way.
        min_score: Candidates scored lower are dropped.
        max_candidates: At most so many candidates of a sequence, the best-scored ones, are kept; more where
            it has more than 2048 points, in proportion. Of a sequence in windows, each window has its own.
        bias: By label, steps that are added to each start and each end, ``(K, 2)``: minus the constant
            error of the model, see :func:`~spanloc.decode.boundary_bias`. A span that this would reverse
            has both ends in its middle. After it, spans are clipped to their sequence.
        suppress: Such as :func:`spanloc.ops.soft_nms`; takes spans, scores and labels of a sequence
            and gives indices and scores, best first. None keeps all.
        max_predictions: At most so many predictions per sequence, more where it has more than 2048
            points, in proportion; 1 is one per sequence, however long it is.
        voting: Boundaries of what is left become the weighted mean of those of all candidates (before
            suppression) of the label with a tIoU of at least this, see :func:`spanloc.ops.vote`.
        calibration: Gives scores the meaning of a probability of being right: such as
            :class:`~spanloc.decode.Temperature` or :class:`~spanloc.decode.Isotonic`.
        min_scores: By label, ``(K,)``: what then scores lower is dropped.
        exclusive: No two spans of a sequence overlap, whatever their labels: of those that do, the best-scored
            one is left, see :func:`spanloc.ops.exclusive`.
        trim: The share of its length that a span may give up at either end for ``exclusive``.
        fill_gaps: Spans of one label that are at most so many **seconds** apart, or overlap, become one,
            see :func:`spanloc.ops.fill_gaps`; with ``exclusive`` only where no other span lies between.
            It is meant for few predictions, such as ``exclusive`` or ``min_scores`` leave.
        min_length: Spans shorter than so many **seconds** are dropped.
        max_per_sequence: At most so many predictions per sequence, however many windows it has.

    Raises:
        ValueError: An option is out of range.
    """

    boundary_weight: float = 0.25
    snap: float = 0.5
    min_score: float = 1e-3
    max_candidates: int = 2000
    bias: Sequence[Sequence[float]] | None = None
    suppress: Suppress | None = None
    max_predictions: int = 200
    voting: float | None = None
    calibration: Calibrate | None = None
    min_scores: Sequence[float] | None = None
    exclusive: bool = False
    trim: float = 0.05
    fill_gaps: float = 0.0
    min_length: float = 0.0
    max_per_sequence: int | None = None

    def having(self, **options: Any) -> "Decode":
        """The same with other options.

        Raises:
            ValueError: There is no such option, or it is out of range.
        """
        found = copy.copy(self)
        for name, value in options.items():
            if name not in vars(self):
                raise ValueError(f"decode has no option {name!r}; it has {', '.join(vars(self))}")
            setattr(found, name, value)
        found.__post_init__()
        return found

    def __call__(self, output: Output, batch: Batch) -> Predictions:
        """Predictions in steps, inside their sequence."""
        lengths = batch.mask.sum(1).tolist()
        found = []
        for i, (steps, line) in enumerate(zip(lengths, batch.timelines, strict=True)):
            rows, times = self.candidates(output, i), times_of(int(output.mask[i].sum()))
            step = line.seconds_per_step
            found.append(self.select(*rows, steps, times=times, seconds_per_step=step))
        return joined(found, batch)

    def candidates(self, output: Output, i: int) -> Scored:
        """The best candidates of the sequence at place ``i``, best first."""
        num_labels, mask = output.logits.shape[-1], output.mask[i]
        spans, chances = self.scored(_only(output, i))
        scores, valid = chances[0].flatten(), mask.repeat_interleave(num_labels)
        candidates = ((scores >= self.min_score) & valid).nonzero()[:, 0]
        most = math.ceil(self.max_candidates * times_of(int(mask.sum())))
        order = scores[candidates].argsort(descending=True, stable=True)[:most]
        best = candidates[order]
        return Scored(spans[0][best // num_labels], scores[best], best % num_labels)

    def scored(self, output: Output) -> tuple[Tensor, Tensor]:
        """Spans ``(B, P, 2)`` and scores ``(B, P, K)`` of all candidates of an output, padding included."""
        return at_boundaries(output, weight=self.boundary_weight, snap=self.snap)

    def unbiased(self, spans: Tensor, labels: Tensor) -> Tensor:
        """Spans ``(n, 2)`` in steps without the constant error of their labels."""
        if self.bias is None:
            return spans
        return shifted(spans, self._by_label("bias", labels, spans))

    def select(
        self,
        spans: Tensor,
        scores: Tensor,
        labels: Tensor,
        steps: int,
        *,
        times: float = 1.0,
        seconds_per_step: float | None = None,
    ) -> Scored:
        """The predictions among the candidates of a sequence of ``steps`` steps, best first.

        Args:
            spans, scores, labels: Best first.
            steps: Of the sequence, to which spans are clipped.
            times: Factor on ``max_predictions``, from :func:`times_of`.
            seconds_per_step: Of the sequence; ``fill_gaps`` and ``min_length`` need it.

        Raises:
            ValueError: An option needs ``seconds_per_step``, or has not as many values as there are labels.
        """
        spans = self.unbiased(spans, labels).clamp(min=0, max=steps)
        found = voters = Scored(spans, scores, labels)
        if self.suppress is not None:
            kept, scores = self.suppress(*voters)
            found = voters.at(kept)._replace(scores=scores)
        # One span per sequence is one, however long it is.
        one = self.max_predictions == 1
        found = found.at(slice(1 if one else math.ceil(self.max_predictions * times)))
        if self.voting is not None:
            voted = ops.vote(found.spans, found.labels, *voters, threshold=self.voting)
            found = found._replace(spans=voted)
        return self._finished(found, seconds_per_step)

    def _finished(self, found: Scored, seconds_per_step: float | None) -> Scored:
        if self.calibration is not None:
            found = found._replace(scores=self.calibration(found.scores, found.labels))
        if self.min_scores is not None:
            least = self._by_label("min_scores", found.labels, found.scores)
            found = found.at(found.scores >= least)
        if self.exclusive:
            kept, spans = ops.exclusive(found.spans, found.scores, trim=self.trim)
            found = found.at(kept)._replace(spans=spans)
        if self.fill_gaps or self.min_length:
            if seconds_per_step is None:
                raise ValueError(
                    "decode.fill_gaps and decode.min_length are in seconds: give select() the "
                    "seconds_per_step of the sequence"
                )
            if self.fill_gaps:
                longest = self.fill_gaps / seconds_per_step
                kept, spans = ops.fill_gaps(*found, longest=longest, blocked=self.exclusive)
                found = found.at(kept)._replace(spans=spans)
            found = found.at(ops.length(found.spans) >= self.min_length / seconds_per_step)
        if self.calibration is not None or self.exclusive or self.fill_gaps:
            # Labels have been calibrated each on its own; a set of spans comes in order of time.
            found = found.at(found.scores.argsort(descending=True, stable=True))
        return found.at(slice(self.max_per_sequence))

    def _by_label(self, name: str, labels: Tensor, like: Tensor) -> Tensor:
        values = torch.as_tensor(getattr(self, name), dtype=torch.float64, device="cpu")
        if len(labels) and int(labels.max()) >= len(values):
            raise ValueError(
                f"decode.{name} has {len(values)} values; there is a label {int(labels.max())}, from 0"
            )
        return values.to(like)[labels]

    def __post_init__(self) -> None:
        for name, (fits, wanted) in _WANTED.items():
            value = getattr(self, name)
            if not fits(value):
                raise ValueError(f"decode.{name} is {value!r:.80}; wanted {wanted}")


def _count(value: Any) -> bool:
    return isinstance(value, int) and value >= 1


def _number(value: Any, below: float = math.inf) -> bool:
    return isinstance(value, int | float) and 0 <= value < below


def _table(values: Any, shape: tuple[int, ...]) -> bool:
    try:
        # A model is built on the meta device first, where there are no values.
        table = torch.as_tensor(values, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError):
        return False
    return table.ndim > 0 and table.shape[1:] == shape and bool(table.isfinite().all())


_FUNCTION = (lambda v: v is None or callable(v), "a function, such as ops.soft_nms, or None")
_AT_LEAST_0 = (_number, "a number, at least 0 (0 turns it off)")
#: What each option may be.
_WANTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_candidates": (_count, "a whole number, at least 1"),
    "max_predictions": (_count, "a whole number, at least 1"),
    "max_per_sequence": (lambda v: v is None or _count(v), "a whole number, at least 1, or None"),
    "boundary_weight": _AT_LEAST_0,
    "snap": (lambda v: _number(v) and v <= 1, "a number in [0, 1] (0 turns it off)"),
    "trim": (lambda v: _number(v, 0.5), "a number in [0, 0.5) (0 turns it off)"),
    "fill_gaps": _AT_LEAST_0,
    "min_length": _AT_LEAST_0,
    "voting": (lambda v: v is None or (_number(v) and 0 < v <= 1), "a number in (0, 1], or None"),
    "suppress": _FUNCTION,
    "calibration": _FUNCTION,
    "bias": (lambda v: v is None or _table(v, (2,)), "a start and an end for each label, or None"),
    "min_scores": (lambda v: v is None or _table(v, ()), "a number for each label, or None"),
}


def _only(output: Output, i: int) -> Output:
    rows = {name: getattr(output, name)[i : i + 1] for name in ("spans", "logits", "mask")}
    extra = {name: values[i : i + 1] for name, values in output.extra.items()}
    return replace(output, **rows, extra=extra)


def times_of(num_points: int) -> float:
    """Factor on the numbers of candidates and predictions of a sequence with so many valid points, at least 1."""
    return max(1.0, num_points / _POINTS)


def shifted(spans: Tensor, bias: Tensor) -> Tensor:
    """Spans ``(n, 2)`` with ``bias (n, 2)`` added; where that reverses one, both ends in its middle."""
    spans = spans + bias
    middle = spans.mean(-1, keepdim=True)
    return torch.where(spans[:, :1] <= spans[:, 1:], spans, middle)


def joined(parts: Sequence[Scored], batch: Batch | Targets) -> Predictions:
    """Predictions in steps of the sequences of a batch, or of such targets, from those of each sequence."""
    spans, scores, labels = (torch.cat(field) for field in zip(*parts, strict=True))
    counts = torch.tensor([len(part.scores) for part in parts], device=spans.device)
    places = torch.arange(len(parts), device=spans.device).repeat_interleave(counts)
    return Predictions(spans, labels, places, batch.ids, "steps", scores=scores)
