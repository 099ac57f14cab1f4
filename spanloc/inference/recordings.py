"""The recordings that paths, folders and patterns name."""

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from spanloc.data.annotations.beside import without_suffix
from spanloc.data.annotations.layout import ANNOTATION_FILES, files_in, signals_in
from spanloc.data.signals import SUFFIXES
from spanloc.data.signals.opening import files_below, recordings_among
from spanloc.data.signals.reading import listed
from spanloc.files import shown

log = logging.getLogger(__name__)
_MOST_NAMES = 5


class Recording(NamedTuple):
    """A file to predict on, and the id that its predictions get."""

    id: str
    path: Path


def find_recordings(inputs: Sequence[str]) -> list[Recording]:
    """The recordings of files, folders and patterns, each once, in their order.

    The id of a file is its name without the suffix; in a folder, or of a pattern, its path from there. If two ids
    of several inputs are the same, all are paths from the folder that holds all recordings.
    In a folder with annotations, the recordings lie in ``data``. Hidden files, and folders that
    commands wrote their results to, are left out; so are tables beside folders of recordings, with a line in the log.

    Args:
        inputs: Paths; patterns such as ``night*/**/*.edf``.

    Raises:
        FileNotFoundError: There is no such file or folder, or no recording in it.
        ValueError: Two recordings would have the same id, or a pattern leads out of its folder.
    """
    found: dict[Path, Recording] = {}
    for text in inputs:
        for recording in _of(text):
            # A pattern with ".." finds a file by several paths. A link to it is a recording of its own.
            place = recording.path.parent.resolve() / recording.path.name
            found.setdefault(place, recording)
    recordings = list(found.values())
    if len(inputs) > 1 and len({one.id for one in recordings}) < len(recordings):
        common = Path(os.path.commonpath([os.path.abspath(one.path.parent) for one in recordings]))
        recordings = [Recording(_below(common, one.path), one.path) for one in recordings]
    by_id: dict[str, Recording] = {}
    for recording in recordings:
        other = by_id.setdefault(recording.id, recording)
        if other is not recording:
            raise ValueError(
                f"{other.path} and {recording.path} would both be {shown(recording.id)}; name only one of them, "
                f"or a pattern for one of them, such as '{recording.path.with_stem('*')}'"
            )
    return recordings


def _of(text: str) -> Iterator[Recording]:
    path = Path(text)
    if path.is_dir():
        inside = _in_folder(path)
        if not inside:
            raise FileNotFoundError(
                f"{text}: there is no recording in it, no file of {', '.join(SUFFIXES)}"
            )
        yield from inside
    elif path.exists() or Path(f"{text}.hea").exists():
        yield Recording(without_suffix(path.name), path)
    elif glob.has_magic(text):
        matches = sorted(Path(match) for match in glob.glob(text, recursive=True))
        files = recordings_among(matches, Path())
        if not files:
            raise FileNotFoundError(
                f"{text}: no recording matches, no file of {', '.join(SUFFIXES)}"
            )
        fixed = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
        for file in files:
            name = _below(fixed, file)
            if name.startswith("../"):
                raise ValueError(
                    f"{text}: {file} lies outside {fixed}; give a pattern from there on"
                )
            yield Recording(name, file)
    else:
        raise FileNotFoundError(f"{text}: no such file or folder (input)")


def _in_folder(folder: Path) -> list[Recording]:
    if (folder / "data").is_dir() and any(folder.glob("annotations.*")):
        return [Recording(name, path) for name, path in sorted(signals_in(folder).items())]
    there = files_in(folder)
    ours = {path for path in folder.glob("*.*") if path.stem in ANNOTATION_FILES}
    left = {*recordings_among(there.names, folder)} - {*there.signals.values()} - ours
    if left and (there.below or (folder / "data").is_dir()):
        names = listed([p.relative_to(folder).as_posix() for p in sorted(left)], _MOST_NAMES)
        log.info("%s: the recordings lie in the folders below it; left out: %s", folder, names)
    elif not there.below:
        files = [path for path in files_below(folder) if path not in ours and path.is_file()]
        files = recordings_among(files, folder)
        return [Recording(_below(folder, path), path) for path in sorted(files)]
    return [Recording(name, path) for name, path in sorted(there.signals.items()) if path.is_file()]


def _below(folder: Path, path: Path) -> str:
    return without_suffix(Path(os.path.relpath(path, folder)).as_posix())
