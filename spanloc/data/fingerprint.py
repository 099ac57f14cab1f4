"""Fingerprints of data, so that a resumed run notices when they have changed."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spanloc.files import counted

_MOST_NAMES = 3


@dataclass(frozen=True)
class Fingerprint:
    """Files of data by their path relative to a folder.

    Args:
        annotations: SHA-256 of each file of annotations and subsets.
        signals: Size in bytes of each recording, and when it was changed, in nanoseconds since 1970.
    """

    annotations: dict[str, str]
    signals: dict[str, tuple[int, int]]

    @classmethod
    def of(
        cls, root: str | Path, annotations: Iterable[Path], signals: Iterable[Path]
    ) -> "Fingerprint":
        """The fingerprint of files as they are now; those that are not there are left out.

        Args:
            root: Paths are relative to this folder.
            annotations: Files whose content counts. One that is a recording too, as EDF+ is, counts as a
                recording.
            signals: Files that may be too long to be read for this.
        """
        # The samples of WFDB lie beside their header.
        both = (p for s in signals for p in (s, *[s.with_suffix(".dat")] * (s.suffix == ".hea")))
        states = {path: path.stat() for path in dict.fromkeys(both) if path.is_file()}
        others = [path for path in annotations if path not in states and path.is_file()]

        def name(path: Path) -> str:
            return Path(os.path.relpath(path, root)).as_posix()

        return cls(
            {name(path): _hash(path) for path in others},
            {name(path): (state.st_size, state.st_mtime_ns) for path, state in states.items()},
        )

    def changes_since(self, before: "Fingerprint") -> list[str]:
        """Differences from an earlier fingerprint, in words; times do not count, as a copy has others.

        >>> before = Fingerprint({"a.json": "1f"}, {"x.npy": (80, 0), "y.npy": (80, 0)})
        >>> Fingerprint({"a.json": "2e"}, {"x.npy": (96, 0), "z.npy": (80, 0)}).changes_since(before)
        ['a.json has other content', '1 signal file differs in size: x.npy', '1 signal file is gone: y.npy', '1 signal file is new: z.npy']
        """
        now, were = self.annotations, before.annotations
        found = [f"{name} has other content" for name in _differing(now, were)]
        found += [f"{name} is gone" for name in were if name not in now]
        found += [f"{name} is new" for name in now if name not in were]
        sizes = [{name: size for name, (size, _) in f.signals.items()} for f in (self, before)]
        for names, one, several in (
            (_differing(*sizes), "differs in size", "differ in size"),
            ([name for name in sizes[1] if name not in sizes[0]], "is gone", "are gone"),
            ([name for name in sizes[0] if name not in sizes[1]], "is new", "are new"),
        ):
            if names:
                what = one if len(names) == 1 else several
                found.append(f"{counted(len(names), 'signal file')} {what}: {_listed(names)}")
        return found

    def touched_since(self, before: "Fingerprint") -> str | None:
        """Recordings of the same size but another time, in words: written again, or copied."""
        names = [n for n, state in self.signals.items() if before.signals.get(n, state) != state]
        names = [name for name in names if before.signals[name][0] == self.signals[name][0]]
        if not names:
            return None
        of = f"{len(names)} of {counted(len(self.signals), 'signal file')}"
        return f"{of} have the same size and another time, as after a copy: {_listed(names)}"


def _differing(now: Mapping[str, object], were: Mapping[str, object]) -> list[str]:
    return [name for name in now if name in were and now[name] != were[name]]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
