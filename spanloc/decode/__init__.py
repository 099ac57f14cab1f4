"""Decoding: outputs to predictions, also of sequences that are too long to be evaluated at once."""

from spanloc.decode.decode import Decode, Scored, Suppress, joined
from spanloc.decode.windows import Reach, Window, decode_windows, reach_of, stretch, windows

__all__ = [
    "Decode",
    "Reach",
    "Scored",
    "Suppress",
    "Window",
    "decode_windows",
    "joined",
    "reach_of",
    "stretch",
    "windows",
]
