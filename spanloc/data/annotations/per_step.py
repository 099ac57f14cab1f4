"""A label for every step, in a column of the recording or in a text beside it, as spans."""

import logging
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spanloc.data.annotations.columns import FIELDS
from spanloc.data.annotations.meaning import Meaning
from spanloc.data.annotations.rows import Annotated, Content, Reading, Row, misspelt, refuse
from spanloc.data.annotations.texts import read_text
from spanloc.data.quotes import quoted
from spanloc.data.signals import Signal, open_signal
from spanloc.data.signals.clock import Clock
from spanloc.data.signals.opening import column_names
from spanloc.data.signals.protocol import place_of_row
from spanloc.data.signals.reading import listed, shown_path
from spanloc.data.signals.regular import GAP
from spanloc.files import counted

log = logging.getLogger(__name__)
#: Suffixes of recordings that may have a column of labels.
TABLES = (".csv", ".tsv", ".txt", ".parquet")
# Labels that say that nothing is there, in small letters; and those that stand for a missing one.
_MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none")
_BACKGROUND = (*_MISSING, "0", "false", "background")
# Those that may say so.
_PERHAPS = (
    *("rest", "resting", "idle", "baseline", "normal", "other", "others", "nothing", "no event"),
    *("noise", "silence", "unlabeled", "unlabelled", "no activity"),
)
_DECIMAL = re.compile(r"[-+]?\d+(?:[.,]\d*(?:e[-+]?\d+)?|e[-+]?\d+)", re.I)
# More are numbers that were measured.
_MOST_LABELS = 1000


class Run(NamedTuple):
    """Rows with the same label, from ``first`` to before ``last``."""

    first: int
    last: int
    label: str


def find_columns(signals: Mapping[str, Path], reading: Reading) -> tuple[list[str], bool]:
    """All columns of the recordings, and whether any has the column of labels."""
    known: dict[str, None] = {}
    for path in signals.values():
        try:
            names = _columns(path, reading)
        except (ValueError, OSError):
            continue
        if _found(reading.column("label"), names):
            return names, True
        known |= dict.fromkeys(names)
    return [*known], False


def listed_columns(columns: Sequence[str]) -> str:
    """Names of columns for an error, or their numbers.

    >>> listed_columns(["time", "x"]), listed_columns(["0", "1"])
    ("'time', 'x'", '0 to 1, as the columns have no names')
    """
    if [*columns] == [str(i) for i in range(len(columns))]:
        return f"0 to {len(columns) - 1}, as the columns have no names"
    return listed(columns)


def _columns(path: Path, reading: Reading) -> list[str]:
    beside = (reading.column("label"), reading.column("subject"), str(reading.options.get("time")))
    return column_names(path, beside) if path.suffix.lower() in TABLES else []


def _found(name: str, names: Sequence[str]) -> str | None:
    """The column of that name; one that differs by capital letters, where it is the only one."""
    alike = [own for own in names if own.casefold() == name.casefold()]
    return name if name in names else alike[0] if len(alike) == 1 else None


def of_columns(root: Path, signals: Mapping[str, Path], reading: Reading) -> Content:
    """The labels in a column of each recording: neighbouring rows with the same label are a span.

    A column of subjects says whom a recording is of. Files without the column are left out.
    """
    if unknown := {*reading.columns} - {*FIELDS}:
        raise ValueError(f"data.columns: no field {min(unknown)!r}; wanted label, subject or time")
    sequences, left = [], []
    for name, path in signals.items():
        try:
            if _found(reading.column("label"), _columns(path, reading)):
                sequences.append(_of_column(path, name, reading))
            else:
                left.append(name)
        except (ValueError, OSError) as error:
            refuse(reading.refused, error, shown_path(path), sequence=name)
    if not sequences and not reading.refused:
        (columns, _), asked = find_columns(signals, reading), reading.column("label")
        there = f"the columns are {listed_columns(columns)}"
        remedy = "set 'data.columns={label: NAME}' (NAME: your column)"
        if near := misspelt(asked, columns):
            remedy = f"did you mean {near!r:.60}?"
        if not columns:
            there = f"wanted recordings in {', '.join(TABLES)}"
        raise ValueError(f"{root}: no recording has a column {asked!r:.60}; {there}; {remedy}")
    if left:
        column = reading.column("label")
        log.warning("%s: left out, without a column %r: %s", root, column, listed(left))
    return Content(root, sequences)


def _of_column(path: Path, name: str, reading: Reading) -> Annotated:
    where, names = shown_path(path), _columns(path, reading)
    label = _found(reading.column("label"), names) or ""
    subject = _found(reading.column("subject"), names)
    if subject is None and "subject" in reading.columns:
        asked = reading.column("subject")
        raise ValueError(f"{where}: there is no column {asked!r:.60}; it has {listed(names)}")
    signal = open_signal(path, **reading.options, skip=(label, subject or ""))
    runs = _in_column(signal, label)
    if (count := len({run.label for run in runs})) > _MOST_LABELS:
        raise ValueError(
            f"{where}: column {label!r:.60} has {count:,} different values; wanted labels, and "
            "'data.columns={label: NAME}' if they are in another column"
        )
    people = Counter[str]()
    for run in _in_column(signal, subject) if subject else ():
        if run.label.lower() not in _MISSING:
            people[run.label] += run.last - run.first
    if len(people) > 1:
        some = (f"{person!r:.60} in {counted(n, 'row')}" for person, n in people.most_common(3))
        raise ValueError(
            f"{where}: column {subject!r:.60} names {len(people)} subjects: {', '.join(some)}; wanted one "
            "in a file"
        )
    return Annotated(
        name, _rows(runs, signal), path, subject=next(iter(people), None), signal=signal
    )


def of_text(file: Path, name: str, reading: Reading) -> Iterable[Annotated]:
    """The labels in a text, a line for each step of its recording."""
    where = shown_path(file)
    signal = open_signal(reading.signals[name], **reading.options)
    lines, count = read_text(file, empty=True).splitlines(), len(_places(signal))
    while len(lines) > count and not lines[-1].strip():
        lines.pop()
    try:
        rows = of_labels(lines, signal)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    yield Annotated(name, rows, file, signal=signal)


def of_labels(labels: Iterable[Any], signal: Signal) -> list[Row]:
    """The labels of the rows of a signal as spans."""
    known = [label.decode() if isinstance(label, bytes) else label for label in labels]
    if len(known) != (wanted := len(_places(signal))):
        raise ValueError(
            f"{counted(len(known), 'label')}; wanted one for each of the {counted(wanted, 'row')} of "
            f"{shown_path(signal.path)}"
        )
    texts = (None if label is None else str(label) for label in known)
    return _rows(_joined((text, 1) for text in texts), signal)


def prepared(content: Content, meaning: Meaning) -> Content:
    """Join neighbouring spans that get the same label, and drop those with a usual word for background.

    Only of labels of steps. A word that a setting names is not dropped.
    """
    per_step = [entry for entry in content.sequences if entry.signal is not None]
    if not per_step:
        return content
    new = {str(old): str(label) for old, label in (meaning.label_map or {}).items()}
    named = {*new, *new.values()}
    named |= {*map(str, (*meaning.unknown, *meaning.ignore, *(meaning.classes or ())))}
    labels = {row.label for entry in per_step for row in entry.rows}
    usual = {label for label in labels if label.lower() in _BACKGROUND} - named
    background = {""} if meaning.background is not None else usual
    if shown := sorted(background & labels - {""}):
        log.warning(
            "%s: where the label is %s, there is no span; data.background=[] makes spans of it; if it means "
            "that nobody watched: 'data.ignore=[%s]'",
            content.file, listed(shown), ", ".join(map(quoted, shown)),
        )  # fmt: skip
    perhaps = sorted(label for label in labels - named if label.lower() in _PERHAPS)
    if perhaps and meaning.background is None:
        log.warning(
            "%s: where the label is %s, there is a span; if it means that nothing happens: %s",
            content.file, listed(perhaps),
            f"'data.background=[{', '.join(map(quoted, [*perhaps, *shown]))}]'",
        )  # fmt: skip

    def name_of(label: str) -> str:
        return new.get(label, label)

    def joined(entry: Annotated) -> Annotated:
        rows: list[Row] = []
        for row in entry.rows:
            before = rows[-1] if rows else None
            if row.label in background:
                continue
            if before and before.end == row.start and name_of(before.label) == name_of(row.label):
                rows[-1] = before._replace(end=row.end)
            else:
                rows.append(row)
        return replace(entry, rows=rows)

    sequences = [joined(entry) if entry.signal else entry for entry in content.sequences]
    if not new:
        return replace(content, sequences=sequences)
    # A label that has become part of its neighbours is known all the same.
    every = (row.label for entry in content.sequences for row in entry.rows)
    names = {label for label in every if isinstance(label, str) and label} - background
    classes = sorted(names, key=name_of)
    return replace(content, sequences=sequences, classes=classes)


def _in_column(signal: Signal, column: str) -> list[Run]:
    from pyarrow import compute

    texts: Any = getattr(signal, "texts", None)
    arrays = [] if texts is None else map(compute.run_end_encode, texts(column))
    parts = ((array.values.to_pylist(), array.run_ends.to_pylist()) for array in arrays)
    return _joined(
        (label, end - first)
        for labels, ends in parts
        for label, first, end in zip(labels, [0, *ends], ends, strict=False)
    )


def _joined(parts: Iterable[tuple[str | None, int]]) -> list[Run]:
    """Labels and for how many rows each, one after the other; neighbours that are the same as one.

    >>> _joined([("a", 2), ("1.0", 1), ("1", 3)])
    [Run(first=0, last=2, label='a'), Run(first=2, last=6, label='1')]
    """
    runs, first = [], 0
    for label, group in groupby(parts, key=lambda part: _plain(part[0])):
        last = first + sum(count for _, count in group)
        runs.append(Run(first, last, label))
        first = last
    return runs


def _plain(label: str | None) -> str:
    """A label in one spelling, whatever program wrote it.

    >>> [_plain(text) for text in ("1.000e+00", "0,0", "1.50", "007", "false", ' "walk"')]
    ['1', '0', '1.5', '007', 'False', 'walk']
    """
    text = (label or "").strip().strip('"')
    if _DECIMAL.fullmatch(text):
        value = float(text.replace(",", "."))
        return f"{value:.0f}".replace("-0", "0") if value == round(value) else repr(value)
    return text.capitalize() if text.lower() in ("true", "false") else text


def _places(signal: Signal) -> np.ndarray:
    """The places of the rows of a signal among its steps."""
    clock: Clock | None = getattr(signal, "clock", None)
    known = None if clock is None else clock.places
    return np.arange(signal.num_steps) if known is None else known


def _rows(runs: Sequence[Run], signal: Signal) -> list[Row]:
    """The runs in steps of the signal; a gap in its times ends them, unless they are longer on either side."""
    places = _places(signal)
    after_gap = np.flatnonzero(np.diff(places) > GAP) + 1
    ends = {len(places), *after_gap.tolist()}
    rows = []
    for run in runs:
        inside = after_gap[(after_gap > run.first) & (after_gap < run.last)].tolist()
        cuts = [run.first, *inside, run.last]
        # The shorter gaps first: the order of time does not matter.
        for row in sorted(inside, key=lambda row: places[row] - places[row - 1]):
            before, after, i = places[row - 1], places[row], bisect_left(cuts, row)
            sides = before - places[cuts[i - 1]], places[cuts[i + 1] - 1] - after
            if after - before < min(sides):
                del cuts[i]
        for first, last in pairwise(cuts):
            end = places[last - 1] + 1 if last in ends else places[last]
            where = place_of_row(signal, round(float(places[first])))
            rows.append(Row(float(places[first]), float(end), run.label, where))
    return rows
