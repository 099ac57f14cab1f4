"""A folder in the annotation format: ``annotations.json`` and ``data/<id>.npy`` (time x channels)."""

import json
import math
import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spanloc.structures import Timeline

SUBSETS = ("training", "validation", "testing")
_FIELDS = ("subset", "duration", "fps", "subject", "weight", "annotations")


@dataclass(frozen=True)
class Record:
    """What ``annotations.json`` says of one sequence; spans in steps, half-open."""

    id: str
    path: Path
    subset: str
    subject: str | None
    num_steps: int
    timeline: Timeline
    spans: Tensor
    labels: Tensor
    weight: float

    def open(self) -> np.ndarray:
        """The features ``(T, C)``, memory-mapped."""
        array: np.ndarray = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return array


@dataclass(frozen=True)
class Annotations:
    """A folder's classes, channels, seconds per step, and its sequences by subset."""

    classes: list[str]
    num_channels: int
    seconds_per_step: float
    subsets: dict[str, list[Record]]


def read_annotations(root: str | Path) -> Annotations:
    """Read and check a folder: all of ``annotations.json``, and the header of every array.

    Wanted is ``{"classes": [names], "database": {id: {"subset": "training" | "validation" |
    "testing", "duration": seconds, "fps": steps per second, "subject": optional, "weight": optional,
    "annotations": [{"segment": [start, end], "label": name}]}}}`` with half-open segments in seconds;
    without ``classes`` the labels in use are sorted. Further fields are ignored, unless their names
    are nearly those of a field above. ``data/<id>.npy`` has ``duration * fps`` rows and as many
    columns as all the others.

    Raises:
        FileNotFoundError: The folder, ``annotations.json`` or an array is missing.
        ValueError: Something in them is off; it names the file, the sequence and the field.
    """
    file = Path(root) / "annotations.json"
    if not Path(root).is_dir():
        raise FileNotFoundError(f"{root}: no such folder (data.root)")
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; data.root must hold annotations.json")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise ValueError(f"{file}: wanted an object with the field 'database', an object by id")
    classes = _classes(file, content)
    subsets: dict[str, list[Record]] = {subset: [] for subset in SUBSETS}
    num_channels, first, step = None, None, None
    for name, fields in content["database"].items():
        record = _record(file, name, fields, classes)
        channels = _check_array(record)
        if num_channels is None:
            num_channels, first = channels, record.path
        elif channels != num_channels:
            raise ValueError(f"{record.path}: {channels} channels; {first} has {num_channels}")
        if step is None:
            step = record.timeline.seconds_per_step
        elif record.timeline.seconds_per_step != step:
            raise ValueError(
                f"{file}: sequence {name!r}: fps is {fields['fps']}; the sequences before have "
                f"{1 / step:g}, and all must have the same"
            )
        subsets[record.subset].append(record)
    if num_channels is None or step is None:
        raise ValueError(f"{file}: database is empty")
    return Annotations(classes, num_channels, step, subsets)


def _classes(file: Path, content: dict[str, Any]) -> list[str]:
    if "classes" not in content:
        # What has another form is named later, with its sequence.
        records = (r for r in content["database"].values() if isinstance(r, dict))
        lists = (record.get("annotations") for record in records)
        found = (a for some in lists if isinstance(some, list) for a in some if isinstance(a, dict))
        return sorted({a["label"] for a in found if isinstance(a.get("label"), str)})
    classes = content["classes"]
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{file}: classes is {classes!r}; wanted a list of names")
    if len(set(classes)) != len(classes):
        raise ValueError(f"{file}: classes holds a name twice")
    return classes


def _record(file: Path, name: str, fields: Any, classes: list[str]) -> Record:
    def refuse(field: str, wanted: str) -> ValueError:
        came = fields.get(field, "missing") if isinstance(fields, dict) else fields
        return ValueError(f"{file}: sequence {name!r}: {field} is {came!r}; wanted {wanted}")

    if not isinstance(fields, dict):
        raise refuse("the entry", "an object")
    folder = file.parent / "data"
    path = folder / f"{name}.npy"
    # By the text alone: a link inside the folder may lead where its owner wants.
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder)) or "\0" in name:
        raise ValueError(f"{file}: sequence {name!r}: its array would lie outside {folder}")
    for field in fields:
        if field not in _FIELDS and (near := get_close_matches(str(field), _FIELDS, cutoff=0.8)):
            raise ValueError(
                f"{file}: sequence {name!r}: there is no field {field!r}; {near[0]!r}?"
            )
    for field in ("duration", "fps"):
        value = fields.get(field)
        if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            raise refuse(field, "a number above 0")
    if fields.get("subset") not in SUBSETS:
        raise refuse("subset", f"one of {', '.join(SUBSETS)}")
    if not isinstance(fields.get("annotations"), list):
        raise refuse("annotations", "a list")
    weight = fields.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1e6:
        raise refuse("weight", "a number from 0 to 1e6")
    fps, num_steps = fields["fps"], round(fields["duration"] * fields["fps"])
    spans, labels = [], []
    for i, annotation in enumerate(fields["annotations"]):
        where = f"{file}: sequence {name!r}: annotations[{i}]"
        segment = annotation.get("segment") if isinstance(annotation, dict) else None
        if (
            not isinstance(segment, list)
            or len(segment) != 2
            or not all(isinstance(end, int | float) and math.isfinite(end) for end in segment)
        ):
            raise ValueError(f"{where}: segment is {segment!r}; wanted [start, end] in seconds")
        start, end = segment
        # An end may stick out by less than a step: durations are rounded more often than not.
        if not -1 / fps < start < end < fields["duration"] + 1 / fps:
            raise ValueError(
                f"{where}: segment is {segment}; wanted 0 <= start < end <= duration "
                f"({fields['duration']})"
            )
        if annotation.get("label") not in classes:
            raise ValueError(
                f"{where}: label is {annotation.get('label', 'missing')!r}; wanted one of classes: "
                f"{', '.join(classes)}"
            )
        spans.append((min(max(start * fps, 0), num_steps), min(end * fps, num_steps)))
        labels.append(classes.index(annotation["label"]))
    subject = fields.get("subject")
    return Record(
        id=name,
        path=path,
        subset=fields["subset"],
        subject=None if subject is None else str(subject),
        num_steps=num_steps,
        timeline=Timeline(1 / fps),
        spans=torch.tensor(spans, dtype=torch.float32).reshape(-1, 2),
        labels=torch.tensor(labels, dtype=torch.int64),
        weight=float(weight),
    )


def _check_array(record: Record) -> int:
    if not record.path.is_file():
        raise FileNotFoundError(
            f"{record.path}: no such file; annotations.json lists {record.id!r}"
        )
    try:
        array = record.open()
    except (ValueError, EOFError, OSError):
        # numpy's own words advise to allow pickles, which could run code.
        raise ValueError(f"{record.path}: not a plain .npy array of numbers") from None
    if array.ndim != 2 or len(array) != record.num_steps or not array.shape[1]:
        raise ValueError(
            f"{record.path}: shape is {array.shape}; wanted ({record.num_steps}, channels), "
            "which is (duration * fps, channels)"
        )
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{record.path}: dtype is {array.dtype}; wanted float32")
    return array.shape[1]
