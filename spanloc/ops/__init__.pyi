from .fusion import fuse
from .overlaps import half_open, hull, length, overlap, tiou
from .points import anchor_points, decode_offsets, encode_offsets
from .selection import exclusive, fill_gaps
from .suppress import nms, soft_nms
from .voting import vote

__all__ = [
    "anchor_points",
    "decode_offsets",
    "encode_offsets",
    "exclusive",
    "fill_gaps",
    "fuse",
    "half_open",
    "hull",
    "length",
    "nms",
    "overlap",
    "soft_nms",
    "tiou",
    "vote",
]
