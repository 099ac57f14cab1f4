"""Text files of annotations: label tracks, selection tables, events, speaker turns."""

import csv
import io
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spanloc.data.annotations.columns import no_columns, respelled
from spanloc.data.annotations.pieces import text_encoding
from spanloc.data.annotations.rows import Annotated, Case, Reading, Row, number, read_row, refuse
from spanloc.data.signals.form import EXCEL, separator_of
from spanloc.data.signals.reading import listed, shown_path
from spanloc.files import read_bytes, shown

# Characters: there are no annotations of one recording that long.
_LONGEST = 2**28


def read_text(file: Path, *, empty: bool = False) -> str:
    """The text of a file, in the encoding that it seems to be in; it may be ``empty``, or is refused then."""
    content = read_bytes(file, most=_LONGEST)
    where = shown_path(file)
    try:
        text = content.decode(text_encoding(file))
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 text: {error}; save it as UTF-8") from None
    if (not empty and not text.strip()) or "\0" in text:
        kind = "binary data" if "\0" in text else "the file is empty"
        raise ValueError(f"{where}: {kind}; wanted text")
    return text


class TextTable(NamedTuple):
    """A table in a text file: the place of its header, the names of its columns, its rows by place."""

    place: str
    names: list[str]
    rows: Iterator[tuple[str, dict[str, str]]]
    separator: str


def text_table(
    file: Path,
    separator: str | None = None,
    *,
    begin: int = 0,
    needed: Sequence[str] = (),
    known: Sequence[str] = (),
    refused: list[Case] | None = None,
) -> TextTable:
    """A text with a header and rows.

    Args:
        file: Of the table.
        separator: Between the fields. None: as :func:`~spanloc.data.signals.form.separator_of` finds it.
        begin: Lines before the header.
        needed, known: Columns that must and that may be there; capital letters do not matter.
        refused: Gets the rows of too many or too few fields. None: the first of them is an error.
    """
    where = shown_path(file)
    lines = io.StringIO(read_text(file), newline="")
    for _ in range(begin):
        lines.readline()
    at, line = lines.tell(), lines.readline()
    if line.startswith(EXCEL):
        begin, at = begin + 1, lines.tell()
        line = lines.readline() if line.strip("\r\n") == EXCEL else line
    lines.seek(at)
    separator = separator or separator_of(line)
    # Strict: else a quote that is never closed takes all that follows into one cell, without a word.
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t", strict=True)
    rows = _rows(reader, where, begin, refused)
    place, found = next(rows, (f"line {begin + 1}", []))
    twice = next((name for name, count in Counter(found).items() if name and count > 1), None)
    if twice is not None:
        raise ValueError(f"{where}: {place}: the column {shown(twice)} is there twice")
    names = respelled(found, (*needed, *known))
    if missing := [name for name in needed if name not in names]:
        raise ValueError(f"{where}: {place}: {no_columns(missing)}; found {listed(found)}")
    cells = ((place, dict(zip(names, fields, strict=True))) for place, fields in rows)
    return TextTable(place, names, cells, separator)


def _rows(
    reader: Any, where: str, begin: int, refused: list[Case] | None
) -> Iterator[tuple[str, list[str]]]:
    # The header and the rows, each with its first line: a quote may go on over lines.
    count = None
    while True:
        place = f"line {begin + reader.line_num + 1}"
        try:
            fields = next(reader, None)
        except csv.Error as error:
            kind = str(error).replace("\t", "\\t")
            kind = "a quote is not closed" if "unexpected end" in kind else kind
            refuse(refused, ValueError(f"{where}: {place}: {kind}"), where, place)
            continue
        if fields is None:
            return
        if count is None:
            count = len(fields)
        elif not any(fields):
            continue
        elif len(fields) != count:
            last = f"line {begin + reader.line_num}"
            over = "" if place == last else f" (a quote that is open goes on to {last})"
            text = f"{len(fields)} fields; the header has {count}{over}"
            refuse(refused, ValueError(f"{where}: {place}: {text}"), where, place)
            continue
        yield place, [text.strip() for text in fields]


def audacity(file: Path, name: str, reading: Reading) -> Iterator[Annotated]:
    """A label track: start, end and label, separated by tabs; lines of frequencies begin with a backslash.

    A track without labels is an empty file. Numbers may have decimal commas.
    """
    where, rows = shown_path(file), []
    for i, line in enumerate(read_text(file, empty=True).splitlines(), 1):
        if not line.strip() or line.startswith("\\"):
            continue
        with reading.row(where, place := f"line {i}", name):
            start, *others = line.split("\t", 2)
            if not others:
                raise ValueError(
                    f"{where}: {place}: {shown(line)}; wanted start, end and label, separated by tabs"
                )
            label = others[1].strip() if len(others) > 1 else ""
            begin, stop = (text.replace(",", ".") for text in (start, others[0]))
            rows.append(read_row(begin, stop, label, where, place))
    yield Annotated(name, rows, file)


def raven(file: Path, name: str, reading: Reading) -> Iterator[Annotated]:
    """A selection table of Raven; a selection that is there for each of its views is one."""
    where, rows, seen = shown_path(file), [], set()
    name_of = reading.columns.get
    start, end = ends = name_of("start", "Begin Time (s)"), name_of("end", "End Time (s)")
    label = name_of("label", "Annotation")
    for place, row in text_table(file, "\t", needed=ends, refused=reading.refused).rows:
        if label not in row:
            raise ValueError(
                f"{where}: line 1: there is no column {label!r}; set data.columns={{label: ...}} to one of "
                f"{listed(list(row))}"
            )
        selection = row.get("Selection", place)
        if selection in seen:
            continue
        seen.add(selection)
        with reading.row(where, place, name):
            rows.append(read_row(row[start], row[end], row[label], where, place, ends))
    yield Annotated(name, rows, file)


def boris(file: Path, name: str, reading: Reading) -> Iterator[Annotated]:
    """Events exported by BORIS as CSV: aggregated (version 7 on), or tabular (from 7 and from 8).

    Aggregated events have ``Start (s)`` and ``Stop (s)``. In tabular ones, each start of a behaviour
    of a subject is closed by its next stop. A point event has no length: it is a moment.
    """
    where = shown_path(file)
    # Version 7 writes lines about the observation before the table.
    lines = read_text(file).splitlines()
    begin = next(
        (i for i, line in enumerate(lines) if "Behavior" in line and set(",;\t") & {*line}), 0
    )
    rows: list[Row] = []
    # Of what is open: its start, and its place.
    since: dict[tuple[str, str], tuple[float, str]] = {}
    table = text_table(file, begin=begin, needed=("Behavior",), refused=reading.refused)
    for place, row in table.rows:
        at, label = f"{where}: {place}", row["Behavior"]
        if "Start (s)" in row and "Stop (s)" in row:
            with reading.row(where, place, name):
                rows.append(read_row(row["Start (s)"], row["Stop (s)"], label, where, place))
            continue
        status = next((row[key] for key in ("Behavior type", "Status") if key in row), None)
        if status is None or "Time" not in row:
            raise ValueError(
                f"{where}: line {begin + 1}: wanted the columns 'Start (s)' and 'Stop (s)', or 'Time' and "
                f"'Behavior type'; found {listed(list(row))}"
            )
        status, key = status.upper(), (row.get("Subject", ""), label)
        with reading.row(where, place, name):
            time = number(row["Time"], at, "'Time'")
            if status == "START" and key not in since:
                since[key] = time, place
            elif status == "STOP" and key in since:
                rows.append(Row(since.pop(key)[0], time, label, place))
            elif status == "POINT":
                rows.append(Row(time, math.nan, label, place))
            else:
                other = "no start before" if status == "STOP" else "wanted START, STOP or POINT"
                other = f"started twice, first in {since[key][1]}" if key in since else other
                raise ValueError(f"{at}: {shown(label)}: {shown(status)}: {other}")
    for (_, label), (_, place) in since.items():
        with reading.row(where, place, name):
            raise ValueError(f"{where}: {place}: {shown(label)} starts and never stops")
    yield Annotated(name, sorted(rows, key=lambda row: row.start), file)


def rttm(file: Path, signals: Collection[str], reading: Reading) -> Iterator[Annotated]:
    """Speaker turns of several recordings; the stretches annotated are in the ``.uem`` beside."""
    where, by_name = shown_path(file), dict[str, list[Row]]()
    for place, fields in _words(file):
        if fields[0] != "SPEAKER":
            continue
        with reading.row(where, place):
            if len(fields) < 8:
                raise ValueError(
                    f"{where}: {place}: {len(fields)} fields; wanted SPEAKER, recording, channel, start, "
                    "duration, two more, speaker"
                )
            rows = by_name.setdefault(fields[1], [])
            start = number(fields[3], f"{where}: {place}", "start")
            size = number(fields[4], f"{where}: {place}", "duration")
            # Sums of decimals, without the noise of binary ones.
            rows.append(Row(start, round(start + size, 9), fields[7], place))
    stretches_file = file.with_suffix(".uem")
    looked_at = _uem(stretches_file, reading) if stretches_file.exists() else None
    for name in {**dict.fromkeys(looked_at or ()), **by_name}:
        stretches = None if looked_at is None else looked_at.get(name, [])
        yield Annotated(name, by_name.get(name, []), file, annotated=stretches)


def _words(file: Path) -> Iterator[tuple[str, list[str]]]:
    for i, line in enumerate(read_text(file).splitlines(), 1):
        if line.strip() and not line.lstrip().startswith(";"):
            yield f"line {i}", line.split()


def _uem(file: Path, reading: Reading) -> Mapping[str, list[tuple[float, float]]]:
    where, found = shown_path(file), dict[str, list[tuple[float, float]]]()
    for place, fields in _words(file):
        with reading.row(where, place):
            if len(fields) != 4:
                raise ValueError(
                    f"{where}: {place}: {len(fields)} fields; wanted recording, channel, start, end"
                )
            stretches = found.setdefault(fields[0], [])
            start, end = (number(text, f"{where}: {place}", "a time") for text in fields[2:])
            stretches.append((start, end))
    return found
