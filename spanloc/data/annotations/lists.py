"""Predictions and annotations to evaluate in ActivityNet's JSON: lists by sequence."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from spanloc.data.annotations.activitynet import classes_of
from spanloc.data.annotations.pieces import COLUMNS, Piece, arrays, batched, settled
from spanloc.data.annotations.placed import between
from spanloc.data.annotations.rows import as_float, is_number, usual_subset
from spanloc.files import read_json, shown

#: Magnitudes of times: lengths, and shares of durations, are finite too within them.
LEAST, MOST = 1e-100, 1e100


class Truths(NamedTuple):
    """The annotations of a file: their rows, and what it says of its sequences, in seconds."""

    pieces: Iterator[Piece]
    sequences: Sequence[str] = ()
    classes: Sequence[str] = ()
    durations: Mapping[str, float] = {}
    unseen: Mapping[str, Tensor] = {}  # Stretches that nobody looked at.
    subsets: Mapping[str, Any] = {}


def predicted(file: Path, size: float = 1.0) -> tuple[Iterator[Piece], Mapping[str, Tensor]]:
    """The rows of predictions; or those of another annotator, and the stretches that nobody looked at."""
    content = read_json(file)
    fields: Any = content if isinstance(content, dict) else {}
    results, database = fields.get("results"), fields.get("database")
    if isinstance(results, dict):
        return _rows(results, f"{file}: results"), {}
    if results is None and _by_sequence(database):
        unseen = _all_unseen(database, size, file)
        return _rows(_lists(database), f"{file}: annotations"), unseen
    raise ValueError(
        f"{file}: wanted an object with the field 'results', lists by sequence; or 'database', as "
        "annotations have it"
    )


def annotated(file: Path, subset: str | None, size: float = 1.0) -> Truths:
    """The annotations of a file, or of a subset of it; the classes are those of the whole file.

    ``size`` is the seconds of a unit of the stretches.
    """
    content = read_json(file)
    database = content.get("database") if isinstance(content, dict) else None
    if not _by_sequence(database):
        raise ValueError(f"{file}: wanted an object with the field 'database', objects by id")
    own = database
    if subset is not None:
        names = {n: fields.get("subset") for n, fields in database.items()}
        names = {n: name for n, name in names.items() if isinstance(name, str)}
        wanted = usual_subset(subset)
        own = {n: database[n] for n, name in names.items() if usual_subset(name) == wanted}
        if not own:
            there = sorted({*names.values()})
            raise ValueError(
                f"{file}: no sequence has the subset {subset!r}; there are {shown(there)}"
            )
    classes = classes_of(content, file)
    if not classes:
        # Of the whole file, so that a label of another subset is not unknown.
        rows = (row for some in _lists(database).values() if isinstance(some, list) for row in some)
        labels = (row.get("label") for row in rows if isinstance(row, dict))
        classes = sorted({str(label) for label in labels if isinstance(label, str | int)})
    durations, unseen = _durations(own), _all_unseen(own, size, file)
    named = {name: fields.get("subset") for name, fields in own.items()}
    pieces = _rows(_lists(own), f"{file}: annotations")
    return Truths(pieces, list(own), classes, durations, unseen, named)


def _durations(own: Mapping[str, Any]) -> dict[str, float]:
    found = {name: as_float(fields.get("duration")) for name, fields in own.items()}
    return {name: value for name, value in found.items() if LEAST < value < MOST}


def _all_unseen(own: Mapping[str, Any], size: float, file: Path) -> dict[str, Tensor]:
    durations = _durations(own)
    return {
        name: _unseen(
            fields["annotated"], durations.get(name), size, f"{file}: sequence {shown(name)}"
        )
        for name, fields in own.items()
        if "annotated" in fields
    }


def _by_sequence(database: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(database, dict) and all(isinstance(own, dict) for own in database.values())


def _lists(database: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fields.get("annotations", []) for name, fields in database.items()}


def _rows(by_sequence: Mapping[str, Any], where: str) -> Iterator[Piece]:
    return settled(_pieces(by_sequence, where), where)


def _pieces(by_sequence: Mapping[str, Any], where: str) -> Iterator[Piece]:
    for some in batched(_listed(by_sequence, where)):
        places, *columns = zip(*some, strict=True)
        values = dict(zip(COLUMNS, columns, strict=True))
        yield Piece(places.__getitem__, **arrays(values, places.__getitem__, where))


def _listed(by_sequence: Mapping[str, Any], where: str) -> Iterator[tuple[Any, ...]]:
    for name, rows in by_sequence.items():
        at = shown(name)
        if not isinstance(rows, list):
            raise ValueError(f"{where} of {at}: {type(rows).__name__}; wanted a list")
        for i, row in enumerate(rows):
            segment = row.get("segment") if isinstance(row, dict) else None
            if not isinstance(segment, list) or len(segment) != 2:
                raise ValueError(f"{where} of {at}: [{i}]: wanted segment: [start, end]")
            yield f"entry {i} of {at}", name, *segment, row.get("label"), row.get("score")


def _unseen(looked_at: Any, duration: float | None, size: float, where: str) -> Tensor:
    # What lies between the stretches that were looked at.
    if not isinstance(looked_at, list):
        raise ValueError(
            f"{where}: annotated is {shown(looked_at)}; wanted a list of stretches [start, end]"
        )
    for i, ends in enumerate(looked_at):
        pair = isinstance(ends, list) and len(ends) == 2
        if not (pair and all(is_number(end, -MOST, MOST) for end in ends) and ends[0] <= ends[1]):
            raise ValueError(
                f"{where}: annotated[{i}] is {shown(ends)}; wanted [start, end] in seconds, with "
                f"start <= end, within {MOST:g} of 0"
            )
    first, last = (-MOST, MOST) if duration is None else (0.0, duration)
    unseen = between(((size * start, size * end) for start, end in looked_at), first, last)
    return torch.tensor(unseen, dtype=torch.float64).reshape(-1, 2)
