"""Contracts between the parts of a localizer."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from spanloc.structures import Output

#: Features ``(B, width, cells)`` and mask ``(B, cells)`` of one grid of cells.
Level = tuple[Tensor, Tensor]


class Backbone(Protocol):
    """Features to one grid of ``ceil(steps / stride)`` cells, zero in the padding.

    The cells of a sequence must not depend on the padding behind it. Convolutions see zeros there; a recurrent
    layer that reads backwards needs :func:`torch.nn.utils.rnn.pack_padded_sequence`.

    Attributes:
        num_channels: Of the features.
        stride: Steps per cell.
        width: Channels of the cells.
    """

    num_channels: int
    stride: int
    width: int

    def __call__(self, features: Tensor, mask: Tensor) -> Level:
        """Cells and mask of features ``(B, C, T)`` with the mask ``(B, T)``."""


class Neck(Protocol):
    """One grid of cells to several levels.

    Attributes:
        num_levels: How many.
        width: Channels of the levels.
    """

    num_levels: int
    width: int

    def __call__(self, x: Tensor, mask: Tensor) -> list[Level]:
        """The levels, the finest first."""

    def strides(self, stride: int) -> list[int]:
        """Steps per cell of every level, over a backbone of that stride."""


class Head(Protocol):
    """Levels to an output.

    A head whose number of predictions does not grow with the sequence says so by ``bounded = True``:
    sequences longer than those of training then go through the model in windows.

    Attributes:
        num_classes: Labels.
        width, num_levels: Of the levels that it takes; a head may leave them out.
    """

    num_classes: int

    def __call__(self, levels: Sequence[Level], strides: Sequence[int]) -> Output:
        """Scored spans; ``strides`` are in steps per cell."""
