"""Shared parts of all readers: errors, optional libraries, and a bounded memory."""

import codecs
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from spanloc.files import pip_install

# Bytes of one recording that may be held decoded, and of all that a process keeps from earlier reads.
MOST_BYTES, KEPT_BYTES = 2**31, 2**30
# No sensor and no feature extractor has more, recordings often have as many steps.
_MOST_CHANNELS = 2**13
#: Names of the rate in a file.
RATES = ("rate", "fs", "sampling_rate")
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
# Bytes by which the encoding of a text is judged.
_SAMPLE = 2**22
_kept: OrderedDict[tuple[str, str, int, int], np.ndarray] = OrderedDict()


def shown_path(path: Path) -> str:
    """A path for an error: a name may hold anything, a line break too."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names for an error, in quotes; of many only the first.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    text = ", ".join(f"{name!r:.60}" for name in names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def require_file(path: Path) -> None:
    """Refuse, with a FileNotFoundError, what is no regular file: a pipe may block a reader for ever."""
    if not path.is_file():
        kind = "not a regular file" if path.exists() else "no such file"
        raise FileNotFoundError(f"{shown_path(path)}: {kind}")


def encoding_of(path: Path) -> str:
    """The encoding of a text: UTF-8, or UTF-16 by its mark; what is neither is that of Western Windows.

    Binary data count as UTF-8, so that they fail to be read.
    """
    with path.open("rb") as file:
        content = file.read(_SAMPLE)
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if marked or b"\0" in content:
        return marked or "utf-8-sig"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a library raises into one line that names the file, which must be a regular one.

    Args:
        kind: The expected kind of file: "a WAV file".

    Raises:
        ValueError: The content is not that, or not all of it.
        OSError: It cannot be read.
    """
    where = shown_path(path)
    require_file(path)
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        if str(error).startswith(where):
            raise  # A reader's own words, which are better.
        if isinstance(error, OSError) and error.strerror and error.errno:
            raise type(error)(f"{where}: cannot be read: {error.strerror}") from None
        lines = str(error).splitlines() or [""]
        said = "".join(c for c in lines[0] if c.isprintable()).replace(str(path), "it")
        said = f" ({said:.120})" if said else ""
        raise ValueError(f"{where}: not {kind}, or not all of it{said}") from None


def library(path: Path, name: str, extra: str) -> ModuleType:
    """The library that reads this file, imported when first needed; the error says how to install it."""
    try:
        with warnings.catch_warnings():
            # wfdb uses pandas in a way that ends with pandas 4.
            warnings.simplefilter("ignore")
            return import_module(name)
    # soundfile raises an OSError where its own C library is missing.
    except (ImportError, OSError):
        raise ValueError(
            f"{shown_path(path)}: reading {path.suffix or '.hea'} needs {name}: "
            f"{pip_install(extra)}"
        ) from None


def checked_shape(
    path: Path, shape: tuple[int, ...], dtype: np.dtype, place: str = ""
) -> tuple[int, int]:
    """Steps and channels of an array of real numbers; one dimension is one channel.

    More columns than features have, in fewer rows, are refused as steps: the array lies on its side.

    Args:
        place: Of the array in its file, for the error.
    """
    where = f"{shown_path(path)}: {place}"
    if len(shape) not in (1, 2) or not all(shape[1:]):
        raise ValueError(f"{where}shape is {shape}; wanted (steps, channels)")
    if dtype.kind not in "fiu":
        raise ValueError(f"{where}dtype is {dtype!s:.60}; wanted float32")
    if not shape[0]:
        raise ValueError(f"{where}shape is {shape}; wanted at least one step")
    if len(shape) == 2 and shape[1] > max(_MOST_CHANNELS, shape[0]):
        raise ValueError(
            f"{where}shape is {shape}; wanted (steps, channels): it seems to be (channels, steps), so "
            "save its transpose, or pass array.T"
        )
    return shape[0], shape[1] if len(shape) == 2 else 1


def checked_rate(path: Path, rate: float) -> float:
    """The rate as a float, which must lie between 1e-12 and 1e12 steps per second."""
    if not 1e-12 <= rate <= 1e12:
        raise ValueError(f"{shown_path(path)}: rate is {rate}; wanted a number above 0")
    return float(rate)


def require_size(path: Path, num_bytes: int, hint: str) -> None:
    """Refuse more than ``MOST_BYTES`` of memory."""
    if num_bytes > MOST_BYTES:
        raise ValueError(
            f"{shown_path(path)}: takes {num_bytes / 2**30:.1f} GiB of memory to read; wanted at most "
            f"{MOST_BYTES / 2**30:g}; {hint}"
        )


def kept(path: Path, part: str, load: Callable[[], np.ndarray]) -> np.ndarray:
    """A decoded part of a file, read-only, from memory where the file has not changed since.

    A process keeps the last used ones, ``KEPT_BYTES`` in all, and always the last.

    Args:
        part: Names the part within the file.
        load: Reads it.
    """
    state = path.stat()
    place = (str(path), part, state.st_mtime_ns, state.st_size)
    array = _kept.pop(place, None)
    if array is None:
        array = load()
        array.flags.writeable = False
    _kept[place] = array
    while len(_kept) > 1 and sum(a.nbytes for a in _kept.values()) > KEPT_BYTES:
        _kept.popitem(last=False)
    return array
