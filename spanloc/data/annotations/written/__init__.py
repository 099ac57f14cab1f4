"""Predictions as files that other tools open, and that can be corrected and trained on again."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from spanloc.data.annotations.written import recorders, tables, texts
from spanloc.data.annotations.written.found import (
    Found,
    Limit,
    checked,
    rounded,
    wanted_label,
)
from spanloc.data.signals.reading import shown_path
from spanloc.files import shown

__all__ = [
    "FORMATS",
    "Found",
    "content_of",
    "instead_of_label",
    "joint",
    "rounded",
    "suffix_of",
]

_EDGES = r"\A\s|\s\Z"
# Where Python, and so its readers of texts, ends a line.
_LINES = r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]"
_TRIMMED = Limit(_EDGES, "no white space around it, which readers of this format cut off")
_ONE_LINE = Limit(rf"{_EDGES}|\t|{_LINES}", "one line, without tabs and white space around it")
_CELL = Limit(
    rf"{_EDGES}|\t|{_LINES}|\A\"",
    "one line, without tabs, white space around it, and a quotation mark in front",
)
_WORD = Limit(r"\s|\A<NA>\Z", "no white space, which separates the fields of RTTM, and not <NA>")
_UNBROKEN = Limit(
    rf"{_EDGES}|[\x00-\x08\x0a-\x1f]",
    "no line breaks or control characters, and no white space around it",
)


class _Format(NamedTuple):
    suffix: str
    content: Callable[[Sequence[Found]], bytes]
    joint: bool = False
    label: Limit | None = None
    name: Limit | None = None


_FORMATS = {
    "json": _Format(".json", tables.json, joint=True),
    "csv": _Format(".csv", tables.csv, joint=True, label=_TRIMMED, name=_TRIMMED),
    "jsonl": _Format(".jsonl", tables.jsonl, joint=True),
    "audacity": _Format(".txt", texts.audacity, label=_ONE_LINE),
    "raven": _Format(".selections.txt", texts.raven, label=_CELL),
    "textgrid": _Format(".TextGrid", texts.textgrid, label=_TRIMMED),
    "rttm": _Format(".rttm", texts.rttm, joint=True, label=_WORD, name=_WORD),
    "edf": _Format(".edf", recorders.edf, label=_UNBROKEN),
    # Beside it may lie ``json`` of the same name.
    "labelstudio": _Format(".labelstudio.json", recorders.label_studio, joint=True),
}
FORMATS: tuple[str, ...] = tuple(_FORMATS)


def suffix_of(kind: str) -> str:
    """The end of the name of a file in a format, with its dot.

    >>> suffix_of("textgrid")
    '.TextGrid'
    """
    return _format(kind).suffix


def joint(kind: str) -> bool:
    """True where one file of a format can hold several recordings.

    >>> [name for name in FORMATS if joint(name)]
    ['json', 'csv', 'jsonl', 'rttm', 'labelstudio']
    """
    return _format(kind).joint


def instead_of_label(kind: str, label: str) -> str | None:
    """The rule of a format that a label breaks, in words; None where the format can hold it.

    >>> instead_of_label("rttm", "sit down")
    'no white space, which separates the fields of RTTM, and not <NA>'
    """
    return wanted_label(label, _format(kind).label)


def content_of(found: Sequence[Found], path: Path, kind: str) -> bytes:
    """The content of a file with the spans found in recordings, by start and end.

    The function of each format, in :mod:`tables`, :mod:`texts` or :mod:`recorders`, says what it holds.
    Times are in seconds from the start of the recording, in 6 decimal places, or 9 where the rate is
    above 1000 steps per second; scores in 7 significant digits. What is written is read again by
    :func:`~spanloc.data.read_annotations` (several tiers with ``tier="*"``; pre-annotations as the
    export of the project), and ``csv`` and ``jsonl`` as predictions to score.

    Args:
        found: At least one recording; several only where :func:`joint` says so.
        path: The file, for errors.
        kind: Its format, one of :data:`FORMATS`.

    Raises:
        ValueError: There is no such format, or it cannot hold an id or a label; an id is there twice or is
            not safe as the name of a file.
    """
    chosen, where = _format(kind), shown_path(path)
    ((name, count),) = Counter(one.id for one in found).most_common(1)
    if count > 1:
        raise ValueError(f"{where}: sequence {shown(name)} is there {count} times")
    ready = [checked(one, where, label=chosen.label, name=chosen.name) for one in found]
    try:
        return chosen.content(ready)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {error}") from None


def _format(name: str) -> _Format:
    if name not in _FORMATS:
        raise ValueError(f"format is {shown(name)}; wanted one of {', '.join(FORMATS)}")
    return _FORMATS[name]
