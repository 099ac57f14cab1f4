"""Labels of targets, as targets of the scores."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spanloc.ops import tiou
from spanloc.structures import Batch

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
