"""What metrics take: the spans of many sequences laid end to end, one row a span."""

from typing import NamedTuple

from torch import Tensor


class Predictions(NamedTuple):
    """Scored spans of many sequences, in any order.

    ``spans (M, 2)`` and ``scores (M,)`` float, ``labels (M,)`` int64, and ``sequences (M,)`` int64:
    any number that names the sequence, the same for its predictions and its targets.
    """

    spans: Tensor
    scores: Tensor
    labels: Tensor
    sequences: Tensor


class Targets(NamedTuple):
    """True spans of many sequences: ``spans (M, 2)``, ``labels (M,)`` and ``sequences (M,)``.

    Fields as in :class:`Predictions`.
    """

    spans: Tensor
    labels: Tensor
    sequences: Tensor


def decimal(threshold: float) -> str:
    """A threshold as it appears in names: two decimals, more where it has more.

    >>> decimal(0.5), decimal(0.525)
    ('0.50', '0.525')
    """
    short = f"{threshold:.2f}"
    return short if float(short) == threshold else f"{threshold:g}"
