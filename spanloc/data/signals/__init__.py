"""Signals: what a model sees, read piece by piece from files."""

from spanloc.data.signals.arrays import NpySignal
from spanloc.data.signals.protocol import Signal

__all__ = ["NpySignal", "Signal"]
