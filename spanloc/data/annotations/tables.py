"""Rows of tables in pieces: comma-separated values, JSON Lines, Parquet."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.data.annotations.columns import Columns, respelled
from spanloc.data.annotations.pieces import (
    COLUMNS,
    NAMES,
    ROWS,
    Piece,
    arrays,
    batched,
    floats,
    lines_of,
    settled,
    text_encoding,
)
from spanloc.data.annotations.rows import Unit
from spanloc.data.annotations.times import Times
from spanloc.data.signals.form import EXCEL, separator_of
from spanloc.data.signals.reading import encoding_of, reading
from spanloc.files import parse_json, shown

FIELDS = (*COLUMNS, "duration")
# Bytes of a piece of a text.
_BLOCK = 1 << 20


def read_rows(file: Path, columns: Columns, unit: Unit) -> Iterator[Piece]:
    """The rows of a file of comma-, semicolon- or tab-separated values, JSON Lines or Parquet.

    ``columns`` are of :data:`FIELDS`; ``mm:ss`` is converted to the unit.
    """
    suffix = file.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return settled(_json_lines(file, columns, unit), str(file))
    if suffix == ".parquet":
        pieces = _parquet(file, columns, unit)
    elif suffix in (".csv", ".tsv"):
        pieces = _separated(file, columns, unit)
    else:
        raise ValueError(
            f"{file}: wanted a file named .json (ActivityNet's format), .jsonl, .csv, .tsv or .parquet "
            f"(rows of {', '.join(COLUMNS)})"
        )
    # A column of scores without a score is a mistake.
    return settled(pieces, str(file), ("label",))


def _json_lines(file: Path, columns: Columns, unit: Unit) -> Iterator[Piece]:
    times, names = Times(str(file), unit, commas=False), dict[str, str]()
    with file.open("rb") as content:
        lines = enumerate(lines_of(file, content), 1)
        rows = ((i, line) for i, line in lines if line.strip())
        for some in batched(rows, lambda row: len(row[1])):
            places = [f"line {i}" for i, _ in some]
            if not names:
                # Objects may lack fields; capital letters are as in the first.
                own = [*json_object(f"{file}: {places[0]}", some[0][1])]
                spelled = dict(zip(respelled(own, columns.names.values()), own, strict=True))
                columns.unread = columns.unread_labels(spelled)
                names = {field: spelled.get(name, name) for field, name in columns.names.items()}
                if "duration" in columns.chosen:
                    del names["end"]
            cells = _parsed([line for _, line in some], names)
            if cells is None:
                pairs = zip(places, some, strict=True)
                objects = [json_object(f"{file}: {place}", line) for place, (_, line) in pairs]
                values = {field: [o.get(name) for o in objects] for field, name in names.items()}
                cells = arrays(values, places.__getitem__, str(file))
            yield _piece(cells, places.__getitem__, times)


def _parsed(lines: Sequence[bytes], names: Mapping[str, str]) -> dict[str, Any] | None:
    # None where something is not as it mostly is: Python's reader accepts more, and knows its place.
    import pyarrow as pa
    from pyarrow import json

    # A row of its own in each line: what is spread over two is no row.
    if not all(line.strip().startswith(b"{") and line.strip().endswith(b"}") for line in lines):
        return None
    kinds = [(n, pa.string() if field in NAMES else pa.float64()) for field, n in names.items()]
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
    if len(table) != len(lines):
        return None
    batch = table.combine_chunks().to_batches()[0]
    return {field: batch[name] for field, name in names.items()}


def json_object(where: str, line: bytes) -> dict[str, Any]:
    """The object of a line; a ValueError says that there is none, and where."""
    try:
        row = parse_json(line)
    except ValueError as error:
        raise ValueError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"{where}: wanted an object, found {shown(row)}")
    return row


def _parquet(file: Path, columns: Columns, unit: Unit) -> Iterator[Piece]:
    import pyarrow.parquet as pq

    times, first = Times(str(file), unit, commas=False), 0
    with reading(file, "a Parquet file"), pq.ParquetFile(file) as table:
        header = table.schema_arrow.names
        chosen = _chosen(header, columns, str(file))
        names = [header[i] for i in chosen.values()]
        for batch in table.iter_batches(ROWS, columns=names):
            cells = {f: _column(file, f, batch[n]) for f, n in zip(chosen, names, strict=True)}
            yield _piece(cells, partial(_row, first), times)
            first += len(batch)


def _row(first: int, row: int) -> str:
    return f"row {first + row}"


def _column(file: Path, field: str, column: Any) -> Any:
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # These it would take as numbers and as texts.
        if not (types.is_boolean(kind) or types.is_binary(kind) or types.is_large_binary(kind)):
            text = types.is_string(kind) or types.is_large_string(kind) or field in NAMES
            return column.cast(pa.string() if text else pa.float64(), safe=False)
    wanted = "names" if field in NAMES else "numbers"
    raise ValueError(f"{file}: column {field!r} holds {kind}; wanted {wanted}")


def _separated(file: Path, columns: Columns, unit: Unit) -> Iterator[Piece]:
    import pyarrow as pa
    from pyarrow import compute
    from pyarrow import csv as arrow

    encoding = text_encoding(file)
    with file.open(encoding=encoding, errors="replace", newline="") as content:
        lines = lines_of(file, content)
        start = next(lines, "")
        shows = next(lines, "") if start.strip("\r\n") == EXCEL else start
    separator = "\t" if file.suffix.lower() == ".tsv" else separator_of(shows)
    rows = _fields(file, separator)
    line, header = next(rows, (1, []))
    if not header:
        raise ValueError(f"{file}: the file is empty; wanted {', '.join(COLUMNS)}")
    chosen = _chosen([name.strip() for name in header], columns, f"{file}: line {line}")
    if next(rows, None) is None:
        return
    names = [header[i] for i in chosen.values()]
    options = (
        arrow.ReadOptions(
            use_threads=False,
            block_size=_BLOCK,
            encoding=encoding.removesuffix("-sig"),
            skip_rows=int(start.startswith(EXCEL)),
        ),
        arrow.ParseOptions(delimiter=separator, newlines_in_values=True),
        arrow.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), include_columns=names,
            null_values=["", " "], strings_can_be_null=True,
        ),
    )  # fmt: skip
    times, first = Times(str(file), unit, commas=separator != ","), 0
    try:
        for batch in arrow.open_csv(file, *options):
            cells = dict(zip(chosen, batch.columns, strict=True))
            for name in NAMES & cells.keys():
                cells[name] = compute.utf8_trim_whitespace(cells[name])
            yield _piece(cells, partial(_line, file, separator, first), times)
            first += len(batch)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not all of it is text: {error}; save it as UTF-8") from None
    except pa.ArrowInvalid as error:
        # Python's reader is slow, and knows its lines.
        for line, row in _fields(file, separator):
            if len(row) != len(header):
                raise ValueError(
                    f"{file}: line {line}: {len(row)} fields; the header has {len(header)}"
                ) from None
        raise ValueError(f"{file}: not a table: {shown(str(error))}") from None


def _line(file: Path, separator: str, first: int, row: int) -> str:
    line, _ = next(islice(_fields(file, separator), first + row + 1, None))
    return f"line {line}"


def _fields(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    # With the last line of each: a quote may go on over lines.
    try:
        with file.open(encoding=encoding_of(file), newline="") as content:
            reader = csv.reader(lines_of(file, content), delimiter=separator)
            yield from ((reader.line_num, row) for row in reader if row and row[0] != EXCEL)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 text: {error}; save it as UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{file}: not a table: {error}") from None


def _chosen(header: Sequence[str], columns: Columns, where: str) -> dict[str, int]:
    # The number of the column of each field; of end and duration, the one that counts.
    names = columns.fit(header, where)
    columns.unread = columns.unread_labels(names)
    other = "end" if columns.by_duration(names) else "duration"
    there = {field: name for field, name in columns.names.items() if name in names}
    for name in there.values():
        if names.count(name) > 1:
            raise ValueError(f"{where}: the column {name!r} is there twice")
    return {field: names.index(name) for field, name in there.items() if field != other}


def _piece(cells: dict[str, Any], place: Callable[[int], str], times: Times) -> Piece:
    import pyarrow as pa

    for field in ("start", "end", "duration", "score"):
        if field in cells:
            cells[field] = times.of_column(cells[field], place, field, clock=field != "score")
    last = cells.pop("duration", None)
    if last is not None and ("end" not in cells or cells["end"].null_count == len(last)):
        # Sums of decimals, without the noise of binary ones.
        ends = np.round(floats(cells["start"]) + floats(last), 9)
        cells["end"] = pa.array(ends, mask=~last.is_valid().to_numpy(zero_copy_only=False))
    return Piece(place, **cells)
