"""The reader for a file, by its suffix."""

import os
from collections.abc import Callable
from pathlib import Path

from spanloc.data.signals.arrays import NpySignal, NpzSignal
from spanloc.data.signals.audio import AudioSignal
from spanloc.data.signals.biosignals import EdfSignal, WfdbSignal
from spanloc.data.signals.hdf5 import Hdf5Signal
from spanloc.data.signals.parquet import ParquetSignal
from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import checked_rate, shown_path
from spanloc.data.signals.tables import CsvSignal

_Opener = Callable[..., Signal]
_WITH_KEY: dict[str, _Opener] = {".npz": NpzSignal, ".h5": Hdf5Signal, ".hdf5": Hdf5Signal}
_WITH_RATE: dict[str, _Opener] = {".csv": CsvSignal, ".tsv": CsvSignal, ".parquet": ParquetSignal}
_PLAIN: dict[str, _Opener] = {
    ".npy": NpySignal,
    ".wav": AudioSignal,
    ".flac": AudioSignal,
    ".edf": EdfSignal,
    ".bdf": EdfSignal,
    ".hea": WfdbSignal,
}
SUFFIXES = (
    ".npy", ".npz", ".csv", ".tsv", ".parquet", ".h5", ".hdf5", ".wav", ".flac", ".edf", ".bdf", ".hea",
)  # fmt: skip


def open_signal(path: str | Path, *, key: str | None = None, rate: float | None = None) -> Signal:
    """The recording in a file: a reader of any stretch of it, chosen by the suffix.

    ======================  =======================================================================
    ``.npy``                memory-mapped
    ``.npz``                one array, or the one of the ``key``
    ``.csv`` ``.tsv``       columns of numbers, the first line may name them; in memory, up to 2 GiB
    ``.parquet``            the row groups that are needed
    ``.h5`` ``.hdf5``       one data set, or the one at the ``key``
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
    if key is not None and suffix not in _WITH_KEY:
        raise ValueError(f"{where}: key is {key!r}; a {suffix} file holds one signal only")
    if rate is not None:
        checked_rate(path, rate)
    if suffix in _WITH_KEY:
        signal = _WITH_KEY[suffix](path, key)
    elif suffix in _WITH_RATE:
        signal = _WITH_RATE[suffix](path, rate)
    else:
        signal = _PLAIN[suffix](path)
    if rate is not None:
        if signal.rate is not None and abs(signal.rate / rate - 1) > 0.01:
            raise ValueError(f"{where}: rate is {signal.rate:g} in the file; wanted {rate:g}")
        signal.rate = rate
    return signal


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
    for suffix in SUFFIXES:
        for spelling in (suffix, suffix.upper()):
            path = folder / f"{name}{spelling}"
            # Where capital letters do not count, both are one file. A name may be too long for one.
            if os.path.isfile(path) and not (found and path.samefile(found[-1])):
                found.append(path)
    if len(found) > 1:
        raise ValueError(
            f"{shown_path(found[0])}: there is also {shown_path(found[1])}; wanted one of them"
        )
    if not found:
        raise FileNotFoundError(
            f"{shown_path(folder / name)}: no such file with one of {', '.join(SUFFIXES)}"
        )
    return found[0]
