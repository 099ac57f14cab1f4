"""Losses of matched pairs that need more of the output than its spans: what a head gives beside these."""

from typing import NamedTuple

from torch import Tensor

from spanloc.ops import encode_offsets
from spanloc.structures import Output


class Pairs(NamedTuple):
    """The matched pairs of an output and its batch.

    Spans ``pred (n, 2)`` (with gradients) and ``target (n, 2)`` in steps; the ``weight (n,)`` of each
    pair in the terms of pairs; and the places of the predictions in the output: those of their
    ``sequence (n,)`` and their ``prediction (n,)``.
    """

    pred: Tensor
    target: Tensor
    weight: Tensor
    sequence: Tensor
    prediction: Tensor


def distribution_focal(output: Output, pairs: Pairs) -> Tensor:
    """Distribution focal loss of the boundaries of matched predictions, ``(n,)``, at least 0.

    The cross entropy of each side's distribution with its true offset, shared between the two bins
    around it by their closeness; the mean of the two sides. An offset beyond the last bin counts as
    that bin.

    Args:
        output: Of a :class:`~spanloc.models.DistributionHead`.
        pairs: The matched pairs.

    Raises:
        ValueError: The head gives no distributions.

    References:
        Li et al. 2020, arXiv:2006.04388, equation 6.
    """
    if "bins" not in output.extra or output.points is None:
        raise ValueError("distribution_focal needs a head with distributions: head=distribution")
    place = (pairs.sequence, pairs.prediction)
    bins, offsets = output.extra["bins"][place], output.extra["offsets"][place]
    wanted = encode_offsets(pairs.target, output.points[pairs.prediction])
    step = offsets[..., 1] - offsets[..., 0]
    at = (wanted / step).clamp(min=0).clamp(max=bins.shape[-1] - 1)
    low = at.floor().clamp(max=bins.shape[-1] - 2).long()
    logs = bins.log_softmax(-1)
    lower = logs.gather(-1, low[..., None])[..., 0]
    upper = logs.gather(-1, low[..., None] + 1)[..., 0]
    share = at - low
    return -((1 - share) * lower + share * upper).mean(-1)
