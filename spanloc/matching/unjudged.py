"""Predictions without a score loss: in ignored stretches, or in targets of unknown label."""

from jaxtyping import Bool, Float
from torch import Tensor

from spanloc.structures import Batch, Output


def unjudged(
    output: Output, batch: Batch
) -> tuple[Bool[Tensor, "batch predictions"], Bool[Tensor, "batch predictions"]]:
    """Find the predictions that cannot be judged, by the places of their points.

    A prediction without a point has the middle of its span in place of one; it may answer for a target
    wherever that is.

    Args:
        output: Of any head.
        batch: The targets, and the ignored stretches.

    Returns:
        Two masks. *Ignored*: the point lies in an ignored stretch, so that the prediction answers for no target
        and has no loss. *Silent*: it lies there or in a target whose label is not known (-1); unless the
        prediction answers for a target, its scores have no loss.

    Raises:
        ValueError: The ignored stretches have a wrong shape.
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
