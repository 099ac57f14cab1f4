"""Pieces of files of rows: only so many rows are in memory at once."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, AnyStr, NamedTuple, TypeVar

import numpy as np

from spanloc.data.annotations.rows import as_float
from spanloc.data.signals.reading import encoding_of, shown_path
from spanloc.files import shown

log = logging.getLogger(__name__)
#: Rows of a piece.
ROWS = 1 << 14
# Bytes of one, of a file that is read line by line.
_HELD = 1 << 24
# Of a row, in characters or bytes: what is longer is no row, and must not fill the memory.
_LONGEST = 1 << 18
COLUMNS = ("sequence", "start", "end", "label", "score")
#: Those that are texts.
NAMES = frozenset({"sequence", "label"})
#: The label where a file has none.
NO_LABEL = "span"
Row = TypeVar("Row")


class Piece(NamedTuple):
    """Some rows of a file, in columns of pyarrow, and the place of each of them in words.

    ``sequence`` and ``label`` are texts, the others numbers or texts. An empty cell is null; a file
    without labels or scores has no such column.
    """

    place: Callable[[int], str]
    sequence: Any
    start: Any
    end: Any
    label: Any = None
    score: Any = None


def arrays(
    values: Mapping[str, Sequence[Any]], place: Callable[[int], str], where: str
) -> dict[str, Any]:
    """Columns of pyarrow of values of JSON."""
    import pyarrow as pa

    columns = {}
    for name, column in values.items():
        is_name = name in NAMES
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            # To pyarrow, true is the number 1.
            if bool not in set(map(type, column)):
                columns[name] = pa.array(column, pa.string() if is_name else pa.float64())
                continue
        for i, value in enumerate(column):
            if is_name and not isinstance(value, str | int | float | None):
                raise ValueError(f"{where}: {place(i)}: {name} is {shown(value)}; wanted a name")
        # As texts: whoever reads them says which of them is no number.
        columns[name] = pa.array(map(_text, column), pa.string())
    return columns


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return repr(value) if isinstance(value, int | float) else shown(value)


def settled(
    pieces: Iterable[Piece], where: str, names: Sequence[str] = ("label", "score")
) -> Iterator[Piece]:
    """Pieces without the columns that the first span of the file lacks.

    A later row with a value there is refused: a score that some lack would rank those first.
    """
    absent: dict[str, Any] | None = None
    for piece in pieces:
        first = piece.start.is_valid().index(True).as_py()
        if absent is None and first >= 0:
            columns = [(name, getattr(piece, name)) for name in names]
            absent = {n: None for n, c in columns if c is not None and not c[first].is_valid}
        for name in absent or ():
            there = getattr(piece, name).is_valid().index(True).as_py()
            if there >= 0:
                raise ValueError(
                    f"{where}: {piece.place(there)}: has a {name}, and the rows before have none"
                )
        yield piece._replace(**absent or {})


def floats(column: Any) -> np.ndarray:
    """Numbers of a column, NaN where there is none."""
    import pyarrow as pa
    from pyarrow import compute

    if column.type == pa.float64():
        return column.to_numpy(zero_copy_only=False)
    try:
        numbers = compute.utf8_trim_whitespace(column).cast(pa.float64())
        return numbers.to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return np.array([as_float(value) for value in column.to_pylist()])


def batched(rows: Iterable[Row], size: Callable[[Row], int] = lambda _: 0) -> Iterator[list[Row]]:
    """Rows in pieces; ``size`` gives the bytes of a row, where they may be long."""
    some, held = [], 0
    for row in rows:
        some.append(row)
        held += size(row)
        if len(some) == ROWS or held > _HELD:
            yield some
            some, held = [], 0
    if some:
        yield some


def text_encoding(file: Path) -> str:
    """As :func:`~spanloc.data.signals.reading.encoding_of`; a warning says where it is not UTF-8."""
    if (encoding := encoding_of(file)) == "cp1252":
        log.warning(
            "%s: not UTF-8, so read as Windows-1252; check the letters of the labels",
            shown_path(file),
        )
    return encoding


def lines_of(file: Path, content: IO[AnyStr]) -> Iterator[AnyStr]:
    """The lines of an open file, each with its end; a ValueError names one that is too long."""
    for place, line in enumerate(iter(partial(content.readline, _LONGEST + 1), content.read(0)), 1):
        if len(line) > _LONGEST:
            raise ValueError(f"{file}: line {place}: the row has more than {_LONGEST:,} characters")
        yield line
