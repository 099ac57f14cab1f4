"""Rows of spans as metrics keep, sort and compare them."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from spanloc.structures import Predictions, Targets

_WHOLE = ("labels", "target_labels", "keys", "target_keys", "names")


def sequence_key(name: str) -> int:
    """A number for the id of a sequence, the same in every process and on every machine.

    >>> sequence_key("a") == sequence_key("a") != sequence_key("b")
    True
    """
    # hash() is not.
    digest = hashlib.blake2b(_encoded(name), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


class SpanMetric(Metric):
    """A metric that keeps the rows it is given, and computes numbers by name from all of them.

    It has no unit: predictions and targets come in the same one. A sequence comes whole in one
    update, and once; several processes join their rows. :meth:`plot` draws the numbers.
    """

    full_state_update = False
    higher_is_better: bool | None = True
    plot_lower_bound: float | None = 0.0
    plot_upper_bound: float | None = 1.0
    scores: list[Tensor] | Tensor  # a tensor once processes have been joined

    def __init__(self) -> None:
        super().__init__()
        # Ids travel as bytes: tensors are what processes join and checkpoints hold.
        for name in ("spans", "scores", "target_spans", *_WHOLE):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self._known: set[str] = set()

    def update(self, predictions: Predictions, targets: Targets) -> None:
        """Add the predictions and targets of some sequences.

        The tensors are kept as they are, not copied.

        Raises:
            ValueError: A field has another shape or type than it should, predictions and targets
                differ in their sequences or their unit, or a sequence was there before.
        """
        _check(predictions, Predictions)
        _check(targets, Targets)
        ids = targets.ids
        for name, came, wanted in (
            ("ids", predictions.ids, ids),
            ("unit", predictions.unit, targets.unit),
        ):
            if came != wanted:
                raise ValueError(f"Predictions.{name} is {came}; Targets.{name} is {wanted}")
        if len(set(ids)) < len(ids):
            self._refuse_twice([name for name, count in Counter(ids).items() if count > 1])
        self._refuse_twice(sorted(self._known.intersection(ids)))
        self._known.update(ids)
        keys = _keys(ids).to(predictions.places.device)
        self.spans.append(predictions.spans.detach())
        self.scores.append(predictions.scores.detach())
        self.labels.append(predictions.labels)
        self.keys.append(keys[predictions.places])
        self.target_spans.append(targets.spans.detach())
        self.target_labels.append(targets.labels)
        self.target_keys.append(keys[targets.places])
        self.names.append(_pack(ids).to(keys.device))

    def compute(self) -> dict[str, Tensor]:
        """The numbers, as float64 scalars."""
        values = self.values(*self.rows())
        return {name: torch.tensor(v, dtype=torch.float64) for name, v in values.items()}

    def rows(self) -> tuple[Predictions, Targets]:
        """All predictions and targets that were added: of all processes within ``sync_context``.

        Raises:
            ValueError: A sequence was there in more than one process.
        """
        if not len(self.names):
            none = torch.zeros(0, dtype=torch.int64)
            spans = torch.zeros(0, 2)
            targets = Targets(spans, none, none, ())
            return Predictions(spans, none, none, (), scores=none.float()), targets
        ids = _unpack(self._joined("names"))
        own = _keys(ids)
        order = own.argsort()
        own, order = own[order], order.to(own.device)
        self._refuse_twice([ids[i] for i in order[1:][own[1:] == own[:-1]].tolist()])

        def places(name: str) -> Tensor:
            keys = self._joined(name)
            return order.to(keys.device)[torch.searchsorted(own.to(keys.device), keys)]

        targets = Targets(
            self._joined("target_spans"), self._joined("target_labels"), places("target_keys"), ids
        )
        predictions = Predictions(
            self._joined("spans"),
            self._joined("labels"),
            places("keys"),
            ids,
            scores=self._joined("scores"),
        )
        return predictions, targets

    def reset(self) -> None:
        """Forget all rows."""
        super().reset()
        self._known = set()

    def _refuse_twice(self, ids: Sequence[str]) -> None:
        if ids:
            raise ValueError(
                f"sequence {ids[0]!r} was there twice; a sequence comes whole, and once. With "
                "several processes, spanloc.data.EvaluationSampler shares sequences out without "
                "repeating any"
            )

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # Processes can join tensors of one type only, and one may have had no update.
        for name in self._defaults:
            known = getattr(self, name)
            if name in _WHOLE:
                dtype = torch.uint8 if name == "names" else torch.int64
                none = torch.zeros(0, dtype=dtype)
            else:
                none = torch.zeros((0, 2) if "spans" in name else 0, dtype=torch.float64)
                known = [part.double() for part in known]
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


def _encoded(name: str) -> bytes:
    return name.encode(errors="surrogatepass")


def _keys(ids: Sequence[str]) -> Tensor:
    return torch.tensor([sequence_key(name) for name in ids], dtype=torch.int64)


def _pack(ids: Sequence[str]) -> Tensor:
    # The length of each in front, since an id may hold any character.
    content = b"".join(len(e).to_bytes(4, "little") + e for e in map(_encoded, ids))
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else _NO_NAMES


_NO_NAMES = torch.zeros(0, dtype=torch.uint8)


def _unpack(names: Tensor) -> tuple[str, ...]:
    content, ids, place = names.cpu().numpy().tobytes(), [], 0
    while place < len(content):
        begin = place + 4
        place = begin + int.from_bytes(content[place:begin], "little")
        ids.append(content[begin:place].decode(errors="surrogatepass"))
    return tuple(ids)


def _check(rows: Any, wanted: type[Predictions] | type[Targets]) -> None:
    # Shapes and types only: values would cost a wait for the device.
    kind = wanted.__name__
    if not isinstance(rows, wanted):
        raise ValueError(f"update was given a {type(rows).__name__}; wanted {kind}")
    count = len(rows)
    for name, field in vars(rows).items():
        if not isinstance(field, Tensor):
            continue
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


class Arrays(NamedTuple):
    """Rows in the main memory: what the compiled loops take.

    ``sequences (n,)`` int64 are the keys of the ids (:func:`sequence_key`), so that the order of rows
    with equal scores does not depend on the order in which sequences come.
    """

    spans: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    sequences: np.ndarray


def arrays(rows: Predictions | Targets) -> Arrays:
    """Rows as arrays; targets have scores of 1."""
    keys = _keys(rows.ids)[rows.places.cpu()]
    scores = rows.scores if isinstance(rows, Predictions) else torch.ones(())
    fields = (_plain(f) for f in (rows.spans, scores, rows.labels, keys))
    return Arrays(*(field.detach().cpu().numpy() for field in fields))


def _plain(values: Tensor) -> Tensor:
    # numpy and the loops know less of the half types.
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


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


def group_targets(targets: Targets) -> Grouped:
    """The targets by sequence and label."""
    spans, _, labels, sequences = arrays(targets)
    return group(spans, labels, sequences)


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
