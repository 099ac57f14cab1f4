"""Spans found in a recording, checked before they are written."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from spanloc.files import shown

# Longer ones are no names; readers of tables refuse rows of 2 ** 18 characters.
_LONGEST = 10_000


class Found(NamedTuple):
    """Spans found in one recording.

    Args:
        id: Of the recording; the path of its signal in the folder of all of them, without the suffix.
        duration: Of the recording, in seconds.
        spans: Start and end in seconds from the start of the recording, half-open; label; score in
            [0, 1]. In any order.
        rate: Steps per second of the file. None: not known.
        path: Of the signal.
        start: Clock time of the first step of the recording. None: not known.
    """

    id: str
    duration: float
    spans: Sequence[tuple[float, float, str, float]]
    rate: float | None = None
    path: Path | None = None
    start: datetime | None = None


class Limit(NamedTuple):
    """Text that a format has no place for: a pattern in it, and what is wanted, in words."""

    pattern: str
    wanted: str


def decimals(rate: float | None) -> int:
    """Decimal places of the times of a recording: microseconds, or nanoseconds above 1000 steps per second."""
    return 6 if rate is None or rate <= 1000 else 9


def rounded(
    start: float, end: float, *, duration: float, rate: float | None
) -> tuple[float, float]:
    """A span in seconds in the precision that is written, inside its recording; it may be empty then.

    >>> rounded(-0.1, 2.00000004, duration=3.0, rate=10)
    (0.0, 2.0)
    """
    places = decimals(rate)
    begin = round(max(0.0, float(start)), places)
    return begin, min(round(min(float(end), duration), places), duration)


def checked(
    found: Found, where: str, *, label: Limit | None = None, name: Limit | None = None
) -> Found:
    """The spans by start and end, in the precision that is written.

    Times have :func:`decimals` places, and scores 7 significant digits. An end that is past the
    duration becomes the duration. ``label`` and ``name`` say what the format has no place for in a label
    and in an id; ``where`` is the file, for errors.
    """
    if (wanted := wanted_name(found.id, name)) is not None:
        raise ValueError(f"{where}: id is {shown(found.id)}; wanted {wanted}")
    spans, known = [], set()
    for i, (start, end, text, score) in enumerate(found.spans):
        if text not in known and (wanted := wanted_label(text, label)) is not None:
            raise ValueError(
                f"{where}: sequence {shown(found.id)}: span {i}: label is {shown(text)}; wanted {wanted}"
            )
        known.add(text)
        begin, stop = rounded(start, end, duration=found.duration, rate=found.rate)
        spans.append((begin, stop, text, float(f"{score:.7g}")))
    return found._replace(spans=sorted(spans, key=lambda span: span[:2]))


def wanted_label(text: str, limit: Limit | None) -> str | None:
    """The rule that a label breaks, in words; None where a format with this limit can hold it."""
    if not text or len(text) > _LONGEST:
        return f"a text of 1 to {_LONGEST} characters"
    if "\0" in text or _is_broken(text):
        return "characters that UTF-8 can hold, and no NUL"
    return limit.wanted if limit is not None and re.search(limit.pattern, text) else None


def wanted_name(name: str, limit: Limit | None) -> str | None:
    """The rule that an id breaks, in words; None where a format with this limit can hold it."""
    parts = name.split("/")
    if (
        not {"", ".", ".."}.isdisjoint(parts)
        or re.search(r"[\x00-\x1f\x7f\\]", name)
        or PureWindowsPath(name).drive
        or _is_broken(name)
        or max(len(part.encode()) for part in parts) > 255
    ):
        return (
            "what is safe as the name of a file: parts of up to 255 bytes between '/', not empty, '.' "
            "or '..', without backslashes, drives and control characters"
        )
    return limit.wanted if limit is not None and re.search(limit.pattern, name) else None


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
