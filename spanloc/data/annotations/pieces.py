"""Pieces of files of rows: so many rows are in the memory at once."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, AnyStr, NamedTuple, TypeVar

#: Rows of a piece.
ROWS = 1 << 14
# Bytes of one, of a file that is read line by line.
_HELD = 1 << 24
# Of a row, in characters or bytes: what is longer is no row, and must not fill the memory.
_LONGEST = 1 << 18
COLUMNS = ("sequence", "start", "end", "label", "score")
#: Those that are texts.
NAMES = ("sequence", "label")
#: The label where a file has none.
NO_LABEL = "span"
Row = TypeVar("Row")


class Piece(NamedTuple):
    """Some rows of a file, in columns of pyarrow, and where in the file each of them is, in words.

    ``sequence`` and ``label`` are texts, the others numbers or texts. What is not there is null; where
    the file has no labels or no scores, there is no such column.
    """

    place: Callable[[int], str]
    sequence: Any
    start: Any
    end: Any
    label: Any = None
    score: Any = None


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


def lines_of(file: Path, content: IO[AnyStr]) -> Iterator[AnyStr]:
    """The lines of an open file, each with its end; a ValueError names one that is too long."""
    for place, line in enumerate(iter(partial(content.readline, _LONGEST + 1), content.read(0)), 1):
        if len(line) > _LONGEST:
            raise ValueError(f"{file}: line {place}: the row has more than {_LONGEST:,} characters")
        yield line
