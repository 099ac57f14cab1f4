"""Random changes of training sequences: of their values, and of time, with which the spans move."""

from spanloc.data.transforms.applied import DrawsOthers, Transform, Transformed
from spanloc.data.transforms.pace import Speed, TimeWarp
from spanloc.data.transforms.values import ChannelDrop, Jitter, MixBackground, Rotate, Scale

__all__ = [
    "ChannelDrop",
    "DrawsOthers",
    "Jitter",
    "MixBackground",
    "Rotate",
    "Scale",
    "Speed",
    "TimeWarp",
    "Transform",
    "Transformed",
]
