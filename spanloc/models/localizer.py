"""A whole model: normalisation, backbone, neck, head."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from spanloc.models.output import Output


class Localizer(nn.Module):
    """Features to spans. Padding never changes what comes out at the steps of a sequence.

    The mean and standard deviation of the channels are buffers, 0 and 1 until
    :meth:`set_statistics` is called, so they travel with the weights.

    Args:
        backbone: Such as :class:`~spanloc.models.ConvBackbone`; says ``num_channels``, ``stride``.
        neck: Such as :class:`~spanloc.models.PyramidNeck`.
        head: Such as :class:`~spanloc.models.PointsHead`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, neck: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, head
        self.register_buffer("mean", torch.zeros(backbone.num_channels))
        self.register_buffer("std", torch.ones(backbone.num_channels))

    def set_statistics(
        self, mean: Float[Tensor, " channels"], std: Float[Tensor, " channels"]
    ) -> None:
        """Normalise features by these, from the training sequences only."""
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(
        self, features: Float[Tensor, "batch channels steps"], mask: Bool[Tensor, "batch steps"]
    ) -> Output:
        """Spans of a batch; ``mask`` is false in the padding."""
        if features.shape[1] != len(self.mean):
            raise ValueError(
                f"features have {features.shape[1]} channels; the model takes {len(self.mean)}"
            )
        x = (features - self.mean[:, None]) / self.std[:, None]
        levels = self.neck(*self.backbone(x, mask))
        return self.head(levels, self.neck.strides(self.backbone.stride))
