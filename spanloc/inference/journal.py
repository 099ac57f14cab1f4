"""What a long prediction run has done so far, in a file that survives being killed."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from spanloc.data.annotations.written import Found
from spanloc.files import replacing
from spanloc.inference.recordings import Recording


class Journal:
    """A line of JSON for each recording that is done; the first line says with which settings.

    Args:
        path: Of the file.
        settings: What the predictions depend on.
        resume: Keep what is there, of recordings whose files have not changed since; else begin again.

    Raises:
        ValueError: What is there was made with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = path
        self._lines: dict[str, dict[str, Any]] = {}
        if resume and path.is_file():
            before, *lines = _whole_lines(path) or [dict(settings)]
            for name, value in settings.items():
                if before.get(name) != value:
                    raise ValueError(
                        f"{path}: {name} was {before.get(name)!r} and is {value!r} now; resume goes on "
                        "with the same settings"
                    )
            self._lines = {line["id"]: line for line in lines}
        with replacing(path) as temporary:
            text = "".join(f"{json.dumps(line)}\n" for line in (settings, *self._lines.values()))
            temporary.write_text(text, encoding="utf-8")

    def found(self, recording: Recording) -> Found | None:
        """What was found in a recording, if it is done and its file has not changed since."""
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
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")
            file.flush()
            os.fsync(file.fileno())


def _state(path: Path) -> list[Any]:
    path = path if path.is_file() else Path(f"{path}.hea")
    state = path.stat()
    return [str(path.absolute()), state.st_size, state.st_mtime_ns]


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    # A run that was killed may have left half a line at the end.
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines]
