"""Types of span losses and score losses, and their names and options."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

#: Pairs ``(n, 2), (n, 2)`` to ``(n,)``: not reduced, weighted or masked.
SpanLoss = Callable[[Tensor, Tensor], Tensor]
#: Logits and targets of one shape to values of that shape.
ScoreLoss = Callable[[Tensor, Tensor], Tensor]


def unwrap(loss: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function behind ``functools.partial``, and the options bound to it.

    >>> from functools import partial
    >>> unwrap(partial(partial(max, 1), key=abs))
    (<built-in function max>, {'key': <built-in function abs>})
    """
    options: dict[str, Any] = {}
    while isinstance(loss, partial):
        options = {**loss.keywords, **options}
        loss = loss.func
    return loss, options


def name_of(loss: Callable[..., Any]) -> str:
    """The name of a loss, or of another function, without its ``_loss``.

    >>> from functools import partial
    >>> def my_loss(pred, target, *, weight): ...
    >>> name_of(partial(my_loss, weight=2))
    'my'
    """
    function, _ = unwrap(loss)
    return str(getattr(function, "__name__", type(function).__name__)).removesuffix("_loss")


def same(loss: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """True for one function with the same options, which may be losses with options too."""
    return _described(loss) == _described(other)


def _described(loss: Callable[..., Any]) -> tuple[Any, tuple[tuple[str, Any], ...]]:
    function, options = unwrap(loss)
    plain = {k: _described(v) if callable(v) else v for k, v in options.items()}
    return function, tuple(sorted(plain.items()))
