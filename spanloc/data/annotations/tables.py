"""Rows of files in pieces: what is read is never the whole file at once, where the format allows."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from spanloc.data.annotations.pieces import (
    COLUMNS,
    NAMES,
    ROWS,
    Piece,
    batched,
    lines_of,
)
from spanloc.data.annotations.rows import listed
from spanloc.data.signals.reading import reading
from spanloc.files import parse_json, read_json, shown

# Bytes of a piece of comma-separated values.
_BLOCK = 1 << 20


def read_rows(file: Path) -> Iterator[Piece]:
    """The rows of a file of comma-separated values, JSON Lines or Parquet.

    Raises:
        ValueError: The file is something else, a column is missing, or a line is not a row.
    """
    suffix = file.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return _settled(_json_lines(file), str(file))
    reader = {".csv": _csv, ".parquet": _parquet}.get(suffix)
    if reader is None:
        raise ValueError(
            f"{file}: wanted a file named .json (ActivityNet's format), .jsonl, .csv or .parquet (rows "
            f"of {', '.join(COLUMNS)})"
        )
    # A column of scores without a score is a mistake.
    return _settled(reader(file), str(file), ("label",))


def predicted_rows(file: Path) -> Iterator[Piece]:
    """The rows of a file of predictions, or of another annotator's annotations.

    Raises:
        ValueError: A file of JSON has neither ``results`` nor a ``database``, or rows are not as they
            should be.
    """
    if file.suffix.lower() != ".json":
        return read_rows(file)
    content = read_json(file)
    fields: Any = content if isinstance(content, dict) else {}
    results, database = fields.get("results"), fields.get("database")
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


def listed_rows(by_sequence: Mapping[str, Any], where: str) -> Iterator[Piece]:
    """The rows of lists by sequence, as ActivityNet has them: of objects with ``segment`` and so on.

    Raises:
        ValueError: They are not such lists, or the rows have different fields.
    """
    pieces = (
        _piece_of(columns, partial(_place, "{}, [{}]", keys), where)
        for some in batched(_listed(by_sequence, where))
        for keys, *columns in [zip(*some, strict=True)]
    )
    return _settled(pieces, where)


def _listed(by_sequence: Mapping[str, Any], where: str) -> Iterator[tuple[Any, ...]]:
    for name, rows in by_sequence.items():
        at = shown(name)
        if not isinstance(rows, list):
            raise ValueError(f"{where} of {at}: {type(rows).__name__}; wanted a list")
        for i, row in enumerate(rows):
            segment = row.get("segment") if isinstance(row, dict) else None
            if not isinstance(segment, list) or len(segment) != 2:
                raise ValueError(f"{where} of {at}: [{i}]: wanted segment: [start, end]")
            yield (at, i), name, *segment, row.get("label"), row.get("score")


def _place(words: str, keys: Sequence[tuple[Any, ...]], row: int) -> str:
    return words.format(*keys[row])


def _settled(
    pieces: Iterable[Piece], where: str, names: Sequence[str] = ("label", "score")
) -> Iterator[Piece]:
    # What the first span has, all have: a score that some lack would rank those first.
    absent: dict[str, Any] | None = None
    for piece in pieces:
        first = piece.start.is_valid().index(True).as_py()
        if absent is None and first >= 0:
            columns = [(name, getattr(piece, name)) for name in names]
            absent = {n: None for n, c in columns if c is not None and not c[first].is_valid}
        for name in absent or ():
            there = getattr(piece, name).is_valid().index(True).as_py()
            if there >= 0:
                raise ValueError(
                    f"{where}: {piece.place(there)}: has a {name}, and the rows before have none"
                )
        yield piece._replace(**absent or {})


def _json_lines(file: Path) -> Iterator[Piece]:
    with file.open("rb") as content:
        lines = enumerate(lines_of(file, content), 1)
        rows = ((i, line) for i, line in lines if line.strip())
        for some in batched(rows, lambda row: len(row[1])):
            place = partial(_place, "line {}", some)
            columns = _parsed([line for _, line in some])
            if columns is None:
                objects = [json_object(f"{file}: line {i}", line) for i, line in some]
                values = ([row.get(name) for row in objects] for name in COLUMNS)
                yield _piece_of(values, place, str(file))
            else:
                yield Piece(place, *columns)


def _parsed(lines: Sequence[bytes]) -> Sequence[Any] | None:
    # None where something is not as it mostly is: Python's reader accepts more, and knows its place.
    import pyarrow as pa
    from pyarrow import json

    # A row of its own in each line: what is spread over two is no row.
    if not all(line.strip().startswith(b"{") and line.strip().endswith(b"}") for line in lines):
        return None
    kinds = [(name, pa.string() if name in NAMES else pa.float64()) for name in COLUMNS]
    content = b"".join(lines)
    try:
        table = json.read_json(
            pa.BufferReader(content),
            json.ReadOptions(use_threads=False, block_size=len(content) + 1),
            json.ParseOptions(pa.schema(kinds), unexpected_field_behavior="ignore"),
        )
        table.validate(full=True)  # It takes text that is not UTF-8.
    except pa.ArrowInvalid:
        return None
    return table.combine_chunks().to_batches()[0].columns if len(table) == len(lines) else None


def json_object(where: str, line: bytes) -> dict[str, Any]:
    """The object of a line; a ValueError says that there is none, and where."""
    try:
        row = parse_json(line)
    except ValueError as error:
        raise ValueError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"{where}: wanted an object, found {shown(row)}")
    return row


def _piece_of(values: Iterable[Sequence[Any]], place: Callable[[int], str], where: str) -> Piece:
    import pyarrow as pa

    columns = []
    for name, column in zip(COLUMNS, values, strict=True):
        is_name = name in NAMES
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            # To pyarrow, true is the number 1.
            if bool not in set(map(type, column)):
                columns.append(pa.array(column, pa.string() if is_name else pa.float64()))
                continue
        for i, value in enumerate(column):
            if is_name and not isinstance(value, str | int | float | None):
                raise ValueError(f"{where}: {place(i)}: {name} is {shown(value)}; wanted a name")
        # As texts: whoever reads them says which of them is no number.
        columns.append(pa.array(map(_text, column), pa.string()))
    return Piece(place, *columns)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return repr(value) if isinstance(value, int | float) else shown(value)


def _parquet(file: Path) -> Iterator[Piece]:
    import pyarrow.parquet as pq

    with reading(file, "a Parquet file"), pq.ParquetFile(file) as table:
        names = _known_columns(f"{file}: ", table.schema_arrow.names)
        batches = table.iter_batches(ROWS, columns=names)
        yield from _pieces_of_batches(file, batches, "row {}".format)


def _csv(file: Path) -> Iterator[Piece]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    rows = _csv_rows(file)
    _, header = next(rows, (1, []))
    names = _known_columns(f"{file}: line 1: ", [name.strip() for name in header])
    if next(rows, None) is None:
        return
    written = [next(n for n in header if n.strip() == name) for name in names]
    reading = arrow.ReadOptions(use_threads=False, block_size=_BLOCK)
    parsing = arrow.ParseOptions(newlines_in_values=True)
    converting = arrow.ConvertOptions(
        column_types=dict.fromkeys(written, pa.string()), include_columns=written,
        null_values=["", " "], strings_can_be_null=True,
    )  # fmt: skip
    try:
        batches = arrow.open_csv(file, reading, parsing, converting)
        named = (batch.rename_columns(names) for batch in batches)
        yield from _pieces_of_batches(file, named, partial(_csv_place, file))
    except pa.ArrowInvalid as error:
        # Python's reader is slow, and knows its lines.
        for line, row in _csv_rows(file):
            if len(row) != len(header):
                raise ValueError(
                    f"{file}: line {line}: {len(row)} fields; the header has {len(header)}"
                ) from None
        raise ValueError(f"{file}: not comma-separated values: {shown(str(error))}") from None


def _csv_place(file: Path, row: int) -> str:
    line, _ = next(islice(_csv_rows(file), row + 1, None))
    return f"line {line}"


def _csv_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    # With the last line of each: a quote may go on over lines.
    try:
        with file.open(encoding="utf-8-sig", newline="") as content:
            reader = csv.reader(lines_of(file, content))
            yield from ((reader.line_num, row) for row in reader if row)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 text: {error}; save it as UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{file}: not comma-separated values: {error}") from None


def _pieces_of_batches(
    file: Path, batches: Iterable[Any], place: Callable[[int], str]
) -> Iterator[Piece]:
    first = 0
    for batch in batches:
        columns = {name: _column(file, name, batch[name]) for name in batch.schema.names}
        yield Piece(partial(_place_from, place, first), **columns)
        first += len(batch)


def _place_from(place: Callable[[int], str], first: int, row: int) -> str:
    return place(first + row)


def _column(file: Path, name: str, column: Any) -> Any:
    import pyarrow as pa
    from pyarrow import compute, types

    kind = column.type
    with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # These it would take as numbers and as texts.
        if not (types.is_boolean(kind) or types.is_binary(kind) or types.is_large_binary(kind)):
            if name in NAMES:
                names = compute.utf8_ltrim(column.cast(pa.string()), " ")
                return names if name == "label" else names.fill_null("")
            text = types.is_string(kind) or types.is_large_string(kind)
            return column.cast(pa.string() if text else pa.float64(), safe=False)
    wanted = "names" if name in NAMES else "numbers"
    raise ValueError(f"{file}: column {name!r} holds {kind}; wanted {wanted}")


def _known_columns(where: str, header: list[str]) -> list[str]:
    found = f"found {listed(header)}" if header else "the file is empty"
    for name in COLUMNS:
        if name in COLUMNS[:3] and name not in header:
            raise ValueError(
                f"{where}there is no column {name!r}; wanted sequence, start, end, and perhaps label, "
                f"score, in a .csv separated by commas; {found}"
            )
        if header.count(name) > 1:
            raise ValueError(f"{where}the column {name!r} is there twice")
    return [name for name in COLUMNS if name in header]
