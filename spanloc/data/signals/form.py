"""The form of a table of text: separator, lines above the names of the columns, units, and numbers."""

import csv
import re
from collections.abc import Sequence

from spanloc.data.signals.clock import time_column

# Units of physics, perhaps of a power or per another one.
_IS_UNIT = re.compile(
    r"[\[(]?(?:[nuµμmcdkMG]?(?:s|sec|m|g|V|A|W|N|K|Pa|Hz|T|J|F|L|l|bar|Ohm|Ω|rad|B|mol)|°[CF]?|deg|degC|min|h"
    r"|%|bpm|rpm|mmHg|dB|ppm|lx|lux|counts?|a\.?u\.?)(?:\^?-?[23²³]|[/*· ].*)?[\])]?"
)
_MISSING = {"", "NA", "N/A", "#N/A", "#NA", "n/a", "null", "NULL", "NaN", "nan"}


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of a line."""
    rows = csv.reader([line], delimiter=separator, skipinitialspace=separator != "\t")
    return next(rows, [])


def form_of(lines: Sequence[str], separator: str | None) -> tuple[str, int]:
    """The separator of a table, and the number of lines above its names."""
    own = separator or separator_of(lines[0])
    first, second = (fields_of(line, own) for line in lines[:2])
    title = not time_column(first) and time_column(second) and not any(map(is_number, second))
    if title and len(first) == len(second):
        return own, 1
    filled = [line for line in lines if line.strip()] or [""]
    mark = separator or separator_of(filled[-1])
    width = len(fields_of(filled[-1], mark))
    if len(fields_of(lines[0], own)) == width:
        return own, 0
    for i, line in enumerate(lines[:-1]):
        names = fields_of(line, mark)
        if line.count('"') % 2 or (any(names) and all(map(is_number, names))):
            break
        if len(names) == width > 1 and not any(map(is_number, names)):
            return mark, i
    return own, 0


def is_units(row: Sequence[str], below: Sequence[str]) -> bool:
    """True for a row of units, or nothing, above one of the same length with numbers in their place."""
    columns = [i for i, field in enumerate(below) if field.strip() and is_number(field, ".,")]
    fields = [row[i].strip() for i in columns]
    units = [_IS_UNIT.fullmatch(field) for field in fields]
    return any(units) and all(
        unit or field in ("", "-") for unit, field in zip(units, fields, strict=True)
    )


def separator_of(line: str) -> str:
    """The separator of columns by the first line: of tab, semicolon and comma the first it has.

    Text between quotes does not count.

    >>> separator_of('time;"a;b";c, left'), separator_of("x,y"), separator_of("x")
    (';', ',', ',')
    """
    bare = "".join(line.split('"')[::2])
    return next((mark for mark in "\t;" if mark in bare), ",")


def is_number(field: str, points: str = ".") -> bool:
    """True for a field that is a number with one of these decimal points, or missing."""
    field = field.strip()
    if field in _MISSING:
        return True
    for point in points:
        if point == "." or "." not in field:
            try:
                float(field.replace(point, "."))
            except ValueError:
                continue
            return "_" not in field
    return False
