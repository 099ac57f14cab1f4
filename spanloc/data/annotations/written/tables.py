"""Predictions as JSON in the annotation format, comma-separated values, and JSON Lines."""

import csv as table
import io
import json as plain
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from spanloc.data.annotations.written.found import Found

_COLUMNS = ("sequence", "start", "end", "label", "score")
_CLOCK = ("start_time", "end_time")


def json(found: Sequence[Found]) -> bytes:
    """``annotations.json`` without subsets, which a person decides on, and a ``score`` with each annotation.

    One annotation a line, so that a person can correct it. Scores are not read as annotations.
    """
    entries = []
    for one in found:
        about = {"duration": one.duration}
        if one.rate is not None:
            about["fps"] = one.rate
        rows = (
            _json({"segment": [start, end], "label": label, "score": score})
            for start, end, label, score in one.spans
        )
        inner = ",\n".join(f"      {row}" for row in rows)
        annotations = f"[\n{inner}\n    ]" if inner else "[]"
        entries.append(f'    {_json(one.id)}: {_json(about)[:-1]}, "annotations": {annotations}}}')
    return ('{\n  "database": {\n' + ",\n".join(entries) + "\n  }\n}\n").encode()


def csv(found: Sequence[Found]) -> bytes:
    """A row for each span, under a header; a sequence without any has a row of its id alone.

    Where the start of the recording is known, a row has the times on the clock too (ISO 8601).
    """
    columns = _columns(found)
    rows = [[row[name] for name in columns] for row in _rows(found, columns)]
    # Only what holds the end of a line is put in quotes by itself, and a lone \r may end one too.
    lone = any("\r" in str(field) for row in rows for field in row)
    content = io.StringIO(newline="")
    writer = table.writer(
        content, lineterminator="\n", quoting=table.QUOTE_ALL if lone else table.QUOTE_MINIMAL
    )
    writer.writerow(columns)
    writer.writerows(rows)
    return content.getvalue().encode()


def jsonl(found: Sequence[Found]) -> bytes:
    """An object a line for each span; a sequence without any has one with its id, and null elsewhere."""
    columns = _columns(found)
    return "".join(f"{_json(row)}\n" for row in _rows(found, columns)).encode()


def _columns(found: Sequence[Found]) -> tuple[str, ...]:
    clock = any(one.start is not None for one in found)
    return (*_COLUMNS, *_CLOCK) if clock else _COLUMNS


def _rows(found: Sequence[Found], columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    # The same fields in each: readers refuse a file where some rows have a score and some none.
    nothing = dict.fromkeys(columns)
    for one in found:
        for span in one.spans:
            row = nothing | dict(zip(_COLUMNS, (one.id, *span), strict=True))
            if one.start is not None:
                row |= zip(
                    _CLOCK, (_clock(one.start, seconds) for seconds in span[:2]), strict=True
                )
            yield row
        if not one.spans:
            yield nothing | {"sequence": one.id}


def _clock(start: datetime, seconds: float) -> str:
    # In UTC, since clocks are put forward and back. What is cut off after the milliseconds is rounded.
    begin = start if start.tzinfo is None else start.astimezone(UTC)
    time = begin + timedelta(seconds=seconds, microseconds=500)
    time = time if start.tzinfo is None else time.astimezone(start.tzinfo)
    return time.isoformat(timespec="milliseconds")


def _json(value: Any) -> str:
    return plain.dumps(value, ensure_ascii=False, allow_nan=False)
