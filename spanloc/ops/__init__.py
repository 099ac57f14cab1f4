"""Pure functions of spans: what every other part of spanloc builds on."""

from spanloc.ops.matching import match_ranked
from spanloc.ops.overlap import half_open, hull, length, overlap, tiou
from spanloc.ops.points import anchor_points, decode_offsets, encode_offsets
from spanloc.ops.suppress import nms, soft_nms

__all__ = [
    "anchor_points",
    "decode_offsets",
    "encode_offsets",
    "half_open",
    "hull",
    "length",
    "match_ranked",
    "nms",
    "overlap",
    "soft_nms",
    "tiou",
]
