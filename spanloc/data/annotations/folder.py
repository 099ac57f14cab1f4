"""A folder in the annotation format: ``annotations.json`` and ``data/<id>.npy`` (time x channels)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spanloc.data.signals import NpySignal, Signal
from spanloc.data.signals.arrays import shown_path
from spanloc.files import read_json, shown
from spanloc.structures import Timeline

SUBSETS = ("training", "validation", "testing")
_FIELDS = ("subset", "duration", "fps", "subject", "weight", "annotations")
# Of durations and rates: what is beyond is a mistake, and could overflow when the two are multiplied.
_LEAST, _MOST = 1e-12, 1e12


@dataclass(frozen=True)
class Record:
    """What ``annotations.json`` says of one sequence; spans in steps, half-open."""

    id: str
    signal: Signal
    subset: str
    subject: str | None
    timeline: Timeline
    spans: Tensor
    labels: Tensor
    weight: float

    @property
    def num_steps(self) -> int:
        """Steps of the signal."""
        return self.signal.num_steps


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
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file; data.root must hold annotations.json")
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise ValueError(f"{file}: wanted an object with the field 'database', an object by id")
    classes = _classes(file, content)
    numbers = {name: i for i, name in enumerate(classes)}
    subsets: dict[str, list[Record]] = {subset: [] for subset in SUBSETS}
    num_channels, first, step = None, None, None
    for name, fields in content["database"].items():
        record = _record(file, name, fields, numbers)
        channels, where = record.signal.num_channels, shown_path(record.signal.path)
        if num_channels is None:
            num_channels, first = channels, where
        elif channels != num_channels:
            raise ValueError(f"{where}: {channels} channels; {first} has {num_channels}")
        if step is None:
            step = record.timeline.seconds_per_step
        elif record.timeline.seconds_per_step != step:
            raise ValueError(
                f"{file}: sequence {shown(name)}: fps is {fields['fps']}; the sequences before have "
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
        labels = (annotation.get("label") for annotation in found)
        return sorted({label for label in labels if isinstance(label, str) and label})
    classes = content["classes"]
    if not isinstance(classes, list) or not all(isinstance(n, str) and n for n in classes):
        raise ValueError(f"{file}: classes is {shown(classes)}; wanted a list of names")
    if len(set(classes)) != len(classes):
        raise ValueError(f"{file}: classes holds a name twice")
    return classes


def _record(file: Path, name: str, fields: Any, classes: dict[str, int]) -> Record:
    where = f"{file}: sequence {shown(name)}"

    def refuse(field: str, wanted: str) -> ValueError:
        came = shown(fields[field]) if field in fields else "missing"
        return ValueError(f"{where}: {field} is {came}; wanted {wanted}")

    if not isinstance(fields, dict):
        raise ValueError(f"{where}: the entry is {shown(fields)}; wanted an object")
    path = _array_path(file, name)
    for field in fields:
        if field not in _FIELDS and (near := _near_field(field)):
            raise ValueError(f"{where}: there is no field {field!r}; {near!r}?")
    for field in ("duration", "fps"):
        if not _is_number(fields.get(field), _LEAST, _MOST):
            raise refuse(field, f"a number above 0, from {_LEAST:g} to {_MOST:g}")
    duration, fps = float(fields["duration"]), float(fields["fps"])
    num_steps = round(duration * fps)
    if not num_steps:
        raise refuse("duration", f"at least one step, at {fps:g} of them per second")
    if fields.get("subset") not in SUBSETS:
        raise refuse("subset", f"one of {', '.join(SUBSETS)}")
    if not isinstance(fields.get("annotations"), list):
        raise refuse("annotations", "a list")
    weight = fields.get("weight", 1.0)
    if not _is_number(weight, 0, 1e6):
        raise refuse("weight", "a number from 0 to 1e6")
    subject = fields.get("subject")
    if subject is not None and not isinstance(subject, str | int):
        raise refuse("subject", "a name")
    spans, labels = [], []
    for i, annotation in enumerate(fields["annotations"]):
        place = f"{where}: annotations[{i}]"
        if not isinstance(annotation, dict):
            raise ValueError(f"{place} is {shown(annotation)}; wanted an object")
        segment, label = annotation.get("segment"), annotation.get("label")
        if (
            not isinstance(segment, list)
            or len(segment) != 2
            or not all(_is_number(end, -_MOST, _MOST) for end in segment)
        ):
            raise ValueError(
                f"{place}: segment is {shown(segment)}; wanted [start, end] in seconds"
            )
        # An end may stick out by less than a step: durations are rounded more often than not.
        start, end = (float(min(max(end * fps, 0), num_steps)) for end in segment)
        inside = -1 / fps < segment[0] and segment[1] < duration + 1 / fps
        if not inside or not start < end:
            raise ValueError(
                f"{place}: segment is {segment}; wanted 0 <= start < end <= duration "
                f"({fields['duration']})"
            )
        if not np.float32(start) < np.float32(end):
            raise ValueError(
                f"{place}: segment is {segment}, which has no length in steps of float32"
            )
        if not isinstance(label, str) or label not in classes:
            came = "missing" if "label" not in annotation else shown(label)
            raise ValueError(
                f"{place}: label is {came}; wanted one of classes: {_listed(list(classes))}"
            )
        spans.append((start, end))
        labels.append(classes[label])
    return Record(
        id=name,
        signal=_signal(path, name, num_steps),
        subset=fields["subset"],
        subject=None if subject is None else str(subject),
        timeline=Timeline(1 / fps),
        spans=torch.tensor(spans, dtype=torch.float32).reshape(-1, 2),
        labels=torch.tensor(labels, dtype=torch.int64),
        weight=float(weight),
    )


def _array_path(file: Path, name: str) -> Path:
    folder = file.parent / "data"
    path = folder / f"{name}.npy"
    if not name:
        raise ValueError(f"{file}: sequence '': the id is empty; wanted a name")
    if max(len(part.encode()) for part in f"{name}.npy".split("/")) > 255:
        raise ValueError(f"{file}: sequence {shown(name)}: too long an id; its array is <id>.npy")
    # By the text alone: a link inside the folder may lead where its owner wants.
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder)) or "\0" in name:
        raise ValueError(f"{file}: sequence {shown(name)}: its array would lie outside {folder}")
    return path


@lru_cache(1000)
def _near_field(field: str) -> str | None:
    return next(iter(get_close_matches(field, _FIELDS, n=1, cutoff=0.8)), None)


def _is_number(value: Any, least: float, most: float) -> bool:
    # No NaN is between any two numbers; True is a whole number to Python.
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and least <= value <= most


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names)
    return text if text.isprintable() and len(text) <= 300 else shown(names)


def _signal(path: Path, name: str, num_steps: int) -> Signal:
    try:
        signal = NpySignal(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; annotations.json lists {shown(name)}") from None
    if signal.num_steps != num_steps:
        raise ValueError(
            f"{shown_path(path)}: {signal.num_steps} rows; wanted {num_steps}, which is duration * fps"
        )
    return signal
