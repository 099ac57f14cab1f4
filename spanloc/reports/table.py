"""Tables that a page, Markdown and a terminal show alike, and the text of their values."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from typing import Any, NamedTuple

from spanloc.reports.groups import Difference, summarize

NONE = "–"
# Numbers from here on would fill a table with digits.
_LONG = 1e9


class Cell(NamedTuple):
    """One cell: its text, the value it is sorted by (None: the text), and the whole of a cut text."""

    text: str
    value: float | None = None
    whole: str = ""


class Column(NamedTuple):
    """A column of records: its title, the place of its value in a record, and its meaning.

    ``get`` is a path of names, such as ``scores.diagnosis.mAP``, or a function of the record. With a
    ``form``, such as ``.2f``, values are numbers, written so.
    """

    title: str
    get: str | Callable[[Any], Any]
    meaning: str = ""
    form: str = ""

    def of(self, record: Any) -> Any:
        """Value of a record, as :func:`cell` takes it; None where a part of the path is None."""
        if not isinstance(self.get, str):
            record = self.get(record)
        else:
            for name in self.get.split("."):
                known = record.get(name) if isinstance(record, Mapping) else getattr(record, name)
                if (record := known) is None:
                    break
        return number(record, self.form) if self.form else record


@dataclass(frozen=True)
class Table:
    """Rows of values, and what explains them.

    Attributes:
        rows: By the names of the columns, as :func:`cell` takes them; all have the same columns.
        meanings: Of columns, by name.
        notes: Paragraphs below.
        brief: Columns that a terminal shows; none: all.
        groups: Labels that are cut, and the whole of them.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]
    meanings: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    brief: Sequence[str] = ()
    groups: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        title: str,
        records: Iterable[Any],
        columns: Sequence[Column],
        *more: Any,
        **options: Any,
    ) -> "Table":
        """Make one with a row a record; ``notes`` and the rest as for a table."""
        rows = [{column.title: column.of(record) for column in columns} for record in records]
        meanings = {column.title: column.meaning for column in columns if column.meaning}
        return cls(title, rows, meanings, *more, **options)

    @cached_property
    def cells(self) -> list[dict[str, Cell]]:
        """The rows, as they are written."""
        return [{name: cell(value) for name, value in row.items()} for row in self.rows]

    @property
    def columns(self) -> list[str]:
        """Names of the columns; none without rows."""
        return [*self.rows[0]] if self.rows else []

    @property
    def explained(self) -> dict[str, str]:
        """The columns that have a meaning, with it."""
        return {name: self.meanings[name] for name in self.columns if name in self.meanings}


def cell(value: Any) -> Cell:
    """Text and cells as they are, whole numbers in full, others with four digits; a dash for None and NaN.

    >>> [cell(value).text for value in ("a", 2000, 0.123456, None)]
    ['a', '2,000', '0.1235', '–']
    """
    if isinstance(value, str):
        return Cell(value)
    if isinstance(value, Integral):
        return Cell(f"{value:,}", int(value))
    return value if isinstance(value, Cell) else number(value)


def number(value: float | None, form: str = ".4g") -> Cell:
    """A number as :func:`fixed` writes it; a dash for None and what is not finite."""
    if value is None or not math.isfinite(value):
        return Cell(NONE, math.nan)
    return Cell(fixed(value, form), value)


def share(value: float, total: float = 1) -> Cell:
    """A share of ``total``, in per cent.

    >>> share(1, 8).text, share(0, 0).text
    ('12.5 %', '–')
    """
    found = number(100 * value / total if total else math.nan, ".1f")
    return Cell(f"{found.text} %", value / total) if found.text != NONE else found


def fixed(value: float, form: str = ".4f") -> str:
    """A number as ``form`` has it, unless that would be many digits.

    >>> fixed(0.5), fixed(-1e30)
    ('0.5000', '-1e+30')
    """
    return f"{value:{form}}" if not abs(value) >= _LONG else f"{value:.4g}"


def subset_name(name: str) -> str:
    """Name of a subset on pages.

    >>> subset_name("val"), subset_name("testing")
    ('validation', 'test')
    """
    return {"val": "validation", "testing": "test"}.get(name, name)


def shortened(name: str) -> Cell:
    """A name of at most 48 characters."""
    # The names of a sweep's folders hold all its overrides; both ends tell them apart.
    return Cell(name) if len(name) <= 48 else Cell(f"{name[:23]}…{name[-24:]}", whole=name)


def spread(values: Mapping[Any, float], count: int) -> Cell:
    """Mean ± standard deviation over the runs, with their number if it is not ``count``.

    >>> spread({0: 0.90, 1: 0.92, 2: 0.97}, 3).text
    '0.930 ± 0.036'
    """
    mean, std, n = summarize(list(values.values()))
    if not n:
        return number(None)
    if math.isnan(std):
        text = f"{mean:.4g}"
    elif std == 0:
        text = f"{mean:.4g} ± 0"
    else:
        # Two digits of the spread say how many of the mean are worth reading.
        decimals = max(0, 1 - math.floor(math.log10(std)))
        plain = decimals <= 6 and abs(mean) < _LONG
        text = f"{mean:.{decimals}f} ± {std:.{decimals}f}" if plain else f"{mean:.3g} ± {std:.2g}"
    return Cell(f"{text} ({n} of {count} runs)" if n < count else text, mean)


def difference(found: Difference, shared: int) -> tuple[Cell, str]:
    """A difference with its interval, and the verdict; with the number of pairs if not ``shared``."""
    if found.n < 2:
        return number(None), found.verdict
    mean, low, high, n = found
    width = (high - low) / 2
    decimals = min(8, max(0, 1 - math.floor(math.log10(width)))) if width > 0 else 4
    few = f" ({n} of {shared} pairs)" if n < shared else ""
    form = f"+.{decimals}f" if max(-low, high) < _LONG else "+.3g"
    return Cell(f"{mean:{form}} [{low:{form}}, {high:{form}}]{few}", mean), found.verdict
