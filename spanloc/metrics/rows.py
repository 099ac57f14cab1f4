"""What metrics take: the spans of many sequences laid end to end, one row a span."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Predictions(NamedTuple):
    """Scored spans of many sequences. The order of the sequences does not matter.

    ``spans (M, 2)`` and ``scores (M,)`` float, ``labels (M,)`` int64, and ``sequences (M,)`` int64:
    any number that names the sequence, the same for its predictions and its targets, and of no other
    sequence of the whole evaluation (:func:`sequence_key` makes one of a name).
    """

    spans: Tensor
    scores: Tensor
    labels: Tensor
    sequences: Tensor


class Targets(NamedTuple):
    """True spans of many sequences: ``spans (M, 2)``, ``labels (M,)`` and ``sequences (M,)``.

    Fields as in :class:`Predictions`.
    """

    spans: Tensor
    labels: Tensor
    sequences: Tensor


def sequence_key(name: str) -> int:
    """A number for the name of a sequence, the same in every process and on every machine.

    >>> sequence_key("a") == sequence_key("a") != sequence_key("b")
    True
    """
    # hash() is not.
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


class SpanMetric(Metric):
    """A metric that keeps the rows it is given, and computes numbers by name from all of them.

    The rows are flat tensors; processes join theirs. A sequence must come whole in one update, and
    once. :meth:`plot` draws the numbers.
    """

    full_state_update = False
    higher_is_better: bool | None = True
    plot_lower_bound: float | None = 0.0
    plot_upper_bound: float | None = 1.0
    scores: list[Tensor] | Tensor  # a tensor once processes have been joined

    def __init__(self) -> None:
        super().__init__()
        for name in (*Predictions._fields, *(f"target_{name}" for name in Targets._fields)):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, predictions: Predictions, targets: Targets) -> None:
        """Add the predictions and targets of some sequences; no sequence may come twice.

        The tensors are kept as they are, not copied.

        Raises:
            ValueError: A field has another shape or type than it should.
        """
        _check(predictions, Predictions)
        _check(targets, Targets)
        for name, value in predictions._asdict().items():
            getattr(self, name).append(value.detach())
        for name, value in targets._asdict().items():
            getattr(self, f"target_{name}").append(value.detach())

    def compute(self) -> dict[str, Tensor]:
        """The numbers, as float64 scalars."""
        values = self.values(*self.rows())
        return {name: torch.tensor(v, dtype=torch.float64) for name, v in values.items()}

    def rows(self) -> tuple[Predictions, Targets]:
        """All predictions and targets that were added, in this process."""
        if not len(self.scores):
            none = torch.zeros(0, dtype=torch.int64)
            spans = torch.zeros(0, 2)
            return Predictions(spans, none.float(), none, none), Targets(spans, none, none)
        predictions = Predictions(*map(self._joined, Predictions._fields))
        return predictions, Targets(*(self._joined(f"target_{name}") for name in Targets._fields))

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # Processes can join tensors of one type only, and one may have had no update.
        for name in self._defaults:
            known = getattr(self, name)
            if "spans" in name or name == "scores":
                none = torch.zeros((0, 2) if "spans" in name else 0, dtype=torch.float64)
                known = [part.double() for part in known]
            else:
                none = torch.zeros(0, dtype=torch.int64)
            setattr(self, name, [dim_zero_cat(known) if known else none.to(self.device)])
        super()._sync_dist(*args, **kwargs)

    def _joined(self, name: str) -> Tensor:
        # The parts are let go field by field: all at once would hold everything twice.
        parts = getattr(self, name)
        joined = parts[0] if isinstance(parts, list) and len(parts) == 1 else dim_zero_cat(parts)
        setattr(self, name, [joined])
        return joined

    def values(self, predictions: Predictions, targets: Targets) -> Mapping[str, float]:
        """The numbers of these rows."""
        raise NotImplementedError

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw the numbers, or those given: of one ``compute``, or a list of several.

        Returns:
            The figure and its axes.
        """
        return self._plot(val, ax)


def _check(rows: Any, wanted: type[Predictions] | type[Targets]) -> None:
    # Shapes and types only: values would cost a wait for the device.
    kind = wanted.__name__
    if not isinstance(rows, wanted) or not all(isinstance(field, Tensor) for field in rows):
        raise ValueError(f"update was given a {type(rows).__name__}; wanted {kind} of tensors")
    count = len(rows.labels)
    for name, field in rows._asdict().items():
        shape = (count, 2) if name == "spans" else (count,)
        number = field.is_floating_point() == (name in ("spans", "scores"))
        if tuple(field.shape) != shape or not number:
            numbers = "floats" if name in ("spans", "scores") else "whole numbers"
            raise ValueError(
                f"{kind}.{name} has the shape {tuple(field.shape)} and is {field.dtype}; wanted "
                f"{numbers} of the shape {shape}"
            )


class Grouped(NamedTuple):
    """Targets of one sequence (and label) side by side, as the compiled loops take them.

    ``spans (m, 2)`` float64, by group, then by start, then by end; group ``g`` begins at ``firsts[g]``;
    ``keys`` are the groups' sequences and labels, ``(number of groups, 2)``, sorted; ``order (m,)``
    says which target each row was.
    """

    spans: np.ndarray
    firsts: np.ndarray
    keys: np.ndarray
    order: np.ndarray


def arrays(rows: Predictions | Targets) -> tuple[np.ndarray, ...]:
    """The fields as arrays in the main memory."""
    half = (torch.float16, torch.bfloat16)  # of which numpy and the loops know less
    fields = (field.float() if field.dtype in half else field for field in rows)
    return tuple(field.detach().cpu().numpy() for field in fields)


def split(labels: np.ndarray, names: np.ndarray) -> list[np.ndarray]:
    """For each name (sorted), which of the labels are it, in their order.

    >>> split(np.array([5, 2, 5]), np.array([2, 5]))
    [array([1]), array([0, 2])]
    """
    order = np.argsort(labels, kind="stable")
    firsts, lasts = (np.searchsorted(labels[order], names, side) for side in ("left", "right"))
    return [order[first:last] for first, last in zip(firsts, lasts, strict=True)]


def group(spans: np.ndarray, labels: np.ndarray, sequences: np.ndarray) -> Grouped:
    """Sort spans by sequence, label, start and end; ``labels`` of zeros make a group of a sequence.

    >>> group(np.array([[3.0, 4.0], [0.0, 2.0]]), np.zeros(2, np.int64), np.ones(2, np.int64)).firsts
    array([0, 2])
    """
    spans = spans.astype(np.float64)
    order = np.lexsort((spans[:, 1], spans[:, 0], labels, sequences))
    keys = np.stack([sequences[order], labels[order]], 1)
    new = np.ones(len(keys), bool)
    new[1:] = (keys[1:] != keys[:-1]).any(1)
    firsts = np.append(np.flatnonzero(new), len(keys)).astype(np.int64)
    return Grouped(spans[order], firsts, keys[new], order)


def find_groups(grouped: Grouped, labels: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """The group of each label and sequence, ``(n,)`` int64; -1 where there is none."""
    names = np.unique(grouped.keys[:, 0])
    kinds = np.unique(grouped.keys[:, 1])
    if not len(names):
        return np.full(len(labels), -1)
    sequence, known = _place(names, sequences)
    label, named = _place(kinds, labels)
    codes = np.searchsorted(names, grouped.keys[:, 0]) * len(kinds)
    codes += np.searchsorted(kinds, grouped.keys[:, 1])
    place, there = _place(codes, sequence * len(kinds) + label)
    return np.where(known & named & there, place, -1)


def _place(names: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    place = np.searchsorted(names, values)
    place[place == len(names)] = 0
    return place, names[place] == values


def rank(scores: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """Best first; equal scores by the number of the sequence, within one as they are listed.

    So it depends neither on the order in which sequences come nor on the machine. NaN comes last.

    >>> rank(np.array([0.5, 0.9, 0.5]), np.array([7, 7, 3]))
    array([1, 2, 0])
    """
    return np.lexsort((sequences, -scores.astype(np.float64)))


def checked_thresholds(thresholds: Sequence[float]) -> list[float]:
    """The thresholds, if they are some numbers above 0 and up to 1.

    Raises:
        ValueError: They are not.
    """
    thresholds = list(thresholds)
    if not thresholds or not all(0 < t <= 1 for t in thresholds):
        raise ValueError(f"thresholds are {thresholds}; wanted decimals in (0, 1]")
    if len({decimal(t) for t in thresholds}) < len(thresholds):
        raise ValueError(f"thresholds are {thresholds}; two of them are the same, or nearly")
    return thresholds


def checked_numbers(numbers: Sequence[int]) -> list[int]:
    """The numbers of predictions to look at, if they are some, each at least 1.

    Raises:
        ValueError: They are not.
    """
    numbers = list(numbers)
    if not numbers or not all(isinstance(number, int) and number >= 1 for number in numbers):
        raise ValueError(f"numbers are {numbers}; wanted whole numbers, at least 1")
    return numbers


def decimal(threshold: float) -> str:
    """A threshold as it appears in names: two decimals, more where it has more.

    >>> decimal(0.5), decimal(0.525)
    ('0.50', '0.525')
    """
    short = f"{threshold:.2f}"
    return short if float(short) == threshold else f"{threshold:g}"
