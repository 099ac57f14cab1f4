"""Predictions and annotations from files, checked row by row."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spanloc.data.annotations.pieces import NO_LABEL, Piece
from spanloc.data.annotations.problems import Problems
from spanloc.data.annotations.rows import is_number
from spanloc.data.annotations.tables import (
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
    read whole, or Parquet, JSON Lines or comma-separated values of ``sequence, start, end, label,
    score``, read in pieces. Without a label it is ``span``, without a score 1, so that the predictions
    may be another annotator's annotations. The sequences and the labels are those of the annotations.
    A sequence without any is listed in JSON with none, and in the others by a row of its name alone,
    with empty fields. A sequence of JSON may have ``"annotated": [[start, end]]``, the stretches that
    were looked at; the rest of it, up to its duration where that is known, is ignored.

    Args:
        predictions, annotations: Files, named ``.json``, ``.jsonl``, ``.csv`` or ``.parquet``.
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
        """Take the rows that are valid, and count the others."""
        import pyarrow as pa

        sequences = _codes(piece.sequence, self.sequences, not self.closed)
        # A row that names a sequence alone says that there is nothing in it; a prediction with a score
        # lacks its span.
        valid = _there(piece.start) | _there(piece.end)
        if self.closed:
            valid |= (sequences < 0) | (piece.score is not None and _there(piece.score))
        labels = np.full(len(valid), -1, np.int32)
        title = pa.repeat(NO_LABEL, len(valid)) if piece.label is None else piece.label
        labels[valid] = _codes(title.filter(valid), self.labels, new_labels)
        ends = np.stack([_floats(piece.start), _floats(piece.end)], 1)
        score = np.ones(len(valid)) if piece.score is None else _floats(piece.score)

        def span(i: int) -> str:
            return f"[{_written(piece.start, i)}, {_written(piece.end, i)}]"

        for kind, bad, show in (
            ("an unknown sequence", sequences < 0, lambda i: shown(piece.sequence[i].as_py())),
            ("an unknown label", labels < 0, lambda i: self._label(title[i].as_py())),
            ("a start or end that is no finite number", ~np.isfinite(ends).all(1), span),
            (f"a start or end beyond {_MOST:g}", np.abs(ends).max(1) > _MOST, span),
            ("an end before the start", ends[:, 0] > ends[:, 1], span),
            (
                "a score that is no finite number",
                ~np.isfinite(score),
                lambda i: _written(piece.score, i),
            ),
        ):
            bad = bad & valid
            if bad.any():
                i = int(bad.argmax())
                # Only of the first: to find its line takes time.
                new = kind not in self.problems.counts()
                example = f"{show(i)} ({piece.place(i)})" if new else ""
                self.problems.add(kind, int(bad.sum()), example)
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

    def _label(self, label: Any) -> str:
        if label == NO_LABEL:
            return f"{label!r}, as without labels; known are {shown(list(self.labels))[1:-1]}"
        none = "; the annotations have none" if set(self.labels) == {NO_LABEL} else ""
        return f"{shown(label)}{none}"


def _there(column: Any) -> np.ndarray:
    return column.is_valid().to_numpy(zero_copy_only=False)


def _codes(names: Any, known: dict[str, int], new: bool) -> np.ndarray:
    """The numbers of names, -1 where one is not known; perhaps new ones become known."""
    encoded = names.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    if new:
        for text in texts:
            known.setdefault(text, len(known))
    codes = np.array([known.get(text, -1) for text in texts] + [-1], np.int32)
    return codes[encoded.indices.fill_null(len(texts)).to_numpy()]


def _floats(column: Any) -> np.ndarray:
    """Numbers, NaN where there is none."""
    import pyarrow as pa
    from pyarrow import compute

    if column.type == pa.float64():
        return column.to_numpy(zero_copy_only=False)
    try:
        numbers = compute.utf8_trim_whitespace(column).cast(pa.float64())
        return numbers.to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return np.array([_float(value) for value in column.to_pylist()])


def _float(value: Any) -> float:
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        return math.nan


def _written(column: Any, row: int) -> str:
    # As it stands in the file, where that does no harm to a terminal.
    value = column[row].as_py()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    short = isinstance(value, str) and value.isprintable() and len(value) <= 60
    return "nothing" if value is None else value if short else shown(value)


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
