"""Pure functions of spans: what every other part of spanloc builds on."""

from spanloc.ops.events import active_segments, match_collars
from spanloc.ops.matching import best_reached, match_ranked, nearest, ranked_areas
from spanloc.ops.overlap import half_open, hull, length, overlap, tiou
from spanloc.ops.points import anchor_points, decode_offsets, encode_offsets
from spanloc.ops.suppress import nms, soft_nms

__all__ = [
    "active_segments",
    "anchor_points",
    "best_reached",
    "decode_offsets",
    "encode_offsets",
    "half_open",
    "hull",
    "length",
    "match_collars",
    "match_ranked",
    "nearest",
    "nms",
    "overlap",
    "ranked_areas",
    "soft_nms",
    "tiou",
]
