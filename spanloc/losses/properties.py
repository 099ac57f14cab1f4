"""Properties of the span losses: each states its own where it is written, and the tests hold it to them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from spanloc.losses.kinds import unwrap

_Loss = TypeVar("_Loss", bound=Callable[..., Any])
_COMPARISON = "spanloc.losses.comparison."
_HEADER = (
    "loss",
    "range",
    "slope at the match",
    "pulls disjoint spans together",
    "gradient at most",
    "source",
)


@dataclass(frozen=True)
class Properties:
    """Properties of a span loss at its default options, for ordered spans whose targets are not empty.

    Slopes and gradients are *relative*: times the length of the target.

    Args:
        source: Publication.
        upper: The least bound of its values, which begin at 0. It need not be reached.
        slope: How steep the loss rises from the match when one end moves: 0 where it is smooth.
        steepest: The least bound of the norm of the gradient; infinite where there is none.
        apart: Disjoint spans are pulled together.
        touching: Spans that just touch are pulled together.
        separates: It is 0 at the match only.
        scale_invariant: It is the same in seconds and in steps.
        exact: Its gradient is the derivative of its value.
        names: Published names that it answers to on a line, beside its own.
    """

    source: str
    upper: float
    slope: float
    steepest: float
    apart: bool = True
    touching: bool = True
    separates: bool = True
    scale_invariant: bool = True
    exact: bool = True
    names: tuple[str, ...] = ()

    def __call__(self, loss: _Loss) -> _Loss:
        """Decorate a span loss with these properties."""
        setattr(loss, "properties", self)  # noqa: B010, a function has no such attribute
        return loss


def properties(loss: Callable[..., Any]) -> Properties:
    """Stated properties of a span loss, with or without options bound to it.

    Raises:
        ValueError: It states nothing.
    """
    stated = getattr(unwrap(loss)[0], "properties", None)
    if not isinstance(stated, Properties):
        raise ValueError(f"{loss!r} states no properties: decorate it with @Properties(...)")
    return stated


def table(losses: Mapping[str, Callable[..., Any]]) -> str:
    """Properties of losses by name, as a table in Markdown; those for comparison in a second one."""
    main: list[tuple[str, ...]] = []
    comparison: list[tuple[str, ...]] = []
    for name, loss in losses.items():
        stated = properties(loss)
        function = getattr(unwrap(loss)[0], "__name__", "")
        called = () if function in (name, f"{name}_loss") else (f"in Python `{function}`",)
        also = f" ({', '.join(stated.names + called)})" if stated.names + called else ""
        # A loss's folder says which it is, so that nobody has to keep a list.
        rows = comparison if unwrap(loss)[0].__module__.startswith(_COMPARISON) else main
        pulls = "yes" if stated.apart else "touching ones" if stated.touching else "**no**"
        numbers = (_number(stated.slope), pulls, _number(stated.steepest))
        rows.append((f"`{name}`{also}", f"0 to {_number(stated.upper)}", *numbers, stated.source))
    tables = _markdown(main)
    if comparison:
        tables += f"\nFor comparison with the literature:\n\n{_markdown(comparison)}"
    return tables


def _markdown(rows: list[tuple[str, ...]]) -> str:
    lines = [_HEADER, ("---",) * len(_HEADER), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _number(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.4g}"
