"""Content of annotation files, before it is laid over the signals."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

from spanloc.data.signals.protocol import Signal
from spanloc.data.signals.reading import listed
from spanloc.files import shown

SUBSETS = ("training", "validation", "testing")
_USUAL = {"train": "training", "val": "validation", "valid": "validation", "test": "testing"}
#: Times beyond are a mistake, and could overflow when they are multiplied by a rate.
LEAST, MOST = 1e-12, 1e12
#: The remedy where spans have no length.
MOMENTS = "moments: data.moment_seconds=0.1 makes spans of them"
#: The remedy where no column of a recording has the usual name of a time.
TIME = "name the column with the time: 'data.columns={time: NAME}'"
#: In place of a label that is not there.
MISSING = ...

# A name may be a misspelling of one that is used so many times as often: if it is used less often than 5 times, and
# otherwise. It is asked of so many names.
_FEW, _TIMES, _MANY_TIMES, _MOST_ASKED = 5, 5, 10, 20

Unit = Literal["seconds", "milliseconds", "steps"]
Ends = Literal["half-open", "inclusive"]
Policy = Literal["error", "clip", "drop"]
# What was looked at of a recording whose files do not say it.
LookedAt = Literal["all", "first_to_last"]


class Row(NamedTuple):
    """An annotation as it is written: in the unit of its file, with the ends of its file.

    A moment without a length, such as a mark, has NaN as its end. ``clock``: True if the start is written with
    colons, False for a number in a table with such rows, otherwise None.
    """

    start: float
    end: float
    label: Any
    where: str
    clock: bool | None = None


@dataclass(frozen=True)
class Annotated:
    """The annotations of one sequence in a file.

    Args:
        id: Of the sequence.
        rows: Its annotations.
        file: That says so.
        subset: One of :data:`SUBSETS`. None: it says none.
        subject: Whom the sequence is of.
        duration: In seconds.
        fps: Steps per second.
        weight: What the sequence counts.
        annotated: The stretches that were looked at, in the unit of the rows. None: all.
        signal: The recording, where the annotations were read with it; its steps are the unit of the rows.
    """

    id: str
    rows: Sequence[Row]
    file: Path
    subset: str | None = None
    subject: str | None = None
    duration: float | None = None
    fps: float | None = None
    weight: float = 1.0
    annotated: Sequence[tuple[float, float]] | None = None
    signal: Signal | None = None

    @property
    def where(self) -> str:
        """The place of the sequence, for errors."""
        return f"{self.file}: sequence {shown(self.id)}"


@dataclass(frozen=True)
class Content:
    """The content of the annotation files of a folder.

    Args:
        file: The file, or the folder, for errors.
        sequences: By file and row.
        classes: Names in their order, where the file lists them.
        word: How the file calls a span.
        subsets_known: Whether the file says the subset of each sequence.
        unit_known: Whether the format defines the unit of the times.
        below: Whether the ids are paths from the folder, see :class:`~spanloc.data.annotations.layout.Files`.
    """

    file: Path
    sequences: Sequence[Annotated]
    classes: list[str] | None = None
    word: str = "span"
    subsets_known: bool = False
    unit_known: bool = False
    below: bool = False


class Case(NamedTuple):
    """Something that is wrong, and where.

    Args:
        file, sequence: Where it is; empty where that is not known.
        row: The place in the file, in words, such as ``line 3`` or ``annotations[8]``.
        text: What came and what is wanted, in one line.
    """

    file: str = ""
    sequence: str = ""
    row: str = ""
    text: str = ""

    @property
    def line(self) -> str:
        """All of it in one line."""
        # An id may hold a line break.
        known = (part if part.isprintable() else shown(part) for part in self[:3] if part)
        return ": ".join(filter(None, (", ".join(known), self.text)))


def refuse(
    refused: list[Case] | None, error: Exception, file: str, row: str = "", sequence: str = ""
) -> None:
    """Add an error, whose message may begin with the place, to a list; without a list, raise it."""
    if refused is None:
        raise error
    text = str(error)
    for where in (file, f"sequence {shown(sequence)}", row):
        text = text.removeprefix(where).removeprefix(":").strip()
    refused.append(Case(file, sequence, row, text))


class BadSpan(NamedTuple):
    """An annotation that cannot be used as it is.

    Args:
        file: It is in.
        sequence: Id.
        row: Its place among the annotations of the sequence, from 0.
        kind: ``reversed``, ``empty``, ``before the start``, ``past the end``, ``label``, ``no label``
            or ``duplicate``.
        text: What came and what is wanted, in one line; it begins with ``where``.
        where: The place in the file, in words.
        unit: The unit in which nearly all spans of the sequence would fit, as a question; or empty.
        lost: Whether it is reversed, or no part of it lies in the recording.
    """

    file: str
    sequence: str
    row: int
    kind: str
    text: str
    where: str = ""
    unit: str = ""
    lost: bool = False


@dataclass(frozen=True)
class Reading:
    """Settings for reading files; the arguments of that name of :func:`read_annotations`."""

    columns: Mapping[str, str] = field(default_factory=dict)
    subset_map: Mapping[str, str] = field(default_factory=dict)
    tier: str | None = None
    extension: str = "atr"
    refused: list[Case] | None = None
    unit: Unit = "seconds"
    ends: Ends = "half-open"
    moment_seconds: float | None = None
    #: Of :func:`~spanloc.data.signals.open_signal`.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Ids by the names of the files of recordings.
    ids: Mapping[str, str] = field(default_factory=dict)
    #: Recordings by id.
    signals: Mapping[str, Path] = field(default_factory=dict)

    def column(self, name: str) -> str:
        """The name of the column of a field."""
        return str(self.columns.get(name, name))

    @contextmanager
    def row(self, file: str, row: str, sequence: str = "") -> Iterator[None]:
        """A block that reads one row: an error is raised, or noted, see :func:`refuse`."""
        try:
            yield
        except ValueError as error:
            refuse(self.refused, error, file, row, sequence)

    def subset(self, name: Any, where: str) -> str:
        """The subset that a name in a file stands for."""
        own = usual_subset(self.subset_map.get(name, name)) if isinstance(name, str) else name
        if own not in SUBSETS:
            raise ValueError(
                f"{where}: subset is {shown(name)}; wanted one of {', '.join(SUBSETS)}"
            )
        return str(own)


def usual_subset(name: str) -> str:
    """A subset by our name for it, where it is written with capitals or as ``train``, ``val``, ``valid``, ``test``.

    >>> usual_subset("Training"), usual_subset("val"), usual_subset("fold 1")
    ('training', 'validation', 'fold 1')
    """
    ours = _USUAL.get(name.lower(), name.lower())
    return ours if ours in SUBSETS else name


def as_float(value: Any) -> float:
    """A number from a text or a value of JSON; NaN where it is none."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        return math.nan


def number(value: Any, where: str, name: str) -> float:
    """A time from a text or a cell, between -1e12 and 1e12."""
    found = as_float(value)
    if not -MOST <= found <= MOST:
        raise ValueError(f"{where}: {name} is {shown(value)}; wanted a number")
    return found


def read_row(
    start: Any,
    end: Any,
    label: Any,
    file: str,
    place: str,
    names: tuple[str, str] = ("start", "end"),
) -> Row:
    """A row from texts or cells; a moment may have an empty text as its end. ``names``: of start and end."""
    where = f"{file}: {place}"
    begin = number(start, where, names[0])
    stop = math.nan if end == "" else number(end, where, names[1])
    return Row(begin, stop, label, place)


def is_moment(row: Row) -> bool:
    """True for a row without length: it ends where it starts, or has no end."""
    return row.start == row.end or math.isnan(row.end)


def is_number(value: Any, least: float, most: float) -> bool:
    """True for a value of JSON that is a number in a range."""
    # No NaN is between any two numbers; True is a whole number to Python.
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and least <= value <= most


def nearest(name: str, names: Sequence[str]) -> str:
    """The end of an error about an unknown name: those it may have meant.

    >>> nearest("wakl", ["sit", "walk"])
    "; did you mean 'walk'?"
    """
    near = " or ".join(map(repr, get_close_matches(name, names, n=3, cutoff=0.6)))
    return f"; did you mean {near}?" if near else f"; there are {listed(names)}"


def misspelt(name: str, names: Sequence[str]) -> str:
    """The other name of nearly the same letters, and the same digits, which may be meant; or empty.

    >>> misspelt("wvae", ["circle", "wave"]), misspelt("stimulus 1", ["stimulus 2"])
    ('wave', '')
    """
    same = [n for n in names if n != name and re.sub(r"\D", "", n) == re.sub(r"\D", "", name)]
    swapped = [n for n in same if sorted(n.casefold()) == sorted(name.casefold())]
    return next(iter([*swapped, *get_close_matches(name, same, n=1, cutoff=0.8)]), "")


def misspellings(counts: Mapping[str, int]) -> dict[str, str]:
    """Names that may be misspelt, each with the name that may be meant; ``counts``: how often each is used.

    >>> misspellings({"wave": 97, "wvae": 1, "waev": 8, "Wave": 7, "walk": 30, "wlak": 6})
    {'Wave': 'wave', 'wvae': 'wave', 'waev': 'wave'}
    """
    found, same = dict[str, str](), dict[str, str]()
    for name in sorted(counts, key=lambda name: (-counts[name], not name.islower())):
        most = same.setdefault("".join(name.split()).casefold(), name)
        # Single letters differ on purpose, as in the codes of heartbeats.
        if most != name and len(name) > 1:
            found[name] = most
    for name in sorted(counts, key=lambda name: counts[name])[:_MOST_ASKED]:
        least = counts[name] * (_TIMES if counts[name] < _FEW else _MANY_TIMES)
        more = [other for other, count in counts.items() if count >= least]
        if near := misspelt(name, more):
            found.setdefault(name, found.get(near, near))
    return found
