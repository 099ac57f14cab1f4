"""Flat tables of annotations: a row each, of any sequence."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spanloc.data.annotations.pieces import NO_LABEL
from spanloc.data.annotations.rows import Annotated, Content, Reading, Row, listed, read_row
from spanloc.data.annotations.tables import json_object
from spanloc.data.annotations.texts import read_text, table_rows
from spanloc.data.signals.arrays import shown_path
from spanloc.data.signals.reading import reading as library_reading
from spanloc.files import shown

log = logging.getLogger(__name__)
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_COLUMNS = ("sequence", "start", "end", "label", "subset", "subject")


def read(file: Path, reading: Reading) -> Content:
    """The content of a table, by its suffix."""
    rows: Iterator[tuple[str, Mapping[str, Any]]]
    needed = _needed(reading, _COLUMNS[:3])
    if file.suffix == ".parquet":
        rows = _parquet(file)
    elif file.suffix == ".jsonl":
        rows = _json_lines(file, reading)
    else:
        separator = "\t" if file.suffix == ".tsv" else ","
        rows = table_rows(file, separator, needed=needed, refused=reading.refused)
    return content_of(rows, file, reading)


def _needed(reading: Reading, fields: Sequence[str]) -> dict[str, str]:
    return {reading.column(name): f"data.columns={{{name}: NAME}}" for name in fields}


def of_recording(file: Path, name: str, reading: Reading) -> Iterable[Annotated]:
    """The rows of a table that is of one recording, and does not name it."""
    needed = _needed(reading, _COLUMNS[1:3])
    rows = table_rows(file, ",", needed=needed, refused=reading.refused)
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
    if unknown := reading.columns.keys() - {*_COLUMNS}:
        raise ValueError(f"columns: no field {min(unknown)!r}; wanted some of {listed(_COLUMNS)}")
    table = _Table(where, reading)
    # What one row of these lacks, all lack; objects of JSON may differ.
    alike, checked = file.suffix != ".jsonl", False
    for place, row in rows:
        if alike and not checked:
            checked = True
            table.check_columns(place, row)
        name = row.get(table.columns["sequence"])
        with reading.row(where, place, name if isinstance(name, str) else ""):
            if not alike:
                table.check_columns(place, row)
            table.add(place, row)
    if table.labelled is False and table.unread:
        log.warning(
            "%s: there is no column %r, so all spans have the label %r; not read: %s (data.columns says "
            "which column is what)", where, table.columns["label"], NO_LABEL, listed(sorted(table.unread)),
        )  # fmt: skip
    said = table.said
    sequences = [
        Annotated(
            name, own, file, subset=said.get(("subset", name)), subject=said.get(("subject", name))
        )
        for name, own in table.by_name.items()
    ]
    return Content(file, sequences, subsets_known=any(field == "subset" for field, _ in said))


class _Table:
    """The rows so far, by sequence, and what they say of it."""

    def __init__(self, where: str, reading: Reading) -> None:
        self.where, self.reading = where, reading
        self.columns = {field: reading.column(field) for field in _COLUMNS}
        self.by_name: dict[str, list[Row]] = {}
        self.said: dict[tuple[str, str], str] = {}
        self.labelled: bool | None = None
        self.unread: set[str] = set()

    def check_columns(self, place: str, row: Mapping[str, Any]) -> None:
        found = f"found {listed(list(map(str, row)))}"
        for field, column in self.reading.columns.items():
            if column not in row:
                raise ValueError(
                    f"{self.where}: {place}: there is no column {column!r} (columns: {field}); {found}"
                )
        for field in _COLUMNS[:3]:
            if self.columns[field] not in row:
                raise ValueError(
                    f"{self.where}: {place}: there is no column {self.columns[field]!r}; {found} "
                    f"(another name: data.columns={{{field}: NAME}})"
                )

    def add(self, place: str, row: Mapping[str, Any]) -> None:
        at = f"{self.where}: {place}"
        sequence, start, end, label, *about = self.columns.values()
        name = _name(row[sequence], f"{at}: {sequence}")
        if name is None:
            raise ValueError(f"{at}: {sequence} is empty; wanted the id of a sequence")
        # Before anything else may be wrong: that there is such a sequence is known.
        own = self.by_name.setdefault(name, [])
        for field, column in zip(("subset", "subject"), about, strict=True):
            value = _name(row.get(column), f"{at}: {column}")
            if value is None:
                continue
            if field == "subset":
                value = self.reading.subset(value, at)
            if self.said.setdefault((field, name), value) != value:
                raise ValueError(
                    f"{at}: {column} of {shown(name)} is {shown(value)}; the rows before say "
                    f"{shown(self.said[field, name])}"
                )
        if _is_empty(row[start]) and _is_empty(row[end]):
            return
        if self.labelled is not None and self.labelled != (label in row):
            raise ValueError(f"{at}: some rows have a {label}, and some have none")
        self.labelled = label in row
        self.unread |= row.keys() - {*self.columns.values()}
        title = _name(row.get(label), f"{at}: {label}") if self.labelled else NO_LABEL
        title = "" if title is None else title
        own.append(read_row(row[start], row[end], title, self.where, place, (start, end)))


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


def _json_lines(file: Path, reading: Reading) -> Iterator[tuple[str, Mapping[str, Any]]]:
    where = shown_path(file)
    for i, line in enumerate(read_text(file).split("\n"), 1):
        if not line.strip():
            continue
        with reading.row(where, place := f"line {i}"):
            yield place, json_object(f"{where}: {place}", line.encode())


def _parquet(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow.parquet as pq

    with library_reading(file, "a Parquet file"):
        table = pq.ParquetFile(file).read()
    for i, row in enumerate(table.to_pylist()):
        yield f"row {i}", row
