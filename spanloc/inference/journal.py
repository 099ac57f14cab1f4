"""The finished recordings of a long prediction run, in a file that survives a kill."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from spanloc.data.annotations.written import Found
from spanloc.data.fingerprint import Fingerprint
from spanloc.files import replacing
from spanloc.inference.recordings import Recording

_FIELDS = {"id", "file", "duration", "rate", "start", "spans"}


def results_of(path: Path) -> set[str]:
    """The files that runs with this journal have written, by their paths below its folder.

    Without those that somebody has changed since.
    """
    results = _read(path)[2] if path.is_file() else {}
    return {
        name for name, digest in results.items() if digest in (None, _digest(path.parent / name))
    }


class Journal:
    """A line of JSON for each recording that is done and each file of results; the first line holds the settings.

    Args:
        path: Of the file.
        settings: What the predictions depend on.
        resume: Keep what is there, of recordings whose files have not changed since.

    Raises:
        ValueError: What is there was made with other settings, or is not to be resumed.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = path
        self._lines: dict[str, dict[str, Any]] = {}
        before, lines, self._results = _read(path) if path.is_file() else (None, [], {})
        if lines and not resume:
            # Its files and those of this run would be side by side.
            raise ValueError(
                f"{path.parent} holds the results of an earlier run: resume=true goes on with it; for a new "
                "run name another folder (hydra.run.dir), or remove this one"
            )
        # Without a first line that can be read, nothing says how the others were made.
        if lines and before is not None:
            for name, value in settings.items():
                if before.get(name) != value:
                    raise ValueError(
                        f"{path}: {name} was {before.get(name)!r} and is {value!r} now; resume goes on "
                        "with the same settings"
                    )
            self._lines = {line["id"]: line for line in lines}
        with replacing(path) as temporary:
            files = ({"result": name, "digest": digest} for name, digest in self._results.items())
            kept = (settings, *files, *self._lines.values())
            temporary.write_text("".join(f"{json.dumps(line)}\n" for line in kept), "utf-8")

    def found(self, recording: Recording) -> Found | None:
        """The spans of a recording, if it is done and its file has not changed since."""
        line = self._lines.get(recording.id)
        if line is None or line["file"] != _state(recording.path):
            return None
        start = None if line["start"] is None else datetime.fromisoformat(line["start"])
        spans = [tuple(span) for span in line["spans"]]
        return Found(line["id"], line["duration"], spans, line["rate"], recording.path, start)

    def add(self, recording: Recording, found: Found) -> None:
        """Note that a recording is done."""
        line = {
            "id": found.id,
            "file": _state(recording.path),
            "duration": found.duration,
            "rate": found.rate,
            "start": None if found.start is None else found.start.isoformat(),
            "spans": [list(span) for span in found.spans],
        }
        self._lines[found.id] = line
        self._append(line)

    @contextmanager
    def writing(self, path: Path) -> Iterator[None]:
        """Note that a file is a result of this run, before and after it is written.

        Raises:
            ValueError: Another file of this name has appeared since the run began.
        """
        name = path.relative_to(self.path.parent).as_posix()
        if name not in self._results and os.path.lexists(path):
            raise ValueError(f"{path} has appeared since the run began, and is not replaced")
        self._note(name, None)
        yield
        self._note(name, _digest(path))

    def _note(self, name: str, digest: str | None) -> None:
        self._results[name] = digest
        self._append({"result": name, "digest": digest})

    def _append(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a+b") as file:
            # A line that was written only in part, as on a full disk, must not spoil this one.
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            torn = size and file.read() != b"\n"
            file.write(b"\n" * bool(torn) + json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _digest(path: Path) -> str | None:
    # Not the time of the file, which a copy of the folder may change.
    return blake2b(path.read_bytes(), digest_size=16).hexdigest() if path.is_file() else None


def _state(path: Path) -> dict[str, list[int]]:
    path = path if path.is_file() else Path(f"{path}.hea")
    states = Fingerprint.of(path.parent, (), [path]).signals
    return {name: list(state) for name, state in states.items()}


def _read(
    path: Path,
) -> tuple[dict[str, Any] | None, list[dict[str, Any]], dict[str, str | None]]:
    # A run that was killed, or a full disk, may have left a part of a line anywhere: that recording is
    # computed again.
    first, *rest = map(_parsed, path.read_text(encoding="utf-8", errors="replace").split("\n"))
    lines = [line for line in rest if line is not None]
    results = {
        name: line.get("digest") for line in lines if isinstance(name := line.get("result"), str)
    }
    return first, [line for line in lines if line.keys() >= _FIELDS], results


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
