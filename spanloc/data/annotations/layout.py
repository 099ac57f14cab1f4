"""Recordings and annotation files of a folder, wherever they lie in it."""

from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from spanloc.data.annotations.rows import SUBSETS
from spanloc.data.signals.opening import column_names, files_below, recordings_among

#: Files of a folder that are no recordings, without their suffixes.
ANNOTATION_FILES = ("annotations", "subsets")
_TABLES = (".csv", ".tsv", ".txt")
# Recordings whose columns are compared.
_MOST_READ = 100


class Files(NamedTuple):
    """The files of a folder of annotated recordings.

    Args:
        names: All that may be recordings or annotations, by path: the id that they would have, and the suffix.
        signals: The recordings, by id.
        below: Whether they lie in any folders below.
    """

    names: Mapping[Path, str]
    signals: Mapping[str, Path]
    below: bool = False


def files_in(root: Path) -> Files:
    """The files of ``data`` and below it, of the folder itself, and of the folders of subsets.

    Where these hold no recording, the files of all folders below. A few tables in the folder itself that are not like
    the recordings below, such as one of subjects, are no recordings then. With recordings in ``data``, a table in the
    folder itself is one if it has the columns of a recording there.
    """
    names: dict[Path, str] = {}
    for folder in places(root):
        inner = folder.rglob("*") if folder == root / "data" else folder.iterdir()
        names |= _named(inner, folder)
    signals = _signals(names, root)
    if any(p.parent != root or p.suffix.lower() not in _TABLES for p in signals.values()):
        return Files(names, signals)
    names_below = _named(files_below(root), root)
    below = {name: p for name, p in _signals(names_below, root).items() if p.parent != root}
    for kinds in (_TABLES, (".txt",)):
        # Beside recordings of other kinds they are annotations.
        below = {name: p for name, p in below.items() if p.suffix.lower() not in kinds} or below
    others = len(below) > len(signals) and not _alike(signals.values(), below.values(), root)
    return Files(names_below, below, True) if others else Files(names, signals)


def _alike(own: Collection[Path], below: Collection[Path], root: Path) -> bool:
    """Whether a table of the folder has the name of another file there or below, or the columns of one below."""
    stems = Counter(path.stem for path in (*root.iterdir(), *below))
    columns = [columns_of(path) for path in islice(below, _MOST_READ)] if own else []
    return any(stems[path.stem] > 1 or columns_of(path) in columns for path in own)


def other_tables(root: Path, signals: Mapping[str, Path], known: Collection[str]) -> set[str]:
    """The ids of tables in the folder itself that have no column in common with the recordings that are ``known``."""
    some = islice((path for name, path in signals.items() if name in known), _MOST_READ)
    columns = {column for path in some for column in columns_of(path)}
    tables = {name: columns_of(path) for name, path in signals.items() if path.parent == root}
    return {name for name, own in tables.items() if own and columns.isdisjoint(own)}


def columns_of(path: Path) -> list[str]:
    """The columns of a table; none of another file, or one that cannot be read."""
    try:
        return column_names(path) if path.suffix.lower() in _TABLES else []
    except (ValueError, OSError):
        return []


def signals_in(root: Path) -> Mapping[str, Path]:
    """All recordings of a folder, by id."""
    return files_in(root).signals


def annotations_in(root: Path, there: Files, ending: str, *, own: bool) -> dict[Path, str]:
    """The files of annotations with an ending, in small letters, and for each the id of its recording.

    Args:
        root, there: The folder, and its files.
        ending: Of their names.
        own: Whether each is of one recording. It lies in ``data``, the folder itself or one of subsets, or beside its
            recording; or, where all recordings are in one folder, in another one with the same path inside it.
    """
    found = {
        file: _recording_of(name, there.signals)
        for file, name in sorted(there.names.items())
        if name.lower().endswith(ending) and file.name.lower() != "subsets.csv"
    }
    signals, folders = there.signals, places(root)
    if not there.below:
        return {f: n for f, n in found.items() if f.parent in folders or (own and n in signals)}
    tops = {name.partition("/")[0] for name in signals}
    if len(tops) == 1 and not any(signals.get(name, f) != f for f, name in found.items()):
        # The recordings lie in one folder, and the annotations beside none of them.
        inside = {_inside(name): name for name in signals}
        for file in found:
            path = _inside(there.names[file])
            found[file] = inside.get(_recording_of(path, inside), found[file])
    return found


def _recording_of(path: str, ids: Container[str]) -> str:
    # The longest beginning, up to a dot, that names a signal: "x.Table.1.selections.txt" is of "x".
    folder, slash, name = path.rpartition("/")
    stem = name
    while "." in stem[1:]:
        stem = stem.rpartition(".")[0]
        if f"{folder}{slash}{stem}" in ids:
            return f"{folder}{slash}{stem}"
    return f"{folder}{slash}{Path(name).stem}"


def _inside(name: str) -> str:
    """The path inside the first folder; of a name without a folder, the name."""
    return name.partition("/")[2] or name


def places(root: Path) -> list[Path]:
    """Folders that may hold recordings: ``data``, the folder itself, and those of subsets."""
    found = (root / "data", root, *(root / subset for subset in SUBSETS))
    return [folder for folder in found if folder.is_dir()]


def _named(files: Iterable[Path], folder: Path) -> dict[Path, str]:
    named = {}
    # Tables come last: beside a recording of the same name they are something else.
    for path in sorted(files, key=lambda path: (path.suffix.lower() in (".csv", ".tsv"), path)):
        inside = path.relative_to(folder)
        if not any(part.startswith(".") for part in inside.parts):  # of an editor or a Mac
            # A Mac writes names of files with accents as characters of their own.
            named[path] = normalize("NFC", inside.as_posix())
    return named


def _signals(names: Mapping[Path, str], root: Path) -> dict[str, Path]:
    ours = {path for path in names if path.parent == root and path.stem in ANNOTATION_FILES}
    known = recordings_among([path for path in names if path not in ours], root)
    found: dict[str, Path] = {}
    if inner := [path for path in known if root / "data" in path.parents]:
        alike = [columns_of(path) for path in islice(inner, _MOST_READ)]
        known = [
            p for p in known if p.parent != root or not columns_of(p) or columns_of(p) in alike
        ]
    for path in known:
        found.setdefault(Path(names[path]).with_suffix("").as_posix(), path)
    return found
