"""Flat tables of annotations: a row each, of any sequence."""

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from spanloc.data.annotations.columns import Columns
from spanloc.data.annotations.layout import Files, columns_of
from spanloc.data.annotations.pieces import NO_LABEL
from spanloc.data.annotations.rows import SUBSETS, Annotated, Content, Reading, Row, usual_subset
from spanloc.data.annotations.tables import json_object
from spanloc.data.annotations.texts import read_text, text_table
from spanloc.data.annotations.times import Times
from spanloc.data.signals.reading import listed, shown_path
from spanloc.data.signals.reading import reading as library_reading
from spanloc.files import counted, shown

log = logging.getLogger(__name__)
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def tables_in(root: Path) -> list[Path]:
    """The tables of a folder that are called annotations."""
    found = (root / f"annotations{suffix}" for suffix in SUFFIXES)
    return [file for file in found if file.exists()]


def span_tables(root: Path, there: Files, reading: Reading) -> list[Path]:
    """Tables of spans in a folder, beside recordings and under any name, such as one for each person.

    Not predictions, nor tables that are called as a subset or begin with the name of a recording.
    """
    columns, found = Columns(reading.columns), list[Path]()
    recordings = tuple(p.stem for p in there.names if p.suffix.lower() not in SUFFIXES)
    for file in there.names:
        other = file.stem.startswith(recordings) or usual_subset(file.stem) in SUBSETS
        if file.parent == root and not other:
            names = columns_of(file)
            found += [file] if columns.are_spans(names) and "score" not in names else []
    return found if {*there.signals.values()} - {*found} else []


def of_folder(root: Path, there: Files, reading: Reading) -> Content:
    """The table of a folder; without one that is called annotations, all its tables of spans, if there are several."""
    found = tables_in(root)
    if len(found) > 1:
        names = " and ".join(file.name for file in found)
        raise ValueError(f"{root}: holds {names}; wanted one table")
    if found:
        return _read(found[0], reading)
    files = span_tables(root, there, reading)
    if len(files) < 2:
        raise FileNotFoundError(
            f"{root / 'annotations.csv'}: no such file, nor annotations of another suffix "
            f"({', '.join(SUFFIXES[1:])})"
        )
    names = listed([file.name for file in files])
    parts, known = [_read(file, reading) for file in files], dict[str, Path]()
    sequences = [*chain.from_iterable(part.sequences for part in parts)]
    for entry in sequences:
        if (other := known.setdefault(entry.id, entry.file)) != entry.file:
            raise ValueError(f"{entry.where} has rows in {shown_path(other)} too")
    what = "one table"
    if not any(entry.subject for entry in sequences):
        # Recordings of one person are not to be in training and test.
        sequences = [replace(entry, subject=entry.file.stem) for entry in sequences]
        what += ", and each as a subject"
    log.warning("%s: there is no annotations.csv; read as %s: %s", root, what, names)
    return Content(root, sequences, subsets_known=any(part.subsets_known for part in parts))


def _read(file: Path, reading: Reading) -> Content:
    if file.suffix == ".parquet":
        return content_of(_parquet(file), file, reading)
    if file.suffix == ".jsonl":
        return content_of(_json_lines(file, reading), file, reading)
    return _of_text(file, reading)


def of_recording(file: Path, name: str, reading: Reading) -> Iterable[Annotated]:
    """The rows of a table that is of one recording, and does not name it."""
    found = _of_text(file, reading, one=name).sequences
    if any(entry.id != name for entry in found):
        raise ValueError(f"{shown_path(file)}: names other sequences than {shown(name)}")
    return found or [Annotated(name, [], file)]


def _of_text(file: Path, reading: Reading, one: str | None = None) -> Content:
    separator = "\t" if file.suffix == ".tsv" else None
    text = text_table(file, separator, refused=reading.refused)
    table = _Table(shown_path(file), reading, one, commas=text.separator != ",")
    table.fit(text.place, dict.fromkeys(text.names))  # which may be all there is
    return table.content(text.rows, file)


def content_of(
    rows: Iterable[tuple[str, Mapping[str, Any]]], file: Path, reading: Reading
) -> Content:
    """The content of rows, each with its place.

    A row without start and end says that its sequence is there, and has perhaps no spans.
    """
    return _Table(shown_path(file), reading).content(rows, file)


class _Table:
    """The rows so far, by sequence, and what they say of it; ``one``: the sequence of rows that name none."""

    def __init__(
        self, where: str, reading: Reading, one: str | None = None, *, commas: bool = False
    ) -> None:
        self.where, self.reading, self.one = where, reading, one
        self.columns = Columns(
            reading.columns,
            ("sequence", "start", "end") if one is None else ("start", "end"),
            moments=reading.moment_seconds is not None,
        )
        self.times = Times(where, reading.unit, commas=commas)
        self.by_name: dict[str, list[Row]] = {}
        self.said: dict[tuple[str, str], dict[str, list[str]]] = {}  # the places of each value
        self.labelled: bool | None = None
        self.clocks = False  # whether a start is written with colons
        self.unread: set[str] = set()
        self.unread_ends: set[str] = set()
        self._found: tuple[Any, ...] | None = None
        self._names: tuple[str, ...] = ()

    def content(self, rows: Iterable[tuple[str, Mapping[str, Any]]], file: Path) -> Content:
        # What one row lacks, all lack, and that is one error; objects of JSON may differ.
        alike = file.suffix != ".jsonl"
        for place, row in rows:
            cells = self.fit(place, row) if alike else row
            name = cells.get(self.columns.names["sequence"])
            with self.reading.row(self.where, place, name if isinstance(name, str) else ""):
                self.add(place, cells if alike else self.fit(place, row))
        if self.labelled is False:
            self._warn("label", f"all spans have the label {NO_LABEL!r}", self.unread)
        self._warn("end", "all rows are moments", self.unread_ends)
        said = {key: self._one(*key, places) for key, places in self.said.items()}
        sequences = [
            Annotated(
                name,
                own if self.clocks else [row._replace(clock=None) for row in own],
                file,
                said.get(("subset", name)),
                said.get(("subject", name)),
            )
            for name, own in self.by_name.items()
        ]
        return Content(file, sequences, subsets_known=any(field == "subset" for field, _ in said))

    def _one(self, field: str, name: str, places: Mapping[str, Sequence[str]]) -> str:
        """The most frequent value of a field in the rows of a sequence, which should all have the same."""
        values = sorted(places, key=lambda value: len(places[value]))
        place = places[values[0]][0]
        with self.reading.row(self.where, place, name):
            if len(values) > 1:
                what = f"{self.where}: {place}: {self.columns.names[field]} of {shown(name)}"
                each = [f"{shown(v)} in {counted(len(places[v]), 'row')}" for v in values[:5]]
                raise ValueError(f"{what} is {', '.join(each)}{', ...' * (len(values) > 5)}")
        return values[-1]

    def _warn(self, field: str, so: str, unread: Collection[str]) -> None:
        if unread:
            what = {"label": "your labels are", "end": "the end is"}[field]
            advice = f"If {what} in another column, name it: {self.columns.naming(field, unread)}."
            log.warning(
                "%s: there is no column %r, so %s; not read: %s. %s",
                self.where, self.columns.names[field], so, listed(sorted(unread)), advice,
                extra={"advice": advice},
            )  # fmt: skip

    def fit(self, place: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The cells by the names that the columns have in the settings."""
        found = tuple(row)
        if found != self._found:
            where = f"{self.where}: {place}"
            self._names = tuple(self.columns.fit(list(map(str, found)), where))
            if self.columns.by_duration(self._names) and self.reading.ends == "inclusive":
                raise ValueError(
                    f"{where}: data.ends is inclusive; that is not for durations, which have no last step"
                )
            self._found = found
            self.unread_ends.update(self.columns.unread_ends(self._names))
        return row if found == self._names else dict(zip(self._names, row.values(), strict=True))

    def add(self, place: str, row: Mapping[str, Any]) -> None:
        at = f"{self.where}: {place}"
        sequence, start, end, label, *about, duration = self.columns.names.values()
        name = _name(row.get(sequence, self.one), f"{at}: {sequence}")
        if name is None:
            raise ValueError(f"{at}: {sequence} is empty; wanted the id of a sequence")
        name = self.reading.ids.get(name, name)
        # Before anything else may be wrong: that there is such a sequence is known.
        own = self.by_name.setdefault(name, [])
        for field, column in zip(("subset", "subject"), about, strict=True):
            value = _name(row.get(column), f"{at}: {column}")
            if value is None:
                continue
            if field == "subset":
                value = self.reading.subset(value, at)
            self.said.setdefault((field, name), {}).setdefault(value, []).append(place)
        lasting = self.columns.by_duration(row)
        last = duration if lasting else end
        if _is_empty(row[start]) and _is_empty(row.get(last)):
            return
        if self.labelled is not None and self.labelled != (label in row):
            raise ValueError(f"{at}: some rows have a {label}, and some have none")
        self.labelled = label in row
        self.unread |= row.keys() - {*self.columns.names.values()}
        title = _name(row.get(label), f"{at}: {label}") if self.labelled else NO_LABEL
        begin = self.times.of_cell(row[start], place, start)
        stop = math.nan if _is_empty(row.get(last)) else self.times.of_cell(row[last], place, last)
        if lasting:
            # Sums of decimals, without the noise of binary ones.
            stop = round(begin + stop, 9)
        clock = isinstance(row[start], str) and ":" in row[start]
        self.clocks |= clock
        own.append(Row(begin, stop, "" if title is None else title, place, clock))


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
