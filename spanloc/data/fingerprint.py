"""Fingerprints of data, so that a resumed run notices when they have changed."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spanloc.data.signals.reading import listed
from spanloc.files import counted


@dataclass(frozen=True)
class Fingerprint:
    """Files of data by their path relative to a folder.

    Args:
        annotations: SHA-256 of each file of annotations and subsets.
        signals: Size in bytes of each recording, and when it was changed, in nanoseconds since 1970.
        parts: The recordings of each subset, with the seconds of their beginning and end there.
    """

    annotations: dict[str, str]
    signals: dict[str, tuple[int, int]]
    parts: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        root: str | Path,
        annotations: Iterable[Path],
        signals: Iterable[Path],
        subsets: Mapping[str, Iterable[Any]] | None = None,
    ) -> "Fingerprint":
        """The fingerprint of files as they are now; those that are not there are left out.

        A file of annotations that is a recording too, as EDF+ is, counts as a recording.
        """
        every = (path for signal in signals for path in (signal, *named_in(signal)))
        states = {path: path.stat() for path in dict.fromkeys(every) if path.is_file()}
        others = [path for path in annotations if path not in states and path.is_file()]

        digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in others}
        times = {path: (state.st_size, state.st_mtime_ns) for path, state in states.items()}
        return cls(
            {relative(path, root): digest for path, digest in digests.items()},
            {relative(path, root): state for path, state in times.items()},
            {
                subset: {relative(record.signal.path, root): record.seconds for record in own}
                for subset, own in (subsets or {}).items()
            },
        )

    def changes_since(self, before: "Fingerprint") -> list[str]:
        """Differences from an earlier fingerprint, in words: content of annotations, and sizes of signals.

        >>> before = Fingerprint({"a.json": "1f"}, {"x.npy": (80, 0), "y.npy": (80, 0)})
        >>> now = Fingerprint({"a.json": "2e"}, {"x.npy": (96, 0), "z.npy": (80, 0)})
        >>> print(*now.changes_since(before), sep="; ")
        1 annotation file changed: 'a.json'; 1 signal file changed: 'x.npy'; 1 signal file removed: 'y.npy'; 1 signal file added: 'z.npy'
        """
        files: dict[str, list[Mapping[str, object]]] = {
            "annotation": [self.annotations, before.annotations],
            "signal": [
                {name: state[0] for name, state in f.signals.items()} for f in (self, before)
            ],
        }
        return [
            f"{counted(len(names), f'{kind} file')} {what}: {listed(names, 3)}"
            for kind, (now, were) in files.items()
            for names, what in (
                (_differing(now, were), "changed"),
                ([name for name in were if name not in now], "removed"),
                ([name for name in now if name not in were], "added"),
            )
            if names
        ]

    def touched_since(self, before: "Fingerprint") -> str | None:
        """Recordings of the same size but another time, in words: written again, or copied."""
        now, were = self.signals, before.signals
        names = [name for name in _differing(now, were) if now[name][0] == were[name][0]]
        if not names:
            return None
        of = f"{len(names)} of {counted(len(now), 'signal file')}"
        return f"{of} have the same size and another time, as after a copy: {listed(names, 3)}"


def relative(path: Path, root: str | Path) -> str:
    """A path from a folder on, as fingerprints name files."""
    return Path(os.path.relpath(path, root)).as_posix()


def _differing(now: Mapping[str, object], were: Mapping[str, object]) -> list[str]:
    return [name for name in now if name in were and now[name] != were[name]]


def named_in(header: Path) -> list[Path]:
    """The files of samples that a header of WFDB names; none of another file."""
    # After the line of the record, the line of each signal begins with one.
    if header.suffix.lower() != ".hea" or not header.is_file():
        return []
    lines = header.read_text(encoding="latin-1").splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return [header.parent / row[0] for row in rows[1:]]
