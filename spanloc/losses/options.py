"""Checks of a loss's options; each names what came and what is wanted."""

import math


def above_zero(name: str, value: float) -> None:
    """Refuses what is not a number above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; it must be above 0")


def between_0_and_1(name: str, value: float) -> None:
    """Refuses what is not a number between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}; it must lie in (0, 1)")
