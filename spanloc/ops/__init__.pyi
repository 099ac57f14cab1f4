from .overlaps import half_open, hull, length, overlap, tiou
from .points import anchor_points, decode_offsets, encode_offsets
from .suppress import nms, soft_nms

__all__ = [
    "anchor_points",
    "decode_offsets",
    "encode_offsets",
    "half_open",
    "hull",
    "length",
    "nms",
    "overlap",
    "soft_nms",
    "tiou",
]
