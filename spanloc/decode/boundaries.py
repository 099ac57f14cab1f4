"""Spans and scores of a head with curves of boundaries, by these curves."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spanloc.models.heads.boundary import NO_BOUNDARY, REACH
from spanloc.structures import Output

# Cells around a boundary whose peak it moves to.
_AROUND = 2
# A chance of next to nothing.
_LEAST = 1e-6
# Squared chances of about 3 %: with less around it, an end stays. With a smaller value, rounding moves ends.
_HARDLY = 1e-3


def at_boundaries(
    output: Output, *, weight: float, snap: float
) -> tuple[Float[Tensor, "batch predictions 2"], Float[Tensor, "batch predictions labels"]]:
    """Spans in steps, with their ends moved towards the curves' peaks, and scores that heed the curves.

    A score ``s`` becomes ``s * sqrt(a * b) ** weight`` with the chances ``a`` that something starts where
    the span does, give or take a cell, and ``b`` that something ends where it does. An end moves by the share
    ``snap`` of its way to the mean of the cells around it, weighted by their squared chances. Without curves,
    spans and scores stay as they are.

    Args:
        output: Of any head.
        weight: At least 0; 0 leaves the scores.
        snap: In [0, 1]; 0 leaves the spans.
    """
    spans, scores = output.spans, output.logits.sigmoid()
    if "boundaries" not in output.extra or output.points is None or not (weight or snap):
        return spans, scores
    curves = output.extra["boundaries"].transpose(1, 2)
    ends, stride = spans.transpose(1, 2), output.points[0, 1]
    chances = curves.sigmoid()
    # Between cells all is interpolated: an end that differs by rounding must not read another cell.
    place = ends / stride - 0.5
    # An end before the first cell that is no padding, or after the last one, is read there, and stays.
    last = (curves[:, :1] > NO_BOUNDARY + 1).sum(-1, keepdim=True) - 0.5
    seen = torch.minimum(place.clamp(min=-0.5), last)
    # Of one that is too far from its point to be surely seen, nothing is known.
    near = (ends - output.points[:, 0]).abs() <= REACH * output.points[:, 1]
    first = seen.floor()
    if weight:
        # With a cell more on both sides: just outside, the last cell is near.
        wide = F.pad(chances, (2, 2))
        # Not max_pool1d, which torch.export takes for one of a fixed length.
        peaks = wide[..., :-2].maximum(wide[..., 1:-1]).maximum(wide[..., 2:])
        low, high = (_read(peaks, (first + k).long()) for k in (1, 2))
        there = torch.where(near, torch.lerp(low, high, seen - first), 1)
        scores = scores * there.clamp(min=_LEAST).prod(1)[..., None] ** (weight / 2)
    if snap:
        cells = first[..., None] + torch.arange(-_AROUND, _AROUND + 2, device=first.device)
        away = cells - seen[..., None]
        share = (_AROUND + 1 - away.abs()).clamp(min=0, max=1)
        share = share * _read(chances, cells.long().flatten(2)).view(cells.shape) ** 2
        # Where there is hardly a chance of a boundary, an end stays.
        moves = (share * away).sum(-1) / (share.sum(-1) + _HARDLY)
        moves = torch.where(near & (seen == place), moves, 0)
        moved = (ends + snap * stride * moves).transpose(1, 2)
        spans = torch.where(moved[..., :1] < moved[..., 1:], moved, spans)
    return spans, scores


def _read(curves: Tensor, cells: Tensor) -> Tensor:
    """Curves ``(B, 2, T)`` at cells ``(B, 2, n)``: 0 outside."""
    inside = (cells >= 0) & (cells < curves.shape[2])
    return curves.gather(2, cells.clamp(min=0, max=curves.shape[2] - 1)) * inside
