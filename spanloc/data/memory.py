"""Data from memory: arrays and spans, data frames, data sets of rows."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from spanloc.data.annotated import AnnotatedData
from spanloc.data.annotations.flat import content_of
from spanloc.data.annotations.folder import read_annotations
from spanloc.data.annotations.meaning import Meaning
from spanloc.data.annotations.per_step import of_labels
from spanloc.data.annotations.pieces import NO_LABEL
from spanloc.data.annotations.problems import bad_span_notes
from spanloc.data.annotations.records import lay
from spanloc.data.annotations.rows import Annotated, BadSpan, Content, Reading, nearest
from spanloc.data.signals import ArraySignal
from spanloc.files import shown

_MEANING = {field.name for field in fields(Meaning)} - {"fps"}
# Beside the meaning of spans, arrays share on_rate with files.
_OF_FILES = {*inspect.signature(read_annotations).parameters} - _MEANING - {"on_rate"}
_SPLITS = {"train": "training", "validation": "validation", "test": "testing"}
_FILE = Path("spans")


def from_arrays(
    signals: Mapping[str, Any],
    spans: Any,
    *,
    rate: float | Mapping[str, float],
    channels: Sequence[str] | None = None,
    subsets: Mapping[str, str] | None = None,
    subjects: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    **options: Any,
) -> AnnotatedData:
    """A DataModule of arrays in memory and their spans.

    Args:
        signals: Arrays ``(steps, channels)`` by id, a text.
        spans: By id, lists of ``(start, end, label)``, or of ``(start, end)``; or a data frame of pandas
            or polars, or a list of mappings, with ``sequence``, ``start``, ``end``, and perhaps
            ``label``, ``subset``, ``subject``. Half-open, in seconds, unless the options say otherwise.
            A signal without any is a sequence without spans. An array or list with a label for each step may
            stand for the list of a signal. Labels are names: numbers become texts, and
            are sorted as texts (1, 10, 2) unless ``classes`` gives their order.
        rate: Steps per second, of all signals or by id.
        channels: Names of the channels.
        subsets: ``training``, ``validation`` or ``testing``, by id; those left out are for training.
        subjects: Whom signals are of, by id.
        columns: The names of the columns of the data frame where they differ: ``{"start": "onset"}``.
        options: Of :class:`AnnotatedData`; and ``unit``, ``ends``, ``first_index``, ``feature_stride``,
            ``feature_window``, ``classes``, ``label_map``, ``unknown``, ``ignore``, ``background``,
            ``moment_seconds``, ``annotated``, ``bad_spans`` and ``found`` as in :func:`~spanloc.data.read_annotations`.

    Raises:
        ValueError: A span is bad, there is no signal of its sequence, or an array is off.

    >>> data = from_arrays({"a": np.zeros((100, 3))}, {"a": [(0.5, 1.0, "walk")]}, rate=50)
    >>> data.annotations.subsets["training"][0].spans
    tensor([[25., 50.]])
    """
    if not isinstance(signals, Mapping):
        came = type(signals).__name__
        raise ValueError(f"signals is a {came}; wanted arrays by id: {{'one': array, ...}}")
    for name in signals:
        if not isinstance(name, str):
            raise ValueError(f"signals: the id {name!r} is no text; wanted {str(name)!r}")
    per_step = {}
    if isinstance(spans, Mapping):
        per_step = {name: own for name, own in spans.items() if _is_per_step(own)}
        spans = {name: own for name, own in spans.items() if name not in per_step}
    given = {name: options[name] for name in ("unit", "ends", "moment_seconds") if name in options}
    with _as_arguments():
        content = content_of(_rows(spans), _FILE, Reading(columns or {}, **given))
    known = {entry.id: entry for entry in content.sequences}
    known |= {name: Annotated(name, [], _FILE) for name in per_step}
    for what, names in (("spans", known), ("subsets", subsets), ("subjects", subjects)):
        for name in names or ():
            if name not in signals:
                raise ValueError(
                    f"{what}: there is no signal {shown(name)}{nearest(str(name), [*signals])}"
                )
    entries = {name: known.get(name, Annotated(name, [], _FILE)) for name in signals}
    for name, subset in (subsets or {}).items():
        entry = entries[name]
        entries[name] = replace(entry, subset=Reading().subset(subset, entry.where))
    for name, subject in (subjects or {}).items():
        entries[name] = replace(entries[name], subject=str(subject))
    with _as_arguments():
        data = _data([*entries.values()], signals, rate, channels, options, per_step)
    if silent := [name for name in signals if name not in known]:
        some = f"{len(silent)} of {len(signals)} signals, such as {shown(silent[0])}"
        data.notes.append(f"not in spans, and taken as sequences without any: {some}")
    return data


def from_dataset(
    rows: Any,
    *,
    rate: float | str,
    id: str = "id",  # noqa: A002, as the column is called
    features: str = "features",
    spans: str = "spans",
    labels: str | None = None,
    subset: str = "subset",
    subject: str = "subject",
    channels: Sequence[str] | None = None,
    **options: Any,
) -> AnnotatedData:
    """A DataModule of rows that hold a sequence each, such as a ``datasets.Dataset`` of Hugging Face.

    All of it is read into memory. A mapping of such, as ``datasets.DatasetDict``, has a split
    ``train`` and perhaps ``validation`` and ``test``, which are the subsets.

    Args:
        rows: Mappings from columns to values.
        rate: Steps per second, or the column that has it.
        id: The column with the name of the sequence; without it, the number of the row is the name.
        features: The column with ``(steps, channels)``.
        spans: The column with a list of ``{"start", "end", "label"}``, the same as an object of lists, or
            a list of ``(start, end)`` or ``(start, end, label)``.
        labels: The column with the labels, in the order of the spans, where these have none.
        subset, subject: The columns with these, where they are there.
        channels: Names of the channels.
        options: As in :func:`from_arrays`.

    Raises:
        ValueError: A column is missing, an id is there twice, or as in :func:`from_arrays`.
    """
    arrays: dict[str, Any] = {}
    rates: dict[str, float] = {}
    found: list[dict[str, Any]] = []
    needed = [features, spans, *(name for name in (labels, rate) if isinstance(name, str))]
    for number, (split, row) in enumerate(_split_rows(rows)):
        where = f"row {number}"
        for column in needed:
            if column not in row:
                raise ValueError(
                    f"{where}: there is no column {column!r}{nearest(column, list(map(str, row)))}"
                )
        name = str(row[id]) if id in row else str(number)
        if name in arrays:
            raise ValueError(f"{where}: {id} is {shown(name)}, as in a row before")
        arrays[name] = row[features]
        rates[name] = row[rate] if isinstance(rate, str) else rate
        own = {"sequence": name, "subset": split or row.get(subset), "subject": row.get(subject)}
        found.append({**own, "start": None, "end": None})
        names = row[labels] if labels is not None else None
        found += [{**own, **span} for span in _spans(row[spans], names, f"{where}: {spans}")]
    return from_arrays(arrays, found, rate=rates, channels=channels, **options)


def _data(
    entries: Sequence[Annotated],
    signals: Mapping[str, Any],
    rate: float | Mapping[str, float],
    channels: Sequence[str] | None,
    options: Mapping[str, Any],
    per_step: Mapping[str, Any],
) -> AnnotatedData:
    if not entries:
        raise ValueError("signals: there are none")
    for name in options:
        if name in _OF_FILES:
            raise ValueError(f"{name}: that is for files")

    def signal_of(entry: Annotated) -> ArraySignal:
        if entry.id not in rates:
            raise ValueError(f"rate: there is none of {shown(entry.id)}")
        try:
            # The features of videos have the rate of the frames, not their own.
            own = rates[entry.id] if meaning.feature_stride is None else None
            return ArraySignal(np.asarray(signals[entry.id]), own, channels, name=entry.id)
        except (TypeError, ValueError) as error:
            text = str(error).partition("\n")[0].removeprefix(f"{entry.id}: ")
            raise ValueError(f"signals: {shown(entry.id)}: {text}") from None

    fps = None if isinstance(rate, Mapping) else rate
    rates = rate if isinstance(rate, Mapping) else dict.fromkeys(signals, rate)
    own = {name: value for name, value in options.items() if name in _MEANING}
    meaning = Meaning(fps=fps, **{"found": list[BadSpan](), **own})
    if meaning.feature_stride is not None and fps is None:
        entries = [replace(entry, fps=rates.get(entry.id)) for entry in entries]
    entries = [
        _labelled(e, per_step[e.id], signal_of(e)) if e.id in per_step else e for e in entries
    ]
    annotations = lay(Content(_FILE, entries), signal_of, meaning)
    others = {name: value for name, value in options.items() if name not in _MEANING}
    data = AnnotatedData(annotations, **others)
    data.notes += map(_argued, bad_span_notes(meaning.found or (), meaning.bad_spans))
    return data


def _is_per_step(spans: Any) -> bool:
    # Spans are pairs, mappings, or columns by name; labels are single values.
    def single(value: Any) -> bool:
        listed = isinstance(value, Iterable) and not isinstance(value, str | bytes)
        return not listed or getattr(value, "ndim", 1) == 0

    if single(spans) or isinstance(spans, Mapping) or getattr(spans, "ndim", 1) > 1:
        return False
    return single(next(iter(spans), ()))


def _labelled(entry: Annotated, labels: Any, signal: ArraySignal) -> Annotated:
    try:
        return replace(entry, rows=of_labels(np.asarray(labels).tolist(), signal), signal=signal)
    except ValueError as error:
        wanted = f"{error}; or spans: [(start, end, label), ...]"
        raise ValueError(f"spans: {shown(entry.id)}: {wanted}") from None


@contextmanager
def _as_arguments() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(_argued(str(error))) from None


def _argued(text: str) -> str:
    # A message names settings of a command, as data.unit=steps; here they are arguments: unit='steps'.
    text = re.sub(r"\bdata\.(unit|ends|bad_spans)=([\w-]+)", r"\1='\2'", text)
    return re.sub(r"\bdata\.(?=[a-z_]+[=: );])", "", text.replace("data.fps is", "rate is"))


def _rows(spans: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(spans, Mapping):
        for name, own in spans.items():
            yield "a row", {"sequence": name, "start": None, "end": None}
            for i, span in enumerate(_spans(own, None, f"spans: {shown(name)}")):
                yield f"row {i}", {"sequence": name, **span}
        return
    if hasattr(spans, "to_dicts"):
        spans = spans.to_dicts()  # polars
    elif hasattr(spans, "to_pylist"):
        spans = spans.to_pylist()  # pyarrow
    elif hasattr(spans, "to_dict") and hasattr(spans, "columns"):
        spans = spans.to_dict("records")  # pandas
    for i, row in enumerate(spans):
        if not isinstance(row, Mapping):
            raise ValueError(
                f"spans: row {i} is {shown(row)}; wanted lists by id, or rows with columns"
            )
        yield f"row {i}", row


def _split_rows(rows: Any) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    if not isinstance(rows, Mapping):
        yield from ((None, row) for row in rows)
        return
    for split, part in rows.items():
        if split not in _SPLITS:
            raise ValueError(f"there is a split {split!r}; wanted {', '.join(_SPLITS)}")
        yield from ((_SPLITS[split], row) for row in part)


def _spans(spans: Any, labels: Any, where: str) -> Iterator[dict[str, Any]]:
    if isinstance(spans, Mapping):
        columns = {name: list(spans[name]) for name in ("start", "end", "label") if name in spans}
        if len({*map(len, columns.values())}) > 1 or not {"start", "end"} <= columns.keys():
            raise ValueError(f"{where}: wanted lists start, end and label of one length")
        spans = [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]
    rows = list(spans)
    if labels is not None and len(labels) != len(rows):
        raise ValueError(f"{where}: {len(rows)} spans and {len(labels)} labels; wanted one each")
    for i, row in enumerate(rows):
        if isinstance(row, Mapping):
            if not {"start", "end"} <= row.keys():
                raise ValueError(f"{where}: [{i}] is {shown(dict(row))}; wanted start and end")
            span = {name: row[name] for name in ("start", "end", "label") if name in row}
        else:
            values = list(row) if isinstance(row, Iterable) and not isinstance(row, str) else []
            if len(values) not in (2, 3):
                raise ValueError(f"{where}: [{i}] is {shown(row)}; wanted (start, end, label)")
            span = dict(zip(("start", "end", "label"), values, strict=False))
        span.setdefault("label", NO_LABEL)
        yield span | ({} if labels is None else {"label": labels[i]})
