"""Sizes of a model that follow from the data."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any

from torch import nn

#: Offsets that the points of a level stand for, in strides: the larger one is at least the first and
#: less than the second. With a ratio of 2, as between levels, every length has its level.
LEVEL_RANGE = (2.0, 4.0)
_CELLS = 12
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def stride_for(shortest: float, cells: int = _CELLS) -> int:
    """The largest stride, in steps per cell, with which a short span has at least ``cells`` cells, or 1.

    It is a product of 2, 3 and 5, which a backbone can take in small strides. ``shortest`` is in steps.

    >>> stride_for(26.0), stride_for(140.0), stride_for(3.0)
    (2, 10, 1)
    """
    most = max(1, int(shortest / cells))
    powers = range(most.bit_length())
    products = (2**a * 3**b * 5**c for a, b, c in product(powers, repeat=3))
    return max((n for n in products if n <= most), default=1)


def levels_for(longest: float, stride: int) -> int:
    """The fewest levels with which the coarsest points reach both ends of a span of ``longest`` steps.

    >>> levels_for(26.0, 2), levels_for(4000.0, 10)
    (2, 7)
    """
    cells = longest / 2 / (LEVEL_RANGE[1] * stride)
    return 1 + max(0, math.ceil(math.log2(max(cells, 1))))


def complete(part: Any, sizes: Mapping[str, Any]) -> Any:
    """Build a part of a model, if it is not built yet, with those of ``sizes`` that it leaves open.

    Args:
        part: A module as it is, or a function that builds one, such as a ``functools.partial`` of a
            class. An argument counts as open if it is not bound, or bound to None.
        sizes: By name of the argument.

    Raises:
        TypeError: An argument is open that ``sizes`` do not know and that has no default.
    """
    if isinstance(part, nn.Module):
        return part
    names = open_arguments(part)
    function = part.func if isinstance(part, partial) else part
    for name, parameter in inspect.signature(function).parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind not in _VARIADIC
        if needed and name in names and name not in sizes:
            raise TypeError(
                f"{getattr(function, '__name__', function)} needs {name}: bind it, or build the "
                "model with the facts of its training data"
            )
    return part(**{name: value for name, value in sizes.items() if name in names})


def open_arguments(part: Callable[..., Any]) -> set[str]:
    """Names of the arguments without a value in a function that builds a part."""
    bound = part.keywords if isinstance(part, partial) else {}
    return {name for name in inspect.signature(part).parameters if bound.get(name) is None}
