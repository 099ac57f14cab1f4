"""Lengths, overlaps and temporal IoU of spans: start and end in the last axis, half-open, one unit."""

from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

Spans = Float[Tensor, "*#n 2"]
Values = Float[Tensor, "*#n"]
Ties = Literal["split", "first", "second"]


def length(spans: Shaped[Tensor, "*n 2"]) -> Shaped[Tensor, "*n"]:
    """``end - start``, in the unit of the spans; negative for a reversed span.

    Raises:
        ValueError: The last axis is not (start, end).

    >>> length(torch.tensor([[2.0, 5.0], [4.0, 4.0]]))
    tensor([3., 0.])
    """
    if spans.shape[-1] != 2:
        raise ValueError(f"spans have the shape {tuple(spans.shape)}; wanted (..., 2): start, end")
    return spans[..., 1] - spans[..., 0]


def half_open(spans: Shaped[Tensor, "*n 2"]) -> Shaped[Tensor, "*n 2"]:
    """Inclusive integer ends as half-open ends: ``[5, 5]`` covers one step, ``[5, 6)``.

    The shift is a constant, so formulas written with ``+ 1`` for inclusive ends and the formulas
    here agree exactly, gradients too.

    >>> half_open(torch.tensor([[5, 5], [2, 4]]))
    tensor([[5, 6],
            [2, 5]])
    """
    return spans + spans.new_tensor([0, 1])


def overlap(a: Spans, b: Spans, *, ties: Ties = "split") -> Values:
    """Signed overlap ``min(ends) - max(starts)``: minus the gap where two spans are disjoint.

    Args:
        a, b: Spans in one unit, broadcast against each other: ``overlap(a[:, None], b)`` is a table.
        ties: Who gets the gradient of an end (or start) that the two share, where ``min`` and
            ``max`` have a kink: half each (``"split"``, as :func:`torch.minimum` does since torch
            1.10), all to ``a`` (``"first"``) or all to ``b`` (``"second"``, as torch did up to 1.9).
            Values do not depend on it, nor does it rest on what a torch version does at a tie.

    >>> overlap(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([ 1., -2.])
    """
    return _smaller(a[..., 1], b[..., 1], ties) - _larger(a[..., 0], b[..., 0], ties)


def hull(a: Spans, b: Spans, *, ties: Ties = "split") -> Values:
    """Length of the smallest span that contains both, ``max(ends) - min(starts)``.

    Args:
        a, b, ties: As in :func:`overlap`.

    >>> hull(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0], [3.0, 4.0]]))
    tensor([3., 4.])
    """
    return _larger(a[..., 1], b[..., 1], ties) - _smaller(a[..., 0], b[..., 0], ties)


def tiou(a: Spans, b: Spans) -> Values:
    """Temporal IoU, in ``[0, 1]``: overlap over union, 0 for disjoint, empty or reversed spans.

    Two empty spans have no overlap to speak of: their 0/0 is 0, not NaN and not a hit.

    Args:
        a, b: Spans in one unit, broadcast against each other: ``tiou(a[:, None], b)`` is a table.

    >>> tiou(torch.tensor([[0.0, 2.0], [4.0, 4.0]]), torch.tensor([[1.0, 3.0], [4.0, 4.0]]))
    tensor([0.3333, 0.0000])
    """
    shared = overlap(a, b)
    shared = torch.where(shared > 0, shared, 0.0)
    union = length(a) + length(b) - shared
    return shared / torch.where(shared > 0, union, 1.0)


def _smaller(a: Tensor, b: Tensor, ties: Ties) -> Tensor:
    return _pick(a, b, a < b, b < a, ties)


def _larger(a: Tensor, b: Tensor, ties: Ties) -> Tensor:
    return _pick(a, b, a > b, b > a, ties)


def _pick(a: Tensor, b: Tensor, is_a: Tensor, is_b: Tensor, ties: Ties) -> Tensor:
    # The rest falls to the mean: a tie, which splits the gradient, or a NaN, which must stay one.
    if ties == "first":
        is_a = is_a | (a == b)
    elif ties == "second":
        is_b = is_b | (a == b)
    elif ties != "split":
        raise ValueError(f"ties is {ties!r}; it may be 'split', 'first' or 'second'")
    return torch.where(is_a, a, torch.where(is_b, b, (a + b) / 2))
