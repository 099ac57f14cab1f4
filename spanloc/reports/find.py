"""Runs below a folder."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from spanloc.reports.content import one_line
from spanloc.reports.runs import Run, read_run


def find_runs(places: Sequence[str | Path], *, now: float) -> list[Run]:
    """Every run in these folders and below them, in the order of their paths.

    A run is a folder that holds a ``config.yaml``. Links to folders are followed; a run that is
    reached twice counts once. A folder that cannot be looked into is listed as ``unreadable``.

    Args:
        places: Folders; each may be a run itself.
        now: Seconds since 1970, by which a run is going or stopped.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There is no run in it.
    """
    found: dict[Path, Run] = {}
    for place in map(Path, places):
        if not place.is_dir():
            raise FileNotFoundError(f"{place}: no such folder (runs)")
        closed: dict[Path, str] = {}
        folders = list(_run_folders(place, closed))
        if not folders:
            closed_too = "".join(f"; {folder} {why}" for folder, why in closed.items())
            raise ValueError(
                f"{place}: no run in this folder or below it (runs); wanted a config.yaml, "
                f"as spanloc-train writes it{closed_too}"
            )
        for folder in (*folders, *closed):
            if folder.resolve() in found:
                continue
            # As short as tells them apart; a name need not be text that can be shown.
            short = len(places) == 1 and folder != place
            path = os.fsencode(folder.relative_to(place) if short else folder)
            name = one_line(path.decode(errors="replace"), most=len(path))
            found[folder.resolve()] = (
                Run(folder, name, "unreadable", written=0.0, problems=(closed[folder],))
                if folder in closed
                else read_run(folder, name, now=now)
            )
    return [found[folder] for folder in sorted(found)]


def _run_folders(place: Path, closed: dict[Path, str]) -> Iterator[Path]:
    """The folders with a run; ``closed`` takes up those that cannot be looked into, and why."""

    def close(error: OSError) -> None:
        closed[Path(error.filename)] = f"the folder cannot be read: {error.strerror}"

    been: set[str] = set()
    for folder, inside, files in os.walk(place, onerror=close, followlinks=True):
        real = os.path.realpath(folder)
        if real in been:  # a link may lead back to a folder above
            inside.clear()
            continue
        been.add(real)
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        # Also where it is none that can be read: that is said then.
        if "config.yaml" in (*files, *inside):
            yield Path(folder)
