"""Rows of files in pieces: what is read is never the whole file at once, where the format allows."""

import csv
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, AnyStr, NamedTuple

from spanloc.files import parse_json, read_json, shown

# Few, since the interpreter looks through all that are held again and again.
_ROWS = 1 << 10
# Of a row, in characters or bytes: what is longer is no row, and must not fill the memory.
_LONGEST = 1 << 18
_COLUMNS = ("sequence", "start", "end", "label", "score")
#: The label where a file has none.
NO_LABEL = "span"
_DEFAULTS = {"label": NO_LABEL, "score": 1.0}


class Piece(NamedTuple):
    """Some rows of a file, field by field, as they are written; and where each of them is."""

    sequence: list[Any]
    start: list[Any]
    end: list[Any]
    label: list[Any]
    score: list[Any]
    places: list[int] | list[str]

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
        ValueError: They are not such lists, or the rows have different fields.
    """
    rows: list[tuple[Any, ...]] = []
    asked: set[str] | None = None
    for name, listed in by_sequence.items():
        if not isinstance(listed, list):
            raise ValueError(f"{where} of {shown(name)}: {type(listed).__name__}; wanted a list")
        for i, row in enumerate(listed):
            segment = row.get("segment") if isinstance(row, dict) else None
            if not isinstance(segment, list) or len(segment) != 2:
                raise ValueError(f"{where} of {shown(name)}: [{i}]: wanted segment: [start, end]")
            asked = _asked(row, asked, f"{where} of {shown(name)}: [{i}]")
            rows.append((name, *segment, *_given(row, asked, _DEFAULTS), f"{shown(name)}, [{i}]"))
        if len(rows) >= _ROWS:
            yield Piece(*map(list, zip(*rows, strict=True)))
            rows.clear()
    if rows:
        yield Piece(*map(list, zip(*rows, strict=True)))


def predicted_rows(file: Path) -> Iterator[Piece]:
    """The rows of a file of predictions, or of another annotator's annotations.

    Raises:
        ValueError: A file of JSON has neither ``results`` nor a ``database``, or rows are not as they
            should be.
    """
    if file.suffix.lower() != ".json":
        return read_rows(file)
    content = read_json(file)
    content = content if isinstance(content, dict) else {}
    results: Any = content.get("results")
    database: Any = content.get("database")
    if isinstance(results, dict):
        return listed_rows(results, f"{file}: results")
    there = results is None and isinstance(database, dict)
    if there and all(isinstance(fields, dict) for fields in database.values()):
        lists = {name: fields.get("annotations", []) for name, fields in database.items()}
        return listed_rows(lists, f"{file}: annotations")
    raise ValueError(
        f"{file}: wanted an object with the field 'results', lists by sequence; or 'database', as "
        "annotations have it"
    )


def _csv(file: Path) -> Iterator[Piece]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows_there = _csv_rows(file, lines)
            _, first = next(rows_there, (1, []))
            header = [name.strip() for name in first]
            _check_header(file, header)
            while some := list(islice(rows_there, _ROWS)):
                for place, row in some:
                    if len(row) != len(header):
                        raise ValueError(
                            f"{file}: line {place}: {len(row)} fields; the header has {len(header)}"
                        )
                places, rows = zip(*some, strict=True)
                columns = dict(zip(header, zip(*rows, strict=True), strict=True))
                absent = {name: (_DEFAULTS.get(name),) * len(rows) for name in _COLUMNS}
                fields = (list((absent | columns)[name]) for name in _COLUMNS)
                yield Piece._make([*fields, list(places)])
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 text: {error}; save it as UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{file}: not comma-separated values: {error}") from None


def _csv_rows(file: Path, lines: IO[str]) -> Iterator[tuple[int, list[str]]]:
    taken = 0

    def counted() -> Iterator[str]:
        nonlocal taken
        for line in _lines(file, lines):
            # A row goes on over lines as long as there is an open quote.
            taken += len(line)
            if taken > _LONGEST:
                raise ValueError(_too_long(file, reader.line_num))
            yield line

    reader = csv.reader(counted(), skipinitialspace=True)
    for row in reader:
        taken = 0
        if row:
            yield reader.line_num, row


def _lines(file: Path, content: IO[AnyStr]) -> Iterator[AnyStr]:
    place = 0
    while line := content.readline(_LONGEST + 1):
        place += 1
        if len(line) > _LONGEST:
            raise ValueError(_too_long(file, place))
        yield line


def _too_long(file: Path, place: int) -> str:
    return f"{file}: line {place}: the row has more than {_LONGEST:,} characters"


def _check_header(file: Path, header: list[str]) -> None:
    missing = [name for name in _COLUMNS[:3] if name not in header]
    twice = [name for name in _COLUMNS if header.count(name) > 1]
    if missing:
        text = ", ".join(header)
        text = text if text.isprintable() and len(text) < 300 else shown(header)
        found = f"found {text}" if header else "the file is empty"
        raise ValueError(
            f"{file}: line 1: there is no column {missing[0]!r}; wanted a header with sequence, "
            f"start, end, and perhaps label, score, separated by commas; {found}"
        )
    if twice:
        raise ValueError(f"{file}: line 1: the column {twice[0]!r} is there twice")


def _json_lines(file: Path) -> Iterator[Piece]:
    asked: set[str] | None = None
    with file.open("rb") as lines:
        numbered = ((i, text) for i, text in enumerate(_lines(file, lines), 1) if text.strip())
        while some := list(islice(numbered, _ROWS)):
            rows = []
            for place, text in some:
                try:
                    row = parse_json(text)
                except ValueError as error:
                    raise ValueError(f"{file}: line {place}: not valid JSON: {error}") from None
                if not isinstance(row, dict) or "sequence" not in row:
                    raise ValueError(
                        f"{file}: line {place}: wanted an object with {', '.join(_COLUMNS)}"
                    )
                asked = _asked(row, asked, f"{file}: line {place}")
                ends = row.get("start"), row.get("end")
                rows.append((row["sequence"], *ends, *_given(row, asked, _DEFAULTS)))
            fields = map(list, zip(*rows, strict=True))
            yield Piece._make([*fields, [place for place, _ in some]])


def _asked(row: Mapping[str, Any], asked: set[str] | None, where: str) -> set[str]:
    # What the first row has, all have: a score that some lack would rank those first.
    there = {name for name in _DEFAULTS if name in row}
    if asked is not None and there - asked:
        raise ValueError(f"{where}: has a {min(there - asked)}, and the rows before have none")
    return there if asked is None else asked


def _given(row: Mapping[str, Any], asked: set[str], defaults: Mapping[str, Any]) -> Iterator[Any]:
    for name, default in defaults.items():
        yield row.get(name) if name in asked else default
