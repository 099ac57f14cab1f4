"""The files that ``spanloc-predict`` will write, checked before it predicts anything."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from spanloc.data.annotations.written import instead_of_label, suffix_of
from spanloc.files import counted, shown
from spanloc.inference.journal import results_of
from spanloc.inference.recordings import Recording

_OF_THE_RUN = ("predict.done", "predict.log", "error.txt")


def result_path(folder: Path, kind: str, name: str = "predictions") -> Path:
    """The file of one recording, or of all of them."""
    return folder / f"{name}{suffix_of(kind)}"


def figure_path(folder: Path, name: str) -> Path:
    """The figure of one recording."""
    return folder / "figures" / f"{name}.png"


def check_classes(formats: Iterable[str], classes: Iterable[str]) -> None:
    """Raise a ``ValueError`` where a format cannot hold a class of the model."""
    classes = list(classes)
    for name in formats:
        for label in classes:
            if (wanted := instead_of_label(name, label)) is not None:
                others = "another format, such as csv or json"
                raise ValueError(
                    f"format {name} cannot hold the class {shown(label)}; wanted {wanted}; choose {others}"
                )


def outputs(
    folder: Path,
    recordings: Sequence[Recording],
    formats: Mapping[str, bool],
    plot: bool,
    view: bool,
) -> Iterator[tuple[Path, str]]:
    """Every file that a run will write, with a description; a format is true where a file holds all recordings."""
    for name in _OF_THE_RUN:
        yield folder / name, f"{name} of the run"
    for name, together in formats.items():
        if together:
            yield result_path(folder, name), f"format {name} of all recordings"
            continue
        for recording in recordings:
            what = f"format {name} of {shown(recording.id)}"
            yield result_path(folder, name, recording.id), what
    if plot:
        for recording in recordings:
            yield figure_path(folder, recording.id), f"the figure of {shown(recording.id)}"
    if view:
        yield folder / "view.html", "the page of view"


def check_outputs(
    folder: Path, written: Iterable[tuple[Path, str]], recordings: Iterable[Recording]
) -> None:
    """Raise a ``ValueError`` where a file of :func:`outputs` would replace a recording or another of them.

    Also where it would replace any other file that no earlier run in ``folder`` wrote, such as labels by hand, or
    that was changed since.
    """
    # By what the file system says: a path may lead over links, or be written in other letters.
    inputs = {}
    for recording in recordings:
        # A WFDB record may be named without the suffix of its header.
        there = recording.path.exists()
        inputs[_key(recording.path if there else Path(f"{recording.path}.hea"))] = recording.path
    seen: dict[Path, str] = {}
    for path, what in written:
        if (other := seen.setdefault(path, what)) != what:
            raise ValueError(
                f"{path} would hold both {other} and {what}; choose one of them, or rename the recording"
            )
        if path.exists() and (replaced := inputs.get(_key(path))) is not None:
            raise ValueError(
                f"{replaced}: {what} would replace this recording; name another folder with "
                "hydra.run.dir=FOLDER"
            )
    own = {folder / name for name in (*_OF_THE_RUN, *results_of(folder / "predict.done"))}
    if before := [path for path in seen if path not in own and os.path.lexists(path)]:
        raise ValueError(
            f"{before[0]} exists and is no result of an earlier run in {folder}, or was changed since; "
            f"{counted(len(before), 'such file')} would be replaced; name another folder with hydra.run.dir=FOLDER"
        )


def _key(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_dev, state.st_ino
