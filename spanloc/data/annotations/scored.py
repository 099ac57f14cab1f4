"""Predictions and annotations from files, checked row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from spanloc.data.annotations.activitynet import Truths, annotated, predicted
from spanloc.data.annotations.columns import Columns
from spanloc.data.annotations.meaning import SIZES
from spanloc.data.annotations.pieces import NO_LABEL
from spanloc.data.annotations.placed import merged
from spanloc.data.annotations.problems import Problems
from spanloc.data.annotations.rows import Unit
from spanloc.data.annotations.scored_rows import Labels, Rows
from spanloc.data.annotations.tables import FIELDS, read_rows
from spanloc.data.annotations.units import unlike
from spanloc.data.signals.reading import shown_path
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
        subsets: Of the sequences of the annotations, by id, where they say it.
    """

    predictions: Predictions
    targets: Targets
    classes: list[str]
    durations: Mapping[str, float]
    problems: Sequence[Problems]
    unread: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unit: str = ""
    subsets: Mapping[str, str] = field(default_factory=dict)


def read_scored(
    predictions: str | Path,
    annotations: str | Path,
    *,
    subset: str | None = None,
    invalid: str = "error",
    columns: Mapping[str, Mapping[str, str] | None] | None = None,
    unit: str | Mapping[str, str] = "seconds",
    label_map: Mapping[Any, Any] | None = None,
    ignore: Sequence[Any] = (),
    background: Sequence[Any] = (),
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
    up to its duration where that is known, is ignored. So it is if the predictions are annotations that say so.

    Args:
        predictions, annotations: Files, named ``.json``, ``.jsonl``, ``.csv``, ``.tsv`` or ``.parquet``.
        subset: Of the annotations, where they are JSON; None takes all.
        invalid: What happens to a row of an unknown sequence or label, with a reversed span, or with a
            number that is not finite: ``error``, or ``skip``. A line that is no row is always an error.
        columns: What the columns of a table are called, by ``predictions`` and ``annotations``, as
            ``{"annotations": {"start": "onset"}}``.
        unit: Of the times, of both files or likewise: ``seconds`` or ``milliseconds``, which become
            seconds. Times in another unit may stay as they are, if both files have it.
        label_map: New names of labels, in both files.
        ignore: Labels of stretches that are not evaluated, by their new names. In the predictions they are left out.
        background: Labels that are left out in both files.

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
    labels = Labels(label_map or {}, ignore, background)
    for name in truths.classes:
        labels.code(name, add=True)
    true_rows = Rows(true.problems, true.size, sequences, labels, True, not truths.classes)
    true_rows.take(truths.pieces, invalid)
    if not any(len(part[0]) for part in true_rows.parts):
        where = "" if subset is None else f" in the subset {subset!r}"
        raise ValueError(f"{annotations}: there is no annotated span{where}")
    rows = Rows(found.problems, found.size, sequences, labels)
    others = found.predicted()
    rows.take(others.pieces, invalid)
    labels.require_known()
    ids = tuple(sequences)
    spans, scores, numbers, places = rows.tensors()
    true_spans, _, true_numbers, true_places = true_rows.tensors()
    hidden: dict[str, list[list[float]]] = {}
    # What one of two annotators has not looked at says nothing about the other.
    for name, some in (*truths.unseen.items(), *others.unseen.items()):
        hidden.setdefault(name, []).extend(some.tolist())
    for place, *stretch in true_rows.hidden:
        hidden.setdefault(ids[place], []).append(stretch)
    stretches = (merged(hidden.get(name, ())) for name in ids if hidden)
    ignored = tuple(torch.tensor(some, dtype=torch.float64).reshape(-1, 2) for some in stretches)
    files = [file for file in (true, found) if file.columns.unread]
    unread = {shown_path(file.path): file.columns.unread for file in files}
    all_found = Predictions(spans, numbers, places, ids, scores=scores)
    all_true = Targets(true_spans, true_numbers, true_places, ids, ignored=ignored)
    return Scored(
        all_found,
        all_true,
        list(labels.numbers),
        truths.durations,
        [true.problems, found.problems],
        unread if [*labels.numbers] == [NO_LABEL] else {},
        unlike(all_true, all_found, {"annotations": true.unit, "predictions": found.unit}),
        {name: subset for name, subset in truths.subsets.items() if isinstance(subset, str)},
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

    def predicted(self) -> Truths:
        if self.is_json:
            return predicted(self.path, self.size)
        return Truths(read_rows(self.path, self.columns, self.unit))
