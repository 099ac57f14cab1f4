"""How figures are written in the tables of a report."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from spanloc.reports.groups import Difference, summarize

NONE = "–"
# Numbers from here on would fill a table with digits.
_LONG = 1e9


class Cell(NamedTuple):
    """One cell: its text, what it is sorted by (the text if None), and the whole of a cut text."""

    text: str
    value: float | None = None
    whole: str = ""


def spread(values: Mapping[int, float], count: int) -> Cell:
    """Mean ± standard deviation over the seeds; says how many there are if not ``count``.

    >>> spread({0: 0.90, 1: 0.92, 2: 0.97}, 3).text
    '0.930 ± 0.036'
    """
    mean, std, n = summarize(list(values.values()))
    if not n:
        return Cell(NONE, math.nan)
    few = f" (n = {n})" if n < count else ""
    return Cell(_plus_minus(mean, std) + few, mean)


def difference(found: Difference | None, shared: int) -> list[Cell]:
    """A difference with its interval, and the verdict; says how many pairs if not ``shared``."""
    if found is None or found.n < 2:
        return [Cell(NONE, math.nan), Cell("cannot be told")]
    mean, low, high, n = found
    width = (high - low) / 2
    decimals = min(8, max(0, 1 - math.floor(math.log10(width)))) if width > 0 else 4
    few = f" (n = {n})" if n < shared else ""
    form = f"+.{decimals}f" if max(-low, high) < _LONG else "+.3g"
    text = f"{mean:{form}} [{low:{form}}, {high:{form}}]{few}"
    return [Cell(text, mean), Cell(found.verdict)]


def number(value: float) -> Cell:
    """Four digits."""
    return Cell(f"{value:.4g}" if math.isfinite(value) else NONE, value)


def fixed(value: float, form: str = ".4f") -> str:
    """A number as ``form`` has it, unless that would be many digits.

    >>> fixed(0.5), fixed(-1e30)
    ('0.5000', '-1e+30')
    """
    return f"{value:{form}}" if not abs(value) >= _LONG else f"{value:.4g}"


def shortened(name: str, most: int = 48) -> Cell:
    """A name of at most so many characters."""
    # The names of a sweep's folders hold all its overrides; both ends tell them apart.
    if len(name) <= most:
        return Cell(name)
    return Cell(f"{name[: most // 2 - 1]}…{name[-most // 2 :]}", whole=name)


def age(seconds: float) -> str:
    """In words, to the largest unit that fits.

    >>> age(7300)
    '2 h ago'
    """
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"


def _plus_minus(mean: float, std: float) -> str:
    if math.isnan(std):
        return f"{mean:.4g}"
    if std == 0:
        return f"{mean:.4g} ± 0"
    # Two digits of the spread say how many of the mean are worth reading.
    decimals = max(0, 1 - math.floor(math.log10(std)))
    if decimals <= 6 and abs(mean) < _LONG:
        return f"{mean:.{decimals}f} ± {std:.{decimals}f}"
    return f"{mean:.3g} ± {std:.2g}"
