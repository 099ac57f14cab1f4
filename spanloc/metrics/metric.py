"""Base of all metrics: keeps the rows it is given, and computes numbers from all of them."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from spanloc.structures import Predictions, Targets, Unit

_WHOLE = ("labels", "target_labels", "keys", "target_keys", "names")


def sequence_key(name: str) -> int:
    """A number for the id of a sequence, the same in every process and on every machine.

    >>> sequence_key("a") == sequence_key("a") != sequence_key("b")
    True
    """
    # hash() is not.
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


class SpanMetric(Metric):
    """Base class of metrics: keeps all predictions and targets, and computes numbers by name from them.

    It has no unit: predictions and targets come in the same one. A sequence comes whole in one
    update, and once; several processes join their rows. :meth:`plot` draws the numbers.
    """

    full_state_update = False
    higher_is_better: bool | None = True
    plot_lower_bound: float | None = 0.0
    plot_upper_bound: float | None = 1.0
    # Tensors, once processes have been joined.
    spans: list[Tensor]
    scores: list[Tensor]
    labels: list[Tensor]
    keys: list[Tensor]
    target_spans: list[Tensor]
    target_labels: list[Tensor]
    target_keys: list[Tensor]
    names: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        # Ids travel as bytes: tensors are what processes join and checkpoints hold.
        for name in ("spans", "scores", "target_spans", *_WHOLE):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self._known: set[str] = set()
        self._unit: Unit | None = None

    def update(self, predictions: Predictions, targets: Targets) -> None:
        """Add the predictions and targets of some sequences.

        The tensors are kept as they are, not copied.

        Raises:
            ValueError: A field has another shape or type than it should, predictions and targets
                differ in their sequences or their unit, or a sequence was there before.
        """
        _check(predictions, Predictions)
        _check(targets, Targets)
        ids, unit = targets.ids, targets.unit
        if predictions.ids != ids:
            pairs = enumerate(zip_longest(predictions.ids, ids))
            place, (mine, other) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
            raise ValueError(
                f"Predictions.ids[{place}] is {mine!r}; Targets.ids[{place}] is {other!r}, and they "
                "must be of the same sequences, in the same order"
            )
        if predictions.unit != unit:
            raise ValueError(f"Predictions.unit is {predictions.unit!r}; Targets.unit is {unit!r}")
        _require_unit(unit, self._unit)
        _refuse_twice(name for name, count in Counter(ids).items() if count > 1)
        _refuse_twice(name for name in ids if name in self._known)
        self._known.update(ids)
        self._unit = unit
        keys = _keys(ids).to(predictions.places.device)
        self.spans.append(predictions.spans.detach())
        self.scores.append(predictions.scores.detach())
        self.labels.append(predictions.labels)
        self.keys.append(keys[predictions.places])
        self.target_spans.append(targets.spans.detach())
        self.target_labels.append(targets.labels)
        self.target_keys.append(keys[targets.places])
        self.names.append(_pack(ids).to(keys.device))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add some sequences, and give the numbers of these alone."""
        known, unit = set(self._known), self._unit
        values = super().forward(*args, **kwargs)
        # In between it was reset, and given back its tensors alone.
        self._known |= known
        _require_unit(self._unit, unit)
        return values

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
        own, order = _keys(ids).sort()
        _refuse_twice(ids[i] for i in order[1:][own[1:] == own[:-1]].tolist())

        def rows(spans: str, labels: str, keys: str) -> tuple[Tensor, Tensor, Tensor]:
            theirs = self._joined(keys)
            places = order.to(theirs.device)[torch.searchsorted(own.to(theirs.device), theirs)]
            return self._joined(spans), self._joined(labels), places

        unit = self._unit or "seconds"
        targets = Targets(*rows("target_spans", "target_labels", "target_keys"), ids, unit)
        mine, scores = rows("spans", "labels", "keys"), self._joined("scores")
        return Predictions(*mine, ids, unit, scores=scores), targets

    def reset(self) -> None:
        """Forget all rows."""
        super().reset()
        self._known, self._unit = set(), None

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


def _require_unit(unit: Unit | None, before: Unit | None) -> None:
    if before not in (None, unit):
        raise ValueError(f"Targets.unit is {unit!r}; it was {before!r} in earlier updates")


def _refuse_twice(ids: Iterable[str]) -> None:
    for name in ids:
        raise ValueError(
            f"sequence {name!r} was there twice; a sequence comes whole, and once. With several "
            "processes, spanloc.data.EvaluationSampler shares sequences out without repeating any"
        )


def _keys(ids: Sequence[str]) -> Tensor:
    return torch.tensor([sequence_key(name) for name in ids], dtype=torch.int64)


def _pack(ids: Sequence[str]) -> Tensor:
    # A line of JSON, since an id may hold any character.
    return torch.frombuffer(bytearray(f"{json.dumps(ids)}\n".encode()), dtype=torch.uint8)


def _unpack(names: Tensor) -> tuple[str, ...]:
    lines = names.cpu().numpy().tobytes().splitlines()
    return tuple(name for line in lines for name in json.loads(line))


def _check(rows: Any, wanted: type[Predictions] | type[Targets]) -> None:
    # Shapes and types only: values on a GPU would cost a wait for it.
    kind = wanted.__name__
    if not isinstance(rows, wanted):
        raise ValueError(f"update was given a {type(rows).__name__}; wanted {kind}")
    count = len(rows)
    names = ("spans", "labels", "places") + ("scores",) * (wanted is Predictions)
    for name in names:
        field = getattr(rows, name)
        if not isinstance(field, Tensor):
            raise ValueError(f"{kind}.{name} is a {type(field).__name__}; wanted a torch.Tensor")
        shape = (count, 2) if name == "spans" else (count,)
        number = field.is_floating_point() == (name in ("spans", "scores"))
        if tuple(field.shape) != shape or not number:
            numbers = "floats" if name in ("spans", "scores") else "whole numbers"
            raise ValueError(
                f"{kind}.{name} has the shape {tuple(field.shape)} and is {field.dtype}; wanted "
                f"{numbers} of the shape {shape}"
            )
    places, most = rows.places, len(rows.ids) - 1
    if places.is_cpu and ((places < 0) | (places > most)).any():
        raise ValueError(f"{kind}.places has numbers outside of ids; wanted 0 to {most}")
