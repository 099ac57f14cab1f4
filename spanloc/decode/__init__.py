"""Decoding: outputs to predictions."""

from spanloc.decode.decode import Decode, Suppress

__all__ = ["Decode", "Suppress"]
