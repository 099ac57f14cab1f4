"""The forum thread's case: two perfect predictions, a loss of zero, and gradients that were not.

Its spans are ``[5, 5]`` and ``[2, 4]`` with inclusive ends, predicted exactly, and the losses are
averaged. The loss is written twice, as one function in two forms that differ in nothing but what
autograd says at the kink.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.ops import half_open, hull, length, overlap
from spanloc.ops.overlaps import Ties

#: ``(2, 2)``, half-open.
FORUM_SPANS = half_open(torch.tensor([[5, 5], [2, 4]])).double()


def over_union(
    pred: Float[Tensor, "n 2"], target: Float[Tensor, "n 2"], *, ties: Ties = "split"
) -> Float[Tensor, " n"]:
    """``1 - overlap / (length + length - overlap)``, as in the thread, without a case for disjoint.

    Args:
        pred, target: Overlapping spans in one unit.
        ties: As in :func:`spanloc.ops.overlap`, with ``pred`` first.
    """
    shared = overlap(pred, target, ties=ties)
    return 1 - shared / (length(pred) + length(target) - shared)


def over_hull(
    pred: Float[Tensor, "n 2"], target: Float[Tensor, "n 2"], *, ties: Ties = "split"
) -> Float[Tensor, " n"]:
    """``1 - overlap / hull``: the same value and, but for ties, the same gradient; arguments too."""
    return 1 - overlap(pred, target, ties=ties) / hull(pred, target, ties=ties)


def by_length(pred: Float[Tensor, "n 2"], target: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    """The thread's second attempt: the prediction's length in place of the overlap.

    What is left of :func:`over_union` is ``1 - length(pred) / length(target)``: it goes below 0, has
    the same gradient everywhere, and does not look at where the prediction lies.
    """
    return 1 - length(pred) / length(target)


class Case(NamedTuple):
    """One row of the thread's table: the mean loss of both spans, and its gradients.

    ``shift`` is by how much the first start was moved. ``starts`` and ``ends`` are the gradients at
    the two starts and the two ends.
    """

    form: str
    ties: str
    shift: float
    loss: float
    starts: tuple[float, float]
    ends: tuple[float, float]


class Attempt(NamedTuple):
    """One prediction under :func:`by_length`; ``start`` and ``end`` are the gradients."""

    pred: tuple[float, float]
    target: tuple[float, float]
    loss: float
    start: float
    end: float


_FORMS: dict[str, Callable] = {"overlap / union": over_union, "overlap / hull": over_hull}
_TIES: tuple[Ties, ...] = ("second", "split", "first")
_SHIFT = 1e-5


def forum_cases() -> list[Case]:
    """The thread's table under every tie rule and in both forms, in float64.

    Ties to the target, ``"second"``, is what torch did up to 1.9 and what the thread saw; ``"split"``
    is what it does since.

    >>> case = forum_cases()[1]
    >>> case.form, case.ties, case.loss
    ('overlap / union', 'second', 0.0)
    >>> [round(value, 4) for value in (*case.starts, *case.ends)]
    [-0.5, -0.1667, 0.5, 0.1667]
    """
    cases = []
    for form, ties, shift in product(_FORMS, _TIES, (-_SHIFT, 0.0, _SHIFT)):
        pred = FORUM_SPANS.clone()
        pred[0, 0] += shift
        pred.requires_grad_()
        loss = _FORMS[form](pred, FORUM_SPANS, ties=ties).mean()
        (gradient,) = torch.autograd.grad(loss, pred)
        # Adding 0 takes the sign off a zero.
        starts, ends = (gradient.T + 0.0).tolist()
        cases.append(Case(form, ties, shift, loss.item(), tuple(starts), tuple(ends)))
    return cases


def second_attempt() -> list[Attempt]:
    """:func:`by_length` of the match, of longer predictions, and of a misplaced one.

    >>> [round(attempt.loss, 4) for attempt in second_attempt()]
    [0.0, -0.3333, -1.0, 0.0]
    """
    target = FORUM_SPANS[1]
    shifts = [(0.0, 0.0), (0.0, 1.0), (0.0, 3.0), (100.0, 100.0)]
    pred = (target + torch.tensor(shifts)).requires_grad_()
    losses = by_length(pred, target.expand_as(pred))
    (gradient,) = torch.autograd.grad(losses.sum(), pred)
    rows = zip(pred.tolist(), losses.tolist(), gradient.tolist(), strict=True)
    return [
        Attempt(tuple(ends), tuple(target.tolist()), loss, *slopes) for ends, loss, slopes in rows
    ]
