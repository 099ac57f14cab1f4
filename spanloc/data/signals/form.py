"""The form of a table of text: separator, lines above the names of the columns, units, and numbers."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from spanloc.data.signals.clock import time_column
from spanloc.data.signals.reading import encoding_of, reading

#: The beginning of a line of its own in which Excel names the separator.
EXCEL = "sep="
# Lines by which the form of a table is judged.
_LINES = 64
# A short text with a letter or such a sign, as psi, 1/min and [°C].
_UNIT = re.compile(r"(?!0x)(?=.*[^\W\d_]|.*[%‰°]).{1,15}")
# What a logger writes in the place of a value.
_NO_UNIT = re.compile(
    r"ol|ovl|ovf|over|overload|overflow|range|err|error|fail|fault|invalid|missing|none|nil|<na>"
    r"|true|false|on|off|open|closed|-?inf",
    re.I,
)
_MISSING = {"", "NA", "N/A", "#N/A", "#NA", "n/a", "null", "NULL", "NaN", "nan"}


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of a line; any number of blanks is one separator."""
    if separator == " ":
        return line.split()
    rows = csv.reader([line], delimiter=separator, skipinitialspace=separator != "\t")
    return next(rows, [])


def form_of(lines: Sequence[str], separator: str | None) -> tuple[str, int]:
    """The separator of a table, and the number of lines above its names."""
    if lines[0].startswith(EXCEL):
        return separator_of(lines[0] if lines[0][len(EXCEL) :].strip("\r\n") else lines[1]), 1
    own = separator or _blanks(lines) or separator_of(lines[0])
    first, second = (fields_of(line, own) for line in lines[:2])
    title = not time_column(first) and time_column(second) and not any(map(is_number, second))
    if title and len(first) == len(second):
        return own, 1
    filled = [line for line in lines if line.strip()] or [""]
    mark = separator or own.strip("\t,;") or separator_of(filled[-1])
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


def _blanks(lines: Sequence[str]) -> str | None:
    # A blank, where most lines, and the last, have no other separator, and these have several numbers.
    filled = [line for line in lines if line.strip()]
    plain = [line.split() for line in filled if not re.search(r"[\t,;]", line)]
    if 2 * len(plain) <= len(filled) or re.search(r"[\t,;]", filled[-1]):
        return None
    width = Counter(map(len, plain)).most_common(1)[0][0]
    numbers = (sum(map(is_number, row)) for row in plain if len(row) == width)
    return " " if max(numbers) > 1 else None


def is_units(row: Sequence[str], below: Sequence[str]) -> bool:
    """True for a row of units, or nothing, above one of the same length with numbers in their place.

    >>> is_units(["", "psi", "1/min"], ["07:58:12", "3,6", "50"]), is_units(["OL", "walk"], ["3", "walk"])
    (True, False)
    >>> is_units(["07:58:12", "OL"], ["07:58:13", "3"]), is_units(["1", "walk"], ["2", "sit"])
    (False, False)
    """
    pairs = [
        (field.strip(), bool(own.strip()) and is_number(own, ".,"))
        for field, own in zip(row, below, strict=True)
    ]
    units = [field for field, above in pairs if above and field not in ("", "-")]
    # Where the row below has a time or a text, one of a step may have a digit.
    others = "".join(field for field, above in pairs if not above)
    known = all(
        _UNIT.fullmatch(unit) and not _NO_UNIT.fullmatch(unit) and not is_number(unit, ".,")
        for unit in units
    )
    return bool(units) and known and not re.search(r"\d", others)


def separator_of(line: str) -> str:
    """The separator of columns by the first line: of tab, semicolon and comma the first it has.

    Text between quotes does not count. Excel may name another.

    >>> separator_of('time;"a;b";c, left'), separator_of("x,y"), separator_of("x"), separator_of("sep=|")
    (';', ',', ',', '|')
    """
    if line.startswith(EXCEL) and (named := line[len(EXCEL) :].strip("\r\n")):
        return named[0]
    bare = "".join(line.rstrip().split('"')[::2])
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


def has_names(fields: Sequence[str], points: str, beside: Sequence[str | None]) -> bool:
    """True where the first line names the columns; without names they are called by their numbers."""
    numbers = (field for i, field in enumerate(fields) if str(i) not in beside)
    return not all(is_number(field, points) for field in numbers)


def beginning_of(path: Path) -> tuple[str, str, int, list[list[str]]]:
    """Encoding, separator, number of lines above the names, and the fields of three lines from there on."""
    with reading(path, "a table"), path.open(encoding=encoding_of(path)) as file:
        lines = [normalize("NFC", file.readline(2**20)) for _ in range(_LINES)]
        separator, above = form_of(lines, "\t" if path.suffix.lower() == ".tsv" else None)
        fields = [fields_of(line, separator) for line in lines[above:][:3]]
        return file.encoding, separator, above, fields


def is_table(path: Path) -> bool:
    """True for a text that begins as a table with numbers does."""
    try:
        *_, (_, *rows) = beginning_of(path)
    except (ValueError, OSError):
        return False
    numbers = [[bool(f.strip()) and is_number(f, ".,") for f in row] for row in rows]
    return any(row and (all(row) or sum(row) > 1) for row in numbers)
