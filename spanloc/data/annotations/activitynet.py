"""ActivityNet's JSON and our form of it: ``annotations.json`` to train on, and files to evaluate."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard
from unicodedata import normalize

import torch
from torch import Tensor

from spanloc.data.annotations.pieces import COLUMNS, Piece, arrays, batched, settled
from spanloc.data.annotations.placed import between
from spanloc.data.annotations.rows import (
    LEAST,
    MISSING,
    MOST,
    SUBSETS,
    Annotated,
    Content,
    Reading,
    Row,
    as_float,
    is_number,
    refuse,
    usual_subset,
)
from spanloc.files import read_json, shown

#: Magnitudes of times to evaluate: lengths, and shares of durations, are finite too within them.
SMALLEST, LARGEST = 1e-100, 1e100
_FIELDS = ("subset", "duration", "fps", "subject", "weight", "annotated", "annotations")


def read(root: Path, reading: Reading) -> Content:
    """The content of ``annotations.json``, checked but for what needs the signals."""
    file = root / "annotations.json"
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file; data.root must hold annotations.json")
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise ValueError(f"{file}: wanted an object with the field 'database', an object by id")
    classes = classes_of(content, file)
    if not content["database"]:
        raise ValueError(f"{file}: database is empty")
    sequences = []
    # Without any, all are for training.
    entries = content["database"].values()
    subsets = any(isinstance(own, dict) and "subset" in own for own in entries)
    for name, own in content["database"].items():
        try:
            name = normalize("NFC", name)
            sequences.append(_entry(file, name, own, reading, subsets=subsets))
        except ValueError as error:
            refuse(reading.refused, error, str(file), sequence=name)
    return Content(file, sequences, classes, "segment", subsets_known=True)


def classes_of(content: dict[str, Any], file: Path) -> list[str] | None:
    """The classes that a file lists, in their order."""
    if "classes" not in content:
        return None
    classes: Any = content["classes"]
    if not isinstance(classes, list) or not all(isinstance(n, str) and n for n in classes):
        raise ValueError(f"{file}: classes is {shown(classes)}; wanted a list of names")
    if len(set(classes)) != len(classes):
        raise ValueError(f"{file}: classes holds a name twice")
    return classes


def _entry(file: Path, name: str, fields: Any, reading: Reading, *, subsets: bool) -> Annotated:
    where = f"{file}: sequence {shown(name)}"

    def mistake(field: str, wanted: str) -> ValueError:
        came = shown(fields[field]) if field in fields else "missing"
        return ValueError(f"{where}: {field} is {came}; wanted {wanted}")

    if not isinstance(fields, dict):
        raise ValueError(f"{where}: the entry is {shown(fields)}; wanted an object")
    for field in fields:
        if field not in _FIELDS and (near := _near_fields(field)):
            raise ValueError(f"{where}: there is no field {field!r}; did you mean {near[0]!r}?")
    for field in ("duration", "fps"):
        if field in fields and not is_number(fields[field], LEAST, MOST):
            raise mistake(field, f"a number above 0, from {LEAST:g} to {MOST:g}")
    if subsets and "subset" not in fields:
        raise mistake("subset", f"one of {', '.join(SUBSETS)}")
    subset = reading.subset(fields["subset"], where) if subsets else None
    if not isinstance(fields.get("annotations"), list):
        raise mistake("annotations", "a list")
    weight = fields.get("weight", 1.0)
    if not is_number(weight, 0, 1e6):
        raise mistake("weight", "a number from 0 to 1e6")
    subject = fields.get("subject")
    if subject is not None and not isinstance(subject, str | int):
        raise mistake("subject", "a name")
    annotated = fields.get("annotated", [])
    if not isinstance(annotated, list) or not all(map(_is_span, annotated)):
        raise mistake("annotated", "a list of stretches [start, end]")
    rows = []
    for i, annotation in enumerate(fields["annotations"]):
        with reading.row(str(file), place := f"annotations[{i}]", name):
            rows.append(_row(annotation, where, place))
    return Annotated(
        name,
        rows,
        file,
        subset=subset,
        subject=None if subject is None else str(subject),
        duration=fields.get("duration"),
        fps=fields.get("fps"),
        weight=float(weight),
        annotated=[(start, end) for start, end in annotated] if "annotated" in fields else None,
    )


def _row(annotation: Any, where: str, place: str) -> Row:
    if not isinstance(annotation, dict):
        raise ValueError(f"{where}: {place} is {shown(annotation)}; wanted an object")
    segment: Any = annotation.get("segment")
    if not _is_span(segment):
        raise ValueError(
            f"{where}: {place}: segment is {shown(segment)}; wanted [start, end] in seconds"
        )
    start, end = segment
    return Row(start, end, annotation.get("label", MISSING), place)


@lru_cache(1000)
def _near_fields(field: str) -> list[str]:
    return get_close_matches(field, _FIELDS, n=1, cutoff=0.8)


def _is_span(value: Any, most: float = MOST) -> bool:
    pair = isinstance(value, list) and len(value) == 2
    return pair and all(is_number(end, -most, most) for end in value)


class Truths(NamedTuple):
    """The annotations, or the predictions, of a file: their rows, and what it says of its sequences, in seconds."""

    pieces: Iterator[Piece]
    sequences: Sequence[str] = ()
    classes: Sequence[str] = ()
    durations: Mapping[str, float] = {}
    unseen: Mapping[str, Tensor] = {}  # Stretches that nobody looked at.
    subsets: Mapping[str, Any] = {}


def predicted(file: Path, size: float) -> Truths:
    """The rows of predictions; or those of another annotator, and the stretches that nobody looked at.

    ``size`` is the seconds of a unit of the stretches.
    """
    content = read_json(file)
    fields: Any = content if isinstance(content, dict) else {}
    results, database = fields.get("results"), fields.get("database")
    if isinstance(results, dict):
        return Truths(_rows(results, f"{file}: results"))
    if results is None and _by_sequence(database):
        pieces = _rows(_lists(database), f"{file}: annotations")
        return Truths(pieces, unseen=_unseen(database, size, file))
    raise ValueError(
        f"{file}: wanted an object with the field 'results', lists by sequence; or 'database', as "
        "annotations have it"
    )


def annotated(file: Path, subset: str | None, size: float) -> Truths:
    """The annotations of a file, or of a subset of it; the classes are those of the whole file."""
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
    durations, unseen = _durations(own), _unseen(own, size, file)
    named = {name: fields.get("subset") for name, fields in own.items()}
    pieces = _rows(_lists(own), f"{file}: annotations")
    return Truths(pieces, list(own), classes, durations, unseen, named)


def _durations(own: Mapping[str, Any]) -> dict[str, float]:
    found = {name: as_float(fields.get("duration")) for name, fields in own.items()}
    return {name: value for name, value in found.items() if SMALLEST < value < LARGEST}


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


def _unseen(own: Mapping[str, Any], size: float, file: Path) -> dict[str, Tensor]:
    # What lies between the stretches that were looked at.
    found, durations = dict[str, Tensor](), _durations(own)
    for name in (name for name, fields in own.items() if "annotated" in fields):
        where, looked_at = f"{file}: sequence {shown(name)}: annotated", own[name]["annotated"]
        if not isinstance(looked_at, list):
            raise ValueError(
                f"{where} is {shown(looked_at)}; wanted a list of stretches [start, end]"
            )
        for i, ends in enumerate(looked_at):
            if not (_is_span(ends, LARGEST) and ends[0] <= ends[1]):
                raise ValueError(
                    f"{where}[{i}] is {shown(ends)}; wanted [start, end] in seconds, with "
                    f"start <= end, within {LARGEST:g} of 0"
                )
        first, last = (0.0, durations[name]) if name in durations else (-LARGEST, LARGEST)
        stretches = between(((size * start, size * end) for start, end in looked_at), first, last)
        found[name] = torch.tensor(stretches, dtype=torch.float64).reshape(-1, 2)
    return found
