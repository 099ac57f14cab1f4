"""Writes a folder in the annotation format: what the converters share."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spanloc.data import read_annotations
from spanloc.files import replacing, write_json


class Recording(NamedTuple):
    """A recording to write.

    Args:
        id: Its array is ``data/<id>.npy``.
        values: ``(steps, channels)``, finite.
        rate: Steps per second.
        subset: ``training``, ``validation`` or ``testing``.
        subject: Whom it is of.
        spans: Start and end in seconds, half-open, and a label.
        annotated: The stretches in seconds that were looked at. None: all.
    """

    id: str
    values: np.ndarray
    rate: float
    subset: str
    subject: str
    spans: Sequence[tuple[float, float, str]]
    annotated: Sequence[tuple[float, float]] | None = None


def require_new(folder: Path) -> None:
    """Refuse a folder that holds annotations: they may have cost somebody much work.

    Raises:
        ValueError: It does.
    """
    file = folder / "annotations.json"
    if file.exists():
        raise ValueError(f"{file}: is there already; remove it, or name another folder")


def write_folder(
    folder: Path,
    recordings: Iterable[Recording],
    *,
    classes: Sequence[str] | None = None,
    channels: Sequence[str] | None = None,
) -> str:
    """Write arrays, then ``annotations.json``, each atomically, and read it all back.

    Recordings are taken one at a time, so that one array at a time is in memory. Without its
    ``annotations.json``, which comes last, a folder that was not finished is no data set.

    Args:
        folder: Made if it is missing; other files in it stay.
        recordings: In the order in which they are listed.
        classes: In their order. None: the labels in use, sorted.
        channels: Their names, for people: no reader needs them.

    Returns:
        One line on what was written.

    Raises:
        ValueError: The folder holds annotations, there is no recording, or one of them is no valid
            sequence; then there is no ``annotations.json``.
    """
    require_new(folder)
    database: dict[str, Any] = {}
    width = 0
    for recording in recordings:
        where = f"recording {recording.id!r}"
        values = np.asarray(recording.values, np.float32)
        width = width or values.shape[-1]
        if recording.id in database:
            raise ValueError(f"{where}: is there twice")
        if values.ndim != 2 or values.shape[1] != width:
            raise ValueError(f"{where}: shape {values.shape}; wanted (steps, {width})")
        if not np.isfinite(values).all():
            row, channel = np.argwhere(~np.isfinite(values))[0]
            raise ValueError(
                f"{where}: {values[row, channel]} at step {row}, channel {channel}; wanted numbers"
            )
        with replacing(folder / "data" / f"{recording.id}.npy") as file:
            np.save(file, values)
        database[recording.id] = _entry(recording, len(values))
    if not database:
        raise ValueError(f"{folder}: there is no recording to write")
    content = {"classes": classes, "channels": channels, "database": database}
    file = folder / "annotations.json"
    write_json(file, {name: value for name, value in content.items() if value}, indent=None)
    try:
        return _summary(folder)
    except (ValueError, OSError):
        file.unlink()
        raise


def _entry(recording: Recording, num_steps: int) -> dict[str, Any]:
    entry = {
        "subset": recording.subset,
        "subject": recording.subject,
        "duration": num_steps / recording.rate,
        "fps": recording.rate,
        "annotations": [{"segment": [s, e], "label": name} for s, e, name in recording.spans],
    }
    if recording.annotated is not None:
        entry["annotated"] = recording.annotated
    return entry


def _summary(folder: Path) -> str:
    content = read_annotations(folder, format="json")
    found = {name: len(records) for name, records in content.subsets.items() if records}
    records = [record for part in content.subsets.values() for record in part]
    seconds = sum(record.num_steps * record.timeline.seconds_per_step for record in records)
    return (
        f"{folder}: {len(records)} recordings ({', '.join(f'{n} {s}' for s, n in found.items())}), "
        f"{seconds / 60:.1f} minutes, {content.num_channels} channels, "
        f"{sum(len(record.spans) for record in records)} spans of {len(content.classes)} classes"
    )
