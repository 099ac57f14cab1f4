"""The reader for a file, by its suffix."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from itertools import product
from pathlib import Path
from unicodedata import normalize

from spanloc.data.signals import form, parquet
from spanloc.data.signals.arrays import NpySignal, NpzSignal
from spanloc.data.signals.audio import AudioSignal
from spanloc.data.signals.channels import choose, some_channels
from spanloc.data.signals.clock import Clock
from spanloc.data.signals.edf import open_edf
from spanloc.data.signals.hdf5 import Hdf5Signal
from spanloc.data.signals.matlab import MatSignal
from spanloc.data.signals.mixed import require_one_rate
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import checked_rate, shown_path
from spanloc.data.signals.regular import Regular
from spanloc.data.signals.tables import CsvSignal
from spanloc.data.signals.wfdb import open_wfdb

# The opener of each suffix.
_OPENERS: dict[str, Callable[..., Signal]] = {
    ".npy": NpySignal,
    ".npz": NpzSignal,
    **dict.fromkeys((".csv", ".tsv", ".txt"), CsvSignal),
    ".parquet": parquet.ParquetSignal,
    **dict.fromkeys((".h5", ".hdf5"), Hdf5Signal),
    ".mat": MatSignal,
    **dict.fromkeys((".wav", ".flac"), AudioSignal),
    **dict.fromkeys((".edf", ".bdf"), open_edf),
    ".hea": open_wfdb,
}
_TAKES = {suffix: {*signature(opener).parameters} for suffix, opener in _OPENERS.items()}
SUFFIXES = tuple(_OPENERS)


def open_signal(
    path: str | Path,
    *,
    key: str | None = None,
    rate: float | None = None,
    channels: Sequence[str | int] | None = None,
    on_rate: str = "resample",
    time: str | None = None,
    skip: Sequence[str] = (),
) -> Signal:
    """The recording in a file: a reader of any stretch of it, chosen by the suffix.

    ======================  =======================================================================
    ``.npy``                memory-mapped
    ``.npz``                one array, or the one of the ``key``
    ``.csv`` ``.tsv``       columns of numbers, the first line may name them; in memory, up to 2 GiB
    ``.txt``                the same
    ``.parquet``            the row groups that are needed
    ``.h5`` ``.hdf5``       one data set, or the one at the ``key``
    ``.mat``                one matrix, or that of the ``key``; its longer side are the steps
    ``.wav`` ``.flac``      ``spanloc[audio]``
    ``.edf`` ``.bdf``       ``spanloc[edf]``
    ``.hea``, or no suffix  a WFDB record, ``spanloc[wfdb]``
    ======================  =======================================================================

    Rows are steps; one dimension is one channel. No reader runs code from a file. Values that are
    not finite are read as they are.

    Args:
        key: Name of the array in a file that may hold several.
        rate: Steps per second; needed where the file does not say it. It takes the place of the
            file's own, from which it may differ by 1 %, and of a column with the time.
        channels: Names, or numbers from 0, of those to take; None: all. The content and rate of the
            others do not matter then. In tables, neither the time nor an index is counted.
        on_rate: Where channels of one file differ in their rate: ``"resample"`` brings them to the
            highest, ``"error"`` refuses them. Where the times of a table are not regular: ``"resample"``
            interpolates its rows (:class:`Regular`), ``"error"`` refuses them.
        time: Name of the column of a table with the time; None, or where there is none of that name: one of
            the usual names (:func:`~spanloc.data.signals.clock.time_column`).
        skip: Names of columns of a table that are no channels.

    Raises:
        ValueError: The suffix is unknown, its library is not installed, or the content is off.
        OSError: The file cannot be read.
    """
    path = Path(path)
    where = shown_path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        header = path.with_name(f"{path.name}.hea")
        if not header.is_file():
            raise ValueError(
                f"{where}: suffix is {path.suffix!r}; wanted one of {', '.join(SUFFIXES)}"
            )
        path, suffix = header, ".hea"
    if path.is_file() and not path.stat().st_size:
        raise ValueError(f"{where}: the file is empty (0 bytes)")
    takes = _TAKES[suffix]
    if key is not None and "key" not in takes:
        raise ValueError(f"{where}: key is {key!r}; a {suffix} file holds one signal only")
    if rate is not None:
        checked_rate(path, rate)
    given = {"key": key, "rate": rate, "channels": channels, "time": time, "skip": skip}
    signal = _OPENERS[suffix](path, **{name: given[name] for name in given.keys() & takes})
    # Some readers have chosen already.
    if channels is not None and getattr(signal, "choice", None) is None:
        numbers, choice = choose(signal, channels)
        signal = some_channels(signal, numbers)
        vars(signal)["choice"] = choice
    require_one_rate(signal, on_rate)
    clock: Clock | None = getattr(signal, "clock", None)
    if clock and clock.places is not None:
        if on_rate == "error":
            raise ValueError(f"{clock.uneven}; wanted equal steps, or data.on_rate=resample")
        signal = Regular(signal, clock, clock.places)
    if rate is not None:
        if signal.rate is not None and abs(signal.rate / rate - 1) > 0.01:
            raise ValueError(f"{where}: rate is {signal.rate:g} in the file; wanted {rate:g}")
        signal.rate = rate
    return signal


def column_names(path: Path, beside: Sequence[str] = ()) -> list[str]:
    """The names of the columns of a table, of text or ``.parquet``; without names their numbers.

    Args:
        beside: Columns that need hold no numbers.
    """
    if path.suffix.lower() == ".parquet":
        return parquet.column_names(path)
    *_, (names, *_) = form.beginning_of(path)
    named = form.has_names(names, ".,", beside)
    return [name.strip() if named else str(i) for i, name in enumerate(names)]


def files_below(folder: Path) -> list[Path]:
    """The files in a folder and below it, without hidden ones and the results of runs.

    A run begins with a folder ``.hydra``; what is newer than it, there and below, are results.
    """
    files: list[Path] = []
    begun: dict[str, float] = {}
    for place, inside, names in os.walk(folder):
        limit = begun.pop(place, math.inf)
        if ".hydra" in inside and Path(place) != folder:
            limit = min(limit, os.stat(os.path.join(place, ".hydra")).st_mtime)
        inside[:] = [name for name in inside if name[0] != "."]
        begun |= {os.path.join(place, name): limit for name in inside if limit < math.inf}
        there = [Path(place, name) for name in names if name[0] != "."]
        files += [f for f in there if limit == math.inf or f.lstat().st_mtime < limit]
    return files


def recordings_among(paths: Iterable[Path], top: Path) -> list[Path]:
    """The recordings among files below a folder, by their suffixes.

    Texts (``.txt``) are recordings if they begin with numbers and no other recording lies in their folder, below
    it, or above it (but ``top`` itself may hold tables): beside others they are something else. Selection tables
    of Raven never are, nor is a ``.mat`` with the numbers of a WFDB record.
    """
    known = [p for p in paths if p.suffix.lower() in SUFFIXES and not p.match("*selections.txt")]
    wfdb = {path.with_suffix("") for path in known if path.suffix.lower() == ".hea"}
    known = [p for p in known if p.suffix.lower() != ".mat" or p.with_suffix("") not in wfdb]
    others = {path.parent for path in known if path.suffix.lower() != ".txt"}
    taken = {folder for other in others for folder in (other, *other.parents)}

    def alone(path: Path) -> bool:
        above = {folder for folder in path.parent.parents if folder != top}
        return path.parent not in taken and not above & others and form.is_table(path)

    return [path for path in known if path.suffix.lower() != ".txt" or alone(path)]


def find_signal(folder: str | Path, name: str) -> Path:
    """The recording ``<folder>/<name><suffix>``, the suffix in small or capital letters.

    Raises:
        FileNotFoundError: There is none.
        ValueError: There are two, or the name leads out of the folder.
    """
    folder = Path(folder)
    wanted = Path(os.path.normpath(folder / f"{name}.npy"))
    # By the text alone: a link inside the folder may lead where its owner wants.
    if not name or "\0" in name or not wanted.is_relative_to(os.path.normpath(folder)):
        raise ValueError(
            f"{shown_path(folder)}: {name!r:.100} is not the name of a recording in it"
        )
    found: list[Path] = []
    # Accents are part of their letters, or characters of their own, as a Mac writes them.
    names = {name, normalize("NFC", name), normalize("NFD", name)}
    for suffix in SUFFIXES:
        for stem, ending in product(sorted(names), (suffix, suffix.upper())):
            path = folder / f"{stem}{ending}"
            # Where capital letters do not count, both are one file. A name may be too long for one.
            if os.path.isfile(path) and not (found and path.samefile(found[-1])):
                found.append(path)
    if len(found) > 1:
        found = recordings_among([p for p in found if p.suffix.lower() != ".txt"], folder) or found
    if len(found) > 1:
        raise ValueError(
            f"{shown_path(found[0])}: there is also {shown_path(found[1])}; wanted one of them"
        )
    if not found:
        raise FileNotFoundError(
            f"{shown_path(folder / name)}: no such file with one of {', '.join(SUFFIXES)}"
        )
    return found[0]
