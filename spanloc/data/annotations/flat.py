"""Flat tables of annotations: a row each, of any sequence."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from spanloc.data.annotations.rows import Annotated, Content, Reading, Row, listed, read_row
from spanloc.data.annotations.tables import NO_LABEL
from spanloc.data.annotations.texts import read_text, table_rows
from spanloc.data.signals.arrays import shown_path
from spanloc.data.signals.reading import reading as library_reading
from spanloc.files import parse_json, shown

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_COLUMNS = ("sequence", "start", "end", "label", "subset", "subject")


def read(file: Path, reading: Reading) -> Content:
    """The content of a table, by its suffix."""
    rows: Iterator[tuple[str, Mapping[str, Any]]]
    needed = tuple(reading.column(name) for name in _COLUMNS[:3])
    if file.suffix == ".parquet":
        rows = _parquet(file)
    elif file.suffix == ".jsonl":
        rows = _json_lines(file)
    else:
        rows = table_rows(file, "\t" if file.suffix == ".tsv" else ",", needed=needed)
    return content_of(rows, file, reading)


def of_recording(file: Path, name: str, reading: Reading) -> Iterable[Annotated]:
    """The rows of a table that is of one recording, and does not name it."""
    rows = table_rows(file, ",", needed=(reading.column("start"), reading.column("end")))
    named = ((place, {reading.column("sequence"): name, **row}) for place, row in rows)
    found = content_of(named, file, reading).sequences
    if any(entry.id != name for entry in found):
        raise ValueError(f"{shown_path(file)}: names other sequences than {shown(name)}")
    return found or [Annotated(name, [], file)]


def content_of(
    rows: Iterable[tuple[str, Mapping[str, Any]]], file: Path, reading: Reading
) -> Content:
    """The content of rows, each with its place.

    A row without start and end says that its sequence is there, and has perhaps no spans.

    Raises:
        ValueError: A column is missing, a cell is no such value, or the rows of a sequence name two
            subsets or subjects.
    """
    where = shown_path(file)
    sequence, start, end, label, subset, subject = map(reading.column, _COLUMNS)
    if unknown := reading.columns.keys() - {*_COLUMNS}:
        raise ValueError(f"columns: no field {min(unknown)!r}; wanted some of {listed(_COLUMNS)}")
    by_name: dict[str, list[Row]] = {}
    said: dict[tuple[str, str], str] = {}
    labelled: bool | None = None
    subset_there = False
    for place, row in rows:
        for field, column in reading.columns.items():
            if column not in row:
                raise ValueError(
                    f"{where}: {place}: there is no column {column!r} (columns: {field}); found "
                    f"{listed(list(map(str, row)))}"
                )
        for field, column in (("sequence", sequence), ("start", start), ("end", end)):
            if column not in row:
                raise ValueError(
                    f"{where}: {place}: there is no column {column!r}; found "
                    f"{listed(list(map(str, row)))} (another name: data.columns={{{field}: NAME}})"
                )
        name = _name(row[sequence], f"{where}: {place}: {sequence}")
        if name is None:
            raise ValueError(f"{where}: {place}: {sequence} is empty; wanted the id of a sequence")
        for field, column in (("subset", subset), ("subject", subject)):
            value = _name(row.get(column), f"{where}: {place}: {column}")
            if value is None:
                continue
            if field == "subset":
                value, subset_there = reading.subset(value, f"{where}: {place}"), True
            if said.setdefault((field, name), value) != value:
                raise ValueError(
                    f"{where}: {place}: {column} of {shown(name)} is {shown(value)}; the rows before "
                    f"say {shown(said[field, name])}"
                )
        own = by_name.setdefault(name, [])
        if _is_empty(row[start]) and _is_empty(row[end]):
            continue
        if labelled is not None and labelled != (label in row):
            raise ValueError(f"{where}: {place}: some rows have a {label}, and some have none")
        labelled = label in row
        title = _name(row.get(label), f"{where}: {place}: {label}") if labelled else NO_LABEL
        title = "" if title is None else title
        own.append(read_row(row[start], row[end], title, where, place, (start, end)))
    sequences = [
        Annotated(
            name, own, file, subset=said.get(("subset", name)), subject=said.get(("subject", name))
        )
        for name, own in by_name.items()
    ]
    return Content(file, sequences, subsets_known=subset_there)


def _name(value: Any, where: str) -> str | None:
    if _is_empty(value):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        # numpy's and pandas' own scalars
        value = getattr(value, "item", lambda: value)()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{where} is {shown(value)}; wanted a name")
    return str(value)


def _is_empty(value: Any) -> bool:
    if value is None or value == "":
        return True
    return isinstance(value, float) and math.isnan(value)


def _json_lines(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for i, line in enumerate(read_text(file).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line.encode())
        except ValueError as error:
            raise ValueError(f"{shown_path(file)}: line {i}: not valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"{shown_path(file)}: line {i}: wanted an object")
        yield f"line {i}", row


def _parquet(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow.parquet as pq

    with library_reading(file, "a Parquet file"):
        table = pq.ParquetFile(file).read()
    for i, row in enumerate(table.to_pylist()):
        yield f"row {i}", row
