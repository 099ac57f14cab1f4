"""Rows of files in pieces: what is read is never the whole file at once, where the format allows."""

import csv
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

# Few, since the interpreter looks through all that are held again and again.
_ROWS = 1 << 10
_COLUMNS = ("sequence", "start", "end", "label", "score")
#: What a row without these has.
_DEFAULTS = {"label": "span", "score": 1.0}


class Piece(NamedTuple):
    """Some rows of a file, field by field, as they are written; and where each of them is."""

    sequence: list[Any]
    start: list[Any]
    end: list[Any]
    label: list[Any]
    score: list[Any]
    places: list[str] | range

    def place(self, row: int) -> str:
        """Where a row is, in words."""
        place = self.places[row]
        return f"line {place}" if isinstance(place, int) else place


def read_rows(file: Path) -> Iterator[Piece]:
    """The rows of a file of comma-separated values or JSON Lines.

    Raises:
        ValueError: The file is something else, a column is missing, or a line is not a row.
    """
    reader = {".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines}.get(file.suffix.lower())
    if reader is None:
        raise ValueError(
            f"{file}: wanted a file named .json (ActivityNet's format), .jsonl or .csv (rows of "
            f"{', '.join(_COLUMNS)})"
        )
    return reader(file)


def listed_rows(by_sequence: Mapping[str, Any], where: str) -> Iterator[Piece]:
    """The rows of lists by sequence, as ActivityNet has them: of objects with ``segment`` and so on.

    Raises:
        ValueError: They are not such lists.
    """
    rows: list[tuple[Any, ...]] = []
    for name, listed in by_sequence.items():
        if not isinstance(listed, list):
            raise ValueError(f"{where} of {name!r}: {type(listed).__name__}; wanted a list")
        for i, row in enumerate(listed):
            segment = row.get("segment") if isinstance(row, dict) else None
            if not isinstance(segment, list) or len(segment) != 2:
                raise ValueError(f"{where} of {name!r}: [{i}]: wanted segment: [start, end]")
            given = (row.get(field, _DEFAULTS[field]) for field in ("label", "score"))
            rows.append((name, *segment, *given, f"{name!r}[{i}]"))
        if len(rows) >= _ROWS:
            yield Piece(*map(list, zip(*rows, strict=True)))
            rows.clear()
    if rows:
        yield Piece(*map(list, zip(*rows, strict=True)))


def _csv(file: Path) -> Iterator[Piece]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines)
        try:
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in _COLUMNS[:3] if name not in header]
            if missing:
                raise ValueError(
                    f"{file}: line 1: there is no column {missing[0]!r}; wanted a header with "
                    f"{', '.join(_COLUMNS)}"
                )
            line = 2
            while rows := list(islice(reader, _ROWS)):
                places = range(line, line + len(rows))
                # Line numbers hold as long as no field holds a line break and no line is empty.
                line += len(rows)
                if not all(rows):
                    places = [place for place, row in zip(places, rows, strict=True) if row]
                    rows = [row for row in rows if row]
                for place, count in zip(places, map(len, rows), strict=True):
                    if count != len(header):
                        raise ValueError(
                            f"{file}: line {place}: {count} fields; the header has {len(header)}"
                        )
                if rows:
                    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
                    yield _piece(columns, len(rows), places)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{file}: not comma-separated text: {error}") from None


def _json_lines(file: Path) -> Iterator[Piece]:
    with file.open("rb") as lines:
        number = 0
        while some := list(islice(lines, _ROWS)):
            places = [number + i for i, text in enumerate(some, 1) if text.strip()]
            number += len(some)
            rows = []
            for place, text in zip(places, (t for t in some if t.strip()), strict=True):
                try:
                    row = json.loads(text)
                except ValueError as error:
                    raise ValueError(f"{file}: line {place}: not valid JSON: {error}") from None
                if not isinstance(row, dict) or not all(name in row for name in _COLUMNS[:3]):
                    raise ValueError(
                        f"{file}: line {place}: wanted an object with {', '.join(_COLUMNS)}"
                    )
                rows.append([row.get(name, _DEFAULTS.get(name)) for name in _COLUMNS])
            if rows:
                yield Piece(*map(list, zip(*rows, strict=True)), places)


def _piece(columns: Mapping[str, Any], count: int, places: list[int] | range) -> Piece:
    return Piece(
        *(list(columns.get(name, (_DEFAULTS.get(name),) * count)) for name in _COLUMNS), places
    )
