"""Predictions and annotations from files, checked row by row."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spanloc.data.annotations.problems import Problems
from spanloc.data.annotations.rows import is_number
from spanloc.data.annotations.tables import (
    NO_LABEL,
    Piece,
    listed_rows,
    predicted_rows,
    read_rows,
)
from spanloc.files import read_json, shown
from spanloc.structures import Predictions, Targets

# So that lengths, and shares of durations, are finite too.
_LEAST, _MOST = 1e-100, 1e100


@dataclass(frozen=True)
class Scored:
    """What two files hold.

    Attributes:
        predictions, targets: Their rows, of the sequences of the annotations.
        classes: Names of the labels.
        durations: Of those sequences whose annotations say it, by id.
        problems: What was left out, of the annotations and of the predictions.
    """

    predictions: Predictions
    targets: Targets
    classes: list[str]
    durations: Mapping[str, float]
    problems: Sequence[Problems]


def read_scored(
    predictions: str | Path,
    annotations: str | Path,
    *,
    subset: str | None = None,
    invalid: str = "error",
) -> Scored:
    """Read predictions and the annotations they are to be compared with.

    A file is ActivityNet's JSON (``{"results": {id: [{"segment": [start, end], "label", "score"}]}}``,
    and ``{"database": {id: {"subset", "duration", "annotations": [{"segment", "label"}]}}}``), which is
    read whole, or JSON Lines or comma-separated values of ``sequence, start, end, label, score``, read
    in pieces. Without a label it is ``span``, without a score 1, so that the predictions may be another
    annotator's annotations. The sequences and the labels are
    those of the annotations. A sequence without any is listed in JSON with none, and in the others by
    a row of its name alone, with empty fields. A sequence of JSON may have ``"annotated": [[start,
    end]]``, the stretches that were looked at; the rest of it, up to its duration where that is known,
    is ignored.

    Args:
        predictions, annotations: Files, named ``.json``, ``.jsonl`` or ``.csv``.
        subset: Of the annotations, where they are JSON; None takes all.
        invalid: What happens to a row of an unknown sequence or label, with a reversed span, or with a
            number that is not finite: ``error``, or ``skip``. A line that is no row is always an error.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file is not in such a format, or holds rows that are not valid; it says how many
            of each kind, and where the first of them is.
    """
    if invalid not in ("error", "skip"):
        raise ValueError(f"invalid is {invalid!r}; it may be error or skip")
    paths = {"predictions": Path(predictions), "annotations": Path(annotations)}
    for name, path in paths.items():
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            what = f"{kind}; wanted a file" if path.exists() else "no such file"
            raise FileNotFoundError(f"{path}: {what} ({name})")
    true = _Columns(Problems(str(annotations), "annotations"))
    pieces, known, durations, unseen = _annotated(paths["annotations"], subset)
    for name in known.get("sequences", ()):
        true.sequences.setdefault(name, len(true.sequences))
    for name in known.get("classes", ()):
        true.labels.setdefault(name, len(true.labels))
    closed = bool(true.labels)
    for piece in pieces:
        true.add(piece, new_labels=not closed)
    true.problems.settle(invalid)
    if not any(len(part[0]) for part in true.parts):
        where = "" if subset is None else f" in the subset {subset!r}"
        raise ValueError(f"{annotations}: there is no annotated span{where}")
    found = _Columns(Problems(str(predictions), "predictions"), true)
    for piece in predicted_rows(paths["predictions"]):
        found.add(piece, new_labels=False)
    found.problems.settle(invalid)
    ids = tuple(true.sequences)
    spans, scores, labels, places = found.tensors()
    true_spans, _, true_labels, true_places = true.tensors()
    nothing = torch.zeros(0, 2, dtype=torch.float64)
    ignored = tuple(unseen.get(name, nothing) for name in ids) if unseen else ()
    return Scored(
        Predictions(spans, labels, places, ids, scores=scores),
        Targets(true_spans, true_labels, true_places, ids, ignored=ignored),
        list(true.labels),
        durations,
        [true.problems, found.problems],
    )


class _Columns:
    """Columns that grow by pieces of a file; names are numbers, in the order of their appearance."""

    def __init__(self, problems: Problems, known: "_Columns | None" = None) -> None:
        self.problems, self.closed = problems, known is not None
        self.sequences: dict[str, int] = known.sequences if known else {}
        self.labels: dict[str, int] = known.labels if known else {}
        self.parts: list[tuple[np.ndarray, ...]] = []

    def add(self, piece: Piece, *, new_labels: bool) -> None:
        piece = self._spans_of(piece)
        sequences = self._numbers(piece.sequence, self.sequences, not self.closed)
        labels = self._numbers(piece.label, self.labels, new_labels)
        start, end, score = (_floats(values) for values in piece[1:3] + piece[4:5])
        valid = np.ones(len(start), bool)
        for bad, kind, show in (
            (sequences < 0, "an unknown sequence", lambda i: shown(piece.sequence[i])),
            (labels < 0, "an unknown label", lambda i: self._label(piece.label[i])),
            (
                ~(np.isfinite(start) & np.isfinite(end)),
                "a start or end that is no finite number",
                lambda i: f"[{_written(piece.start[i])}, {_written(piece.end[i])}]",
            ),
            (
                np.maximum(np.abs(start), np.abs(end)) > _MOST,
                f"a start or end beyond {_MOST:g}",
                lambda i: f"[{_written(piece.start[i])}, {_written(piece.end[i])}]",
            ),
            (
                start > end,
                "an end before the start",
                lambda i: f"[{_written(piece.start[i])}, {_written(piece.end[i])}]",
            ),
            (
                ~np.isfinite(score),
                "a score that is no finite number",
                lambda i: _written(piece.score[i]),
            ),
        ):
            bad = bad & valid
            if bad.any():
                i = int(bad.argmax())
                self.problems.add(kind, int(bad.sum()), f"{show(i)} ({piece.place(i)})")
                valid &= ~bad
        self.parts.append(
            tuple(column[valid] for column in (np.stack([start, end], 1), score, labels, sequences))
        )

    def _spans_of(self, piece: Piece) -> Piece:
        # A row that names a sequence alone says that there is nothing in it; a prediction with a score
        # lacks its span.
        fields = (piece.start, piece.end, *([piece.score] if self.closed else []))
        there = [any(v is not None and v != "" for v in row) for row in zip(*fields, strict=True)]
        if all(there):
            return piece
        if self.closed:
            there = [there[i] or str(n) not in self.sequences for i, n in enumerate(piece.sequence)]
        else:
            self._numbers(piece.sequence, self.sequences, new=True)
        return Piece(*(list(compress(column, there)) for column in piece))

    def tensors(self) -> tuple[Tensor, ...]:
        """Spans, scores, labels and the places of the sequences."""
        if not self.parts:
            none = torch.zeros(0, dtype=torch.int64)
            return torch.zeros(0, 2, dtype=torch.float64), none.double(), none, none
        columns = []
        for i in range(4):
            columns.append(np.concatenate([part[i] for part in self.parts]))
            # What has been joined is let go.
            gone = np.zeros(0)
            self.parts = [(*part[:i], gone, *part[i + 1 :]) for part in self.parts]
        spans, scores, labels, sequences = columns
        whole = (column.astype(np.int64) for column in (labels, sequences))
        return tuple(torch.from_numpy(column) for column in (spans, scores, *whole))

    def _label(self, label: Any) -> str:
        if label == NO_LABEL:
            return f"{label!r}, as without labels; known are {shown(list(self.labels))[1:-1]}"
        none = "; the annotations have none" if set(self.labels) == {NO_LABEL} else ""
        return f"{shown(label)}{none}"

    @staticmethod
    def _numbers(names: Sequence[Any], known: dict[str, int], new: bool) -> np.ndarray:
        texts = names
        if set(map(type, names)) != {str}:
            texts = [str(name) if isinstance(name, str | int | float) else None for name in names]
        if new:
            for text in texts:
                if text is not None:
                    known.setdefault(text, len(known))
        return np.fromiter(map(known.get, texts, repeat(-1)), np.int32, len(texts))


def _floats(values: Sequence[Any]) -> np.ndarray:
    try:
        if bool not in set(map(type, values)):
            return np.fromiter(map(float, values), np.float64, len(values))
    except (ValueError, TypeError, OverflowError):
        pass
    return np.array([_float(value) for value in values], np.float64)


def _float(value: Any) -> float:
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        return math.nan


def _written(value: Any) -> str:
    # As it stands in the file, where that does no harm to a terminal.
    short = isinstance(value, str) and value.isprintable() and len(value) <= 60
    return value if short else shown(value)


def _annotated(
    file: Path, subset: str | None
) -> tuple[Iterator[Piece], Mapping[str, list[str]], Mapping[str, float], Mapping[str, Tensor]]:
    if file.suffix.lower() != ".json":
        if subset is not None:
            raise ValueError(f"subset is {subset!r}; only annotations in a .json have subsets")
        return read_rows(file), {}, {}, {}
    content = read_json(file)
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict) or not all(isinstance(v, dict) for v in database.values()):
        raise ValueError(f"{file}: wanted an object with the field 'database', objects by id")
    if subset is not None:
        subsets = (fields.get("subset") for fields in database.values())
        there = sorted({name for name in subsets if isinstance(name, str)})
        database = {n: fields for n, fields in database.items() if fields.get("subset") == subset}
        if not database:
            raise ValueError(
                f"{file}: no sequence has the subset {subset!r}; there are {shown(there)}"
            )
    classes = content.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{file}: classes is {shown(classes)}; wanted a list of names")
    lists = {name: fields.get("annotations", []) for name, fields in database.items()}
    if not classes:
        # All of the file, so that a label of another subset is not unknown.
        classes = sorted(
            {
                str(row["label"])
                for fields in content["database"].values()
                if isinstance(fields.get("annotations"), list)
                for row in fields["annotations"]
                if isinstance(row, dict) and isinstance(row.get("label"), str | int)
            }
        )
    durations = {name: _float(fields.get("duration")) for name, fields in database.items()}
    durations = {name: value for name, value in durations.items() if _LEAST < value < _MOST}
    known = {"sequences": list(database), "classes": classes}
    unseen = {
        name: _unseen(fields["annotated"], durations.get(name), f"{file}: sequence {shown(name)}")
        for name, fields in database.items()
        if "annotated" in fields
    }
    return listed_rows(lists, f"{file}: annotations"), known, durations, unseen


def _unseen(annotated: Any, duration: float | None, where: str) -> Tensor:
    # What lies between the stretches that were looked at.
    if not isinstance(annotated, list):
        raise ValueError(
            f"{where}: annotated is {shown(annotated)}; wanted a list of stretches [start, end]"
        )
    for i, ends in enumerate(annotated):
        pair = isinstance(ends, list) and len(ends) == 2
        if not (pair and all(is_number(end, -_MOST, _MOST) for end in ends) and ends[0] <= ends[1]):
            raise ValueError(
                f"{where}: annotated[{i}] is {shown(ends)}; wanted [start, end] in seconds, with "
                f"start <= end, within {_MOST:g} of 0"
            )
    place, last = (-_MOST, _MOST) if duration is None else (0.0, duration)
    unseen = []
    for start, end in [*sorted(annotated), [last, last]]:
        if place < min(start, last):
            unseen.append([place, float(min(start, last))])
        place = max(place, float(end))
    return torch.tensor(unseen, dtype=torch.float64).reshape(-1, 2)
