"""Parts of the span losses: a prediction and its target compared, on a line, and checks of options.

With ``error = |start error| + |end error|``, twice the signed overlap of two spans is
``length + wanted - error`` and twice their hull is ``length + wanted + error``. Their ratio is GIoU,
on a line without a case for disjoint spans, and wherever the spans overlap it *is* IoU. What other
losses add is made of two further numbers: how far the centres are apart, and how much the prediction
is too long.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.losses.scalar import at_least, not_negative

Spans = Float[Tensor, "*n 2"]
Values = Float[Tensor, "*n"]


class Pair(NamedTuple):
    """A prediction against its target, in the unit of the spans, in float32 at least.

    ``start`` and ``end`` are the errors of the ends; ``length`` is that of the prediction, negative
    where it is reversed, and ``wanted`` that of the target, above 0.
    """

    start: Tensor
    end: Tensor
    length: Tensor
    wanted: Tensor


def compare(pred: Tensor, target: Tensor, eps: float) -> Pair:
    """A pair of each prediction and its target; one shorter than ``eps`` counts as that long.

    Raises:
        TypeError: One is no tensor.
        ValueError: ``eps`` is not above 0, the last axis of one is not (start, end), or their shapes differ:
            broadcasting would make a table of pairs that nobody asked for.
    """
    for name, spans in (("pred", pred), ("target", target)):
        if not isinstance(spans, Tensor):
            raise TypeError(f"{name} is a {type(spans).__name__}; wanted a torch.Tensor")
    if pred.shape != target.shape or pred.shape[-1:] != (2,):
        raise ValueError(
            f"pred and target have the shapes {tuple(pred.shape)} and {tuple(target.shape)}; wanted "
            "the same (..., 2) of both: start, end"
        )
    above_zero("eps", eps)
    # Half precision has three digits: 5001 and 5003 are one number there.
    dtype = torch.promote_types(torch.promote_types(pred.dtype, target.dtype), torch.float32)
    start, end = pred.to(dtype).unbind(-1)
    first, last = target.to(dtype).unbind(-1)
    return Pair(start - first, end - last, end - start, at_least(last - first, eps))


def end_errors(pair: Pair) -> Tensor:
    """Sum of the sizes of both end errors, with slope 0 where an end is right."""
    return pair.start.abs() + pair.end.abs()


def shift(pair: Pair) -> Tensor:
    """Distance from the centre of the target to that of the prediction, negative to the left."""
    return (pair.start + pair.end) / 2


def growth(pair: Pair) -> Tensor:
    """Difference of the lengths: how much longer the prediction is than the target."""
    return pair.end - pair.start


def hull(pair: Pair, error: Tensor) -> Tensor:
    """The length that both spans cover with what lies between them; above 0.

    A reversed prediction counts as empty: its negative length could take the hull to 0.
    """
    # Half of all three, with the halving in the addition: it is one pass over the memory less.
    return torch.add(pair.wanted / 2, not_negative(pair.length) + error, alpha=0.5)


def overlap_loss(pair: Pair, error: Tensor) -> Tensor:
    """``1 - signed overlap / hull`` in ``[0, 2]``, to full precision: above 1 for disjoint spans."""
    return error / hull(pair, error)


def above_zero(name: str, value: float) -> None:
    """Refuse an option of a loss that is not a number above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; it must be above 0")


def between_0_and_1(name: str, value: float) -> None:
    """Refuse an option of a loss that is not a number between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}; it must lie in (0, 1)")
