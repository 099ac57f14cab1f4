"""Thresholds as they are written: numbers, lists, and ranges with a step."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any


def thresholds(text: Any) -> list[float]:
    """The nearest doubles of decimals: one, several, or ``start:stop:step``, ends included.

    Raises:
        ValueError: They are not that, or do not lie in (0, 1].

    >>> thresholds("0.3:0.7:0.1")
    [0.3, 0.4, 0.5, 0.6, 0.7]
    """
    several = isinstance(text, Sequence) and not isinstance(text, str)
    parts = list(text) if several else str(text).split(":")
    wanted = "wanted a decimal in (0, 1], a list of them, or start:stop:step, as 0.5:0.95:0.05"
    try:
        numbers = [Decimal(str(part).strip()) for part in parts]
        numbers = numbers if all(number.is_finite() for number in numbers) else []
    except InvalidOperation:
        numbers = []
    if not several and len(numbers) == 3:
        start, stop, step = numbers
        if step > 0 and start <= stop and (stop - start) / step <= 1000:
            numbers = [start + i * step for i in range(int((stop - start) / step) + 1)]
        else:
            numbers = []
    elif not several and len(numbers) != 1:
        numbers = []
    if not numbers or not all(0 < float(number) <= 1 for number in numbers):
        raise ValueError(f"tiou is {text}; {wanted}")
    return sorted({float(number) for number in numbers})
