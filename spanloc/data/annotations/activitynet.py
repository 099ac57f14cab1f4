"""``annotations.json``: our form of ActivityNet's, and its own."""

from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any
from unicodedata import normalize

from spanloc.data.annotations.rows import (
    LEAST,
    MISSING,
    MOST,
    SUBSETS,
    Annotated,
    Content,
    Reading,
    Row,
    is_number,
    refuse,
)
from spanloc.files import read_json, shown

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
            raise ValueError(f"{where}: there is no field {field!r}; {near[0]!r}?")
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


def _is_span(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(is_number(end, -MOST, MOST) for end in value)
    )
