"""Predictions and annotations from files, checked row by row."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from spanloc.data.annotations.beside import without_suffix
from spanloc.data.annotations.columns import Columns
from spanloc.data.annotations.lists import MOST, Truths, annotated, predicted
from spanloc.data.annotations.meaning import SIZES
from spanloc.data.annotations.pieces import NO_LABEL, Piece, floats
from spanloc.data.annotations.problems import Problems
from spanloc.data.annotations.rows import Unit
from spanloc.data.annotations.tables import FIELDS, read_rows
from spanloc.data.annotations.units import unlike
from spanloc.data.signals.reading import shown_path
from spanloc.files import shown
from spanloc.structures import Predictions, Targets


@dataclass(frozen=True)
class Scored:
    """Predictions and annotations of two files.

    Attributes:
        predictions, targets: Their rows, of the sequences of the annotations.
        classes: Names of the labels.
        durations: Of those sequences whose annotations say it, by id.
        problems: What was left out, of the annotations and of the predictions.
        unread: Columns that may be labels, by file, where no file has labels.
        unit: What to set where one file seems to be in milliseconds and the other in seconds; or empty.
    """

    predictions: Predictions
    targets: Targets
    classes: list[str]
    durations: Mapping[str, float]
    problems: Sequence[Problems]
    unread: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unit: str = ""


def read_scored(
    predictions: str | Path,
    annotations: str | Path,
    *,
    subset: str | None = None,
    invalid: str = "error",
    columns: Mapping[str, Mapping[str, str] | None] | None = None,
    unit: str | Mapping[str, str] = "seconds",
) -> Scored:
    """Read predictions and the annotations they are to be compared with.

    A file is ActivityNet's JSON (``{"results": {id: [{"segment": [start, end], "label", "score"}]}}``,
    and ``{"database": {id: {"subset", "duration", "annotations": [{"segment", "label"}]}}}``), which is
    read at once, or Parquet, JSON Lines or a text of ``sequence, start, end, label, score`` separated by
    commas, semicolons or tabs, read in pieces. As in the tables of
    :func:`~spanloc.data.read_annotations`, numbers beside semicolons or tabs may have decimal commas,
    times may be ``mm:ss`` or ``hh:mm:ss``, and a ``duration`` may take the place of the end. Without a
    label it is ``span``, without a score 1, so that the predictions may be another annotator's
    annotations. The sequences and the labels are those of the annotations; a sequence may be named by its
    recording's file in one of the files, and by its id, without the suffix, in the other. A sequence without any is
    listed in JSON with none, and in the others by a row of its name alone, with empty fields. A sequence
    of JSON may have ``"annotated": [[start, end]]``, the stretches that were looked at; the rest of it,
    up to its duration where that is known, is ignored.

    Args:
        predictions, annotations: Files, named ``.json``, ``.jsonl``, ``.csv``, ``.tsv`` or ``.parquet``.
        subset: Of the annotations, where they are JSON; None takes all.
        invalid: What happens to a row of an unknown sequence or label, with a reversed span, or with a
            number that is not finite: ``error``, or ``skip``. A line that is no row is always an error.
        columns: What the columns of a table are called, by ``predictions`` and ``annotations``, as
            ``{"annotations": {"start": "onset"}}``.
        unit: Of the times, of both files or likewise: ``seconds`` or ``milliseconds``, which become
            seconds. Times in another unit may stay as they are, if both files have it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file is not in such a format, or holds rows that are not valid; it says how many
            of each kind, and where the first of them is.
    """
    if invalid not in ("error", "skip"):
        raise ValueError(f"invalid is {invalid!r}; it may be error or skip")
    paths = {"annotations": annotations, "predictions": predictions}
    units = dict.fromkeys(paths, unit) if isinstance(unit, str) else unit
    true, found = (
        _File(name, Path(path), (columns or {}).get(name) or {}, units.get(name, "seconds"))
        for name, path in paths.items()
    )
    truths = true.annotated(subset)
    sequences = {name: i for i, name in enumerate(truths.sequences)}
    labels = {name: i for i, name in enumerate(truths.classes)}
    true_rows = _Rows(true, sequences, labels, new_sequences=True, new_labels=not labels)
    true_rows.take(truths.pieces, invalid)
    if not any(len(part[0]) for part in true_rows.parts):
        where = "" if subset is None else f" in the subset {subset!r}"
        raise ValueError(f"{annotations}: there is no annotated span{where}")
    rows = _Rows(found, sequences, labels)
    rows.take(found.predicted(), invalid)
    ids = tuple(sequences)
    spans, scores, numbers, places = rows.tensors()
    true_spans, _, true_numbers, true_places = true_rows.tensors()
    nothing = torch.zeros(0, 2, dtype=torch.float64)
    ignored = tuple(truths.unseen.get(name, nothing) for name in ids if truths.unseen)
    files = [file for file in (true, found) if file.columns.unread]
    unread = {shown_path(file.path): file.columns.unread for file in files}
    all_found = Predictions(spans, numbers, places, ids, scores=scores)
    all_true = Targets(true_spans, true_numbers, true_places, ids, ignored=ignored)
    return Scored(
        all_found,
        all_true,
        list(labels),
        truths.durations,
        [true.problems, found.problems],
        unread if [*labels] == [NO_LABEL] else {},
        unlike(all_true, all_found, {"annotations": true.unit, "predictions": found.unit}),
    )


class _File:
    """A file to read, and how."""

    def __init__(self, name: str, path: Path, columns: Mapping[str, str], unit: str) -> None:
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            what = f"{kind}; wanted a file" if path.exists() else "no such file"
            labels = path.is_dir() and name == "annotations"
            hint = "; of a folder with label files: spanloc-evaluate data.root=FOLDER" * labels
            raise FileNotFoundError(f"{path}: {what} ({name}){hint}")
        if unit not in SIZES:
            raise ValueError(f"unit.{name} is {unit!r}; wanted seconds or milliseconds")
        self.path, self.unit, self.size = path, cast(Unit, unit), SIZES[unit]
        self.problems = Problems(str(path), name)
        self.is_json = path.suffix.lower() == ".json"
        if self.is_json and columns:
            raise ValueError(f"columns.{name} is set; {path} is no table")
        # What training takes may name the subjects too.
        columns = {field: column for field, column in columns.items() if field != "subject"}
        self.columns = Columns(columns, fields=FIELDS, setting=f"columns.{name}")

    def annotated(self, subset: str | None) -> Truths:
        if self.is_json:
            return annotated(self.path, subset, self.size)
        if subset is not None:
            raise ValueError(f"subset is {subset!r}; only annotations in a .json have subsets")
        return Truths(read_rows(self.path, self.columns, self.unit))

    def predicted(self) -> Iterable[Piece]:
        return (
            predicted(self.path) if self.is_json else read_rows(self.path, self.columns, self.unit)
        )


@dataclass
class _Rows:
    """The valid rows of a file; sequences and labels are numbers, in the order of their appearance.

    Args:
        file: Its problems are the other rows.
        sequences, labels: Their numbers, shared by both files.
        new_sequences, new_labels: Whether names that are not among them are added, or are unknown.
    """

    file: _File
    sequences: dict[str, int]
    labels: dict[str, int]
    new_sequences: bool = False
    new_labels: bool = False
    parts: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def take(self, pieces: Iterable[Piece], invalid: str) -> None:
        """Take the valid rows, and count the others."""
        for piece in pieces:
            self._add(piece)
        self.file.problems.settle(invalid, any(len(part[0]) for part in self.parts))

    def _add(self, piece: Piece) -> None:
        import pyarrow as pa

        sequences = _codes(piece.sequence, self._sequence)
        # A row that names a sequence alone says that there is nothing in it; a prediction with a score
        # lacks its span.
        valid = _there(piece.start) | _there(piece.end)
        if not self.new_sequences:
            valid |= (sequences < 0) | (piece.score is not None and _there(piece.score))
        labels = np.full(len(valid), -1, np.int32)
        title = pa.repeat(NO_LABEL, len(valid)) if piece.label is None else piece.label
        number = partial(_number, self.labels, self.new_labels)
        labels[valid] = _codes(title.filter(valid), number)
        ends = self.file.size * np.stack([floats(piece.start), floats(piece.end)], 1)
        score = np.ones(len(valid)) if piece.score is None else floats(piece.score)

        def span(i: int) -> str:
            return f"[{_written(piece.start, i)}, {_written(piece.end, i)}]"

        def scored(i: int) -> str:
            return _written(piece.score, i)

        problems = self.file.problems
        for kind, bad, show in (
            ("an unknown sequence", sequences < 0, lambda i: shown(piece.sequence[i].as_py())),
            ("an unknown label", labels < 0, lambda i: self._label(title[i].as_py())),
            ("a start or end that is no finite number", ~np.isfinite(ends).all(1), span),
            (f"a start or end beyond {MOST:g}", np.abs(ends).max(1) > MOST, span),
            ("an end before the start", ends[:, 0] > ends[:, 1], span),
            ("a score that is no finite number", ~np.isfinite(score), scored),
        ):
            bad = bad & valid
            if bad.any():
                i = int(bad.argmax())
                # Only of the first: to find its line takes time.
                new = kind not in problems.counts()
                example = f"{show(i)} ({piece.place(i)})" if new else ""
                problems.add(kind, int(bad.sum()), example)
                valid &= ~bad
        columns = (ends, score, labels, sequences)
        self.parts.append(tuple(column[valid] for column in columns))

    def tensors(self) -> tuple[Tensor, ...]:
        """Spans, scores, labels and the places of the sequences."""
        if not self.parts:
            none = torch.zeros(0, dtype=torch.int64)
            return torch.zeros(0, 2, dtype=torch.float64), none.double(), none, none
        columns = (np.concatenate(parts) for parts in zip(*self.parts, strict=True))
        spans, scores, *whole = map(torch.from_numpy, columns)
        return spans, scores, *(numbers.long() for numbers in whole)

    def _sequence(self, name: str) -> int:
        number = _number(self.sequences, self.new_sequences, name)
        return number if number >= 0 else self._by_file.get(without_suffix(name), -1)

    @cached_property
    def _by_file(self) -> dict[str, int]:
        # One file may have the names of the recordings' files, and the other their ids.
        found = {without_suffix(name): number for name, number in self.sequences.items()}
        return found if len(found) == len(self.sequences) else {}

    def _label(self, label: Any) -> str:
        if label == NO_LABEL:
            return f"{label!r}, as without labels; known are {shown(list(self.labels))[1:-1]}"
        none = "; the annotations have none" if set(self.labels) == {NO_LABEL} else ""
        return f"{shown(label)}{none}"


def _there(column: Any) -> np.ndarray:
    return column.is_valid().to_numpy(zero_copy_only=False)


def _number(known: dict[str, int], new: bool, name: str) -> int:
    return known.setdefault(name, len(known)) if new else known.get(name, -1)


def _codes(names: Any, number_of: Callable[[str], int]) -> np.ndarray:
    """The numbers of names; -1 where there is none."""
    encoded = names.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    codes = np.array([*map(number_of, texts), -1], np.int32)
    return codes[encoded.indices.fill_null(len(texts)).to_numpy()]


def _written(column: Any, row: int) -> str:
    # As it stands in the file, where that does no harm to a terminal.
    value = column[row].as_py()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    short = isinstance(value, str) and value.isprintable() and len(value) <= 60
    return "nothing" if value is None else value if short else shown(value)
