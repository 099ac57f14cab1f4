"""The signal of a sequence: its file, and its steps in time."""

import math
import os
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import Any

from spanloc.data.annotations.layout import places, signals_in
from spanloc.data.annotations.meaning import Grid, Meaning, of_video, transposed
from spanloc.data.annotations.rows import TIME, Annotated
from spanloc.data.signals import SUFFIXES, Regular, Signal, find_signal, open_signal
from spanloc.data.signals.reading import listed, shown_path
from spanloc.files import shown
from spanloc.structures import Timeline

_MOST_HINTS = 100


def without_suffix(name: str) -> str:
    """The id that the name of a file stands for: without the suffix of a recording.

    >>> without_suffix("b/night.EDF"), without_suffix("night.2")
    ('b/night', 'night.2')
    """
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in SUFFIXES else name


def signal_of(
    entry: Annotated,
    root: Path,
    hint: Callable[[str], str],
    options: Mapping[str, Any],
    *,
    below: bool = False,
) -> Signal:
    """The signal of a sequence: ``<id>`` with a suffix, in ``data`` or beside its annotations.

    Args:
        entry: The sequence.
        root: The folder.
        below: Its id is the path from there.
        hint: The end of the error about an id without a recording.
        options: Of :func:`~spanloc.data.signals.open_signal`.
    """
    data = root / "data"
    path = data / f"{entry.id}.npy"
    # By the text alone: a link inside the folder may lead where its owner wants.
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(data)) or "\0" in entry.id:
        raise ValueError(f"{entry.where}: its array would lie outside {data}")
    beside = [data, entry.file.parent, *places(root)]
    for folder in [root] if below else dict.fromkeys(beside):
        found = _found(folder, entry)
        if found is not None:
            return open_signal(found, **options)
    what = f"there is no such recording in {shown_path(data)}"
    raise FileNotFoundError(f"{entry.where}: {what}{hint(entry.id)}")


def similar_recording(root: Path, taken: Collection[str]) -> Callable[[str], str]:
    """A function that suggests the recording of a folder with a similar name, for errors.

    It suggests none of those whose ids are ``taken``, and nothing after a number of questions: where all names
    are wrong, the first few show how.
    """
    free: list[str] = []
    asked = count()

    def hint(name: str) -> str:
        if next(asked) >= _MOST_HINTS:
            return ""
        free[:] = free or [one for one in signals_in(root) if one not in taken]
        parts = [one for one in free if re.match(rf"{re.escape(name)}[^a-zA-Z0-9]", one)]
        if len(parts) > 1:
            return f"; a recording is one file: if they are of the same time, join the columns of {listed(parts)}"
        near = get_close_matches(without_suffix(name), free, n=1)
        if near:
            return f"; did you mean {shown(near[0])}, which has no annotations?"
        return "; put it there, delete its annotations, or leave out all such recordings: data.absent=skip"

    return hint


def _found(folder: Path, entry: Annotated) -> Path | None:
    try:
        found = find_signal(folder, entry.id)
    except FileNotFoundError:
        return None
    except ValueError:
        # The annotations of a recording may be in a file that could be a signal, by its suffix.
        paths = (folder / f"{entry.id}{suffix}" for suffix in SUFFIXES)
        others = [path for path in paths if path.is_file() and path != entry.file]
        if len(others) != 1:
            raise
        return others[0]
    return None if found == entry.file and found.suffix.lower() in (".csv", ".txt") else found


def grid_of(entry: Annotated, signal: Signal, meaning: Meaning) -> Grid:
    """The steps of a sequence in time.

    Step ``i`` of features with a stride covers the frames around ``i * stride + window / 2``, the
    middle of the frames they were made of.
    """
    where, path = entry.where, shown_path(signal.path)
    fps, feature_stride = meaning.fps, meaning.feature_stride
    if feature_stride is not None:
        frames = entry.fps if entry.fps is not None else fps
        if frames is None:
            raise ValueError(
                f"{where}: fps is missing; features of feature_stride={feature_stride:g} frames need "
                "the frames per second of the video: as fps of the sequence, or as data.fps"
            )
    else:
        if entry.fps and signal.rate and not math.isclose(entry.fps, signal.rate, rel_tol=1e-5):
            raise ValueError(
                f"{where}: fps is {entry.fps:g}; {path} says {signal.rate:g} steps per second"
            )
        frames = next((rate for rate in (entry.fps, signal.rate, fps) if rate is not None), None)
        if frames is None:
            left: tuple[str, ...] = getattr(getattr(signal, "choice", None), "left", ())
            own = (*left, *(signal.channels or ()))
            named = f": it has the columns {listed(own)}" if own else ""
            remedy = "set fps (data.fps) to the steps per second"
            video = f"{remedy}, or feature_stride and fps for features of a video"
            raise ValueError(
                f"{where}: fps is missing, and {path} does not say its rate{named}; "
                f"{f'{TIME}, or {remedy}' if named else video}"
            )
    if meaning.unit == "steps" and isinstance(signal, Regular):
        raise ValueError(
            f"{where}: the times of {path} are not regular, so that rows are not steps; wanted "
            "annotations in seconds, or data.fps in place of the times"
        )
    stride = feature_stride or 1.0
    window = meaning.feature_window or stride
    rate, steps = frames / stride, signal.num_steps
    offset = (window - stride) / 2 / frames
    if entry.duration is not None:
        _check_length(entry, signal, rate, path, feature_stride)
    timeline = Timeline(1 / rate, offset)
    duration = offset + steps / rate if entry.duration is None else entry.duration
    clock, start = getattr(signal, "clock", None), getattr(signal, "start", None)
    begins = clock.begins if clock else 0.0
    if start is not None:
        begins = start.replace(tzinfo=UTC).timestamp()
    return Grid(timeline, rate, steps, 1 / frames, duration, signal.num_channels, begins)


def _check_length(
    entry: Annotated, signal: Signal, rate: float, path: str, stride: float | None
) -> None:
    duration, steps = entry.duration or 0.0, signal.num_steps
    wanted, exact = round(duration * rate), entry.fps is not None and stride in (None, 1)
    frames = round(wanted / steps) if steps else 0
    end = ""
    if abs(signal.num_channels - wanted) <= 0.1 * wanted:
        end = transposed(steps, signal.num_channels)
    elif frames > 1 and abs(wanted / frames - steps) <= 2 and not (stride or signal.rate):
        end = f"; {of_video(frames)}"
    if exact and not wanted:
        raise ValueError(
            f"{entry.where}: duration is {duration}; wanted at least one step, at {rate:g} of them "
            "per second"
        )
    if exact and steps != wanted:
        how = f"duration * fps ({duration:g} * {rate:g}, of {entry.file.name})"
        raise ValueError(f"{path}: {steps} rows; wanted {wanted}, which is {how}{end}")
    # Durations of recordings are rounded; features of a video leave out its ends, and more.
    if abs(steps - wanted) > max(0.1 * wanted, 20):
        raise ValueError(
            f"{entry.where}: duration is {duration}; {path} has {steps} rows, which are "
            f"{steps / rate:g} s at {rate:g} per second{end}"
        )
