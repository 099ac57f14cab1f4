"""A label for every step, in a column of the recording or in a text beside it, as spans."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from spanloc.data.annotations.rows import Annotated, Content, Reading, Row, listed, refuse
from spanloc.data.annotations.texts import read_text
from spanloc.data.signals import Signal, open_signal
from spanloc.data.signals.clock import Clock
from spanloc.data.signals.opening import column_names
from spanloc.data.signals.reading import shown_path
from spanloc.files import counted

#: Suffixes of recordings that may have a column of labels.
TABLES = (".csv", ".tsv", ".parquet")
#: Labels that say that nothing is there, in small letters.
BACKGROUND = ("0", "null", "none", "nan", "background")


class Run(NamedTuple):
    """Steps with the same label, from ``first`` to before ``last``."""

    first: int
    last: int
    label: str


def columns_of_first(signals: Mapping[str, Path]) -> list[str]:
    """The columns of the first table among recordings; none without a table."""
    first = next((path for path in signals.values() if path.suffix.lower() in TABLES), None)
    return [] if first is None else column_names(first)


def of_columns(root: Path, signals: Mapping[str, Path], reading: Reading) -> Content:
    """The labels in a column of each recording: neighbouring rows with the same label are a span.

    A column of subjects says whom a recording is of.
    """
    sequences = []
    for name, path in signals.items():
        where = shown_path(path)
        try:
            sequences.append(_of_column(path, name, reading, where))
        except (ValueError, OSError) as error:
            refuse(reading.refused, error, where, sequence=name)
    return Content(root, sequences, background=BACKGROUND)


def _of_column(path: Path, name: str, reading: Reading, where: str) -> Annotated:
    column, subject = reading.column("label"), reading.column("subject")
    if path.suffix.lower() not in TABLES:
        raise ValueError(f"{where}: wanted {', '.join(TABLES)}, with a column of labels")
    if column not in (names := column_names(path)):
        raise ValueError(
            f"{where}: there is no column {column!r:.60} with labels; it has {listed(names)}; set "
            "'data.columns={label: NAME}' (NAME: your column)"
        )
    signal = open_signal(path, **reading.options, skip=(column, subject))
    people = {run.label for run in _in_column(signal, subject)} - {""}
    if len(people) > 1:
        raise ValueError(
            f"{where}: column {subject!r:.60} names {len(people)} subjects; wanted one: write a file for each"
        )
    rows = _rows(_in_column(signal, column), signal)
    return Annotated(name, rows, path, subject=next(iter(people), None), signal=signal)


def of_text(file: Path, signals: Mapping[str, Path], reading: Reading) -> Iterable[Annotated]:
    """The labels in a text, a line for each step of the recording of that name."""
    where = shown_path(file)
    if file.stem not in signals:
        raise ValueError(f"{where}: there is no recording {file.stem!r:.60}")
    signal = open_signal(signals[file.stem], **reading.options)
    try:
        rows = of_labels(read_text(file).splitlines(), signal)
    except ValueError as error:
        raise ValueError(f"{where}: {str(error).removeprefix(f'{where}: ')}") from None
    yield Annotated(file.stem, rows, file, signal=signal)


def of_labels(labels: Iterable[Any], signal: Signal) -> list[Row]:
    """The labels of the steps of a signal as rows.

    Raises:
        ValueError: There are not as many labels as steps.
    """
    known = [None if label is None else str(label) for label in labels]
    if len(known) != signal.num_steps:
        raise ValueError(
            f"{counted(len(known), 'label')}; wanted one for each of the {counted(signal.num_steps, 'step')} "
            f"of {shown_path(signal.path)}"
        )
    return _rows(_joined((label, 1) for label in known), signal)


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
    """Labels and for how many steps each, one after the other; neighbours that are the same as one.

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
    # Numbers come as 1, 1.0 or "1" from the same program.
    text = (label or "").strip()
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def _rows(runs: Sequence[Run], signal: Signal) -> list[Row]:
    """The runs that have a label, in steps of the signal."""
    clock: Clock | None = getattr(signal, "clock", None)
    places = None if clock is None else clock.places
    rows = []
    for first, last, label in runs:
        if not label:
            continue
        start, end = float(first), float(last)
        if places is not None:
            start = float(places[first])
            end = float(places[last]) if last < len(places) else float(signal.num_steps)
        rows.append(Row(start, end, label, f"step {first}"))
    return rows
