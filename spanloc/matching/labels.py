"""Targets of the scores: the labels of targets, and predictions without a score loss."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from spanloc.ops import tiou
from spanloc.structures import Batch, Output

# Two targets with this tIoU are one event with two labels: what it is, and how.
_SAME = 0.9


def labels_of_targets(
    batch: Batch, num_labels: int, *, shared: bool = True
) -> Float[Tensor, "batch targets labels"]:
    """1 for the labels of each target, 0 for all others; only 0 for an unknown label.

    Args:
        batch: The targets.
        num_labels: In all.
        shared: A target also has the labels of those with the same span (a tIoU of 0.9 or more):
            for heads whose points can answer for one target only.

    >>> from spanloc.structures import Sample, collate
    >>> spans = torch.tensor([[0.0, 4.0], [0.0, 4.0], [6.0, 9.0]])
    >>> batch = collate([Sample("a", torch.zeros(1, 9), spans, torch.tensor([0, 1, 2]))])
    >>> labels_of_targets(batch, 3).tolist()
    [[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
    """
    own = F.one_hot(batch.labels.clamp(min=0), num_labels).float()
    own = own * (batch.target_mask & (batch.labels >= 0))[..., None]
    if not shared:
        return own
    same = tiou(batch.spans[:, :, None], batch.spans[:, None]) >= _SAME
    # The overlap of empty targets says nothing.
    same = same | torch.eye(same.shape[1], dtype=torch.bool, device=same.device)
    return (same.float() @ own).clamp(max=1)


def unjudged(
    output: Output, batch: Batch
) -> tuple[Bool[Tensor, "batch predictions"], Bool[Tensor, "batch predictions"]]:
    """Find the predictions that cannot be judged, by the places of their points.

    A prediction without a point has the middle of its span in place of one; it may answer for a target
    wherever that is.

    Returns:
        Two masks. *Ignored*: the point lies in an ignored stretch, so that the prediction answers for no target
        and has no loss. *Silent*: it lies there or in a target whose label is not known (-1); unless the
        prediction answers for a target, its scores have no loss.
    """
    if output.points is None:
        places = output.spans.detach().mean(-1)
    else:
        places = output.points[:, 0].expand(len(batch), -1)
    unknown = inside(places, batch.spans, batch.target_mask & (batch.labels < 0))
    none = unknown.new_zeros(()).expand_as(unknown)
    if batch.ignored is None:
        return none, unknown
    if batch.ignored.shape[::2] != (len(batch), 2):
        raise ValueError(
            f"the batch's ignored stretches have the shape {tuple(batch.ignored.shape)}; wanted "
            f"({len(batch)}, any, 2)"
        )
    ignored = inside(places, batch.ignored)
    return none if output.points is None else ignored, unknown | ignored


def inside(
    places: Float[Tensor, "batch predictions"],
    spans: Float[Tensor, "batch spans 2"],
    mask: Bool[Tensor, "batch spans"] | None = None,
) -> Bool[Tensor, "batch predictions"]:
    """True for places that lie in one of the half-open spans of their sequence, those with ``mask``."""
    places = places[..., None]
    found = (spans[:, None, :, 0] <= places) & (places < spans[:, None, :, 1])
    return (found if mask is None else found & mask[:, None]).any(-1)
