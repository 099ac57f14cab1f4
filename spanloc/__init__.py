"""spanloc: train models that say where in a sequence something starts and ends."""

from spanloc import losses, metrics, ops
from spanloc.checkpoint import load
from spanloc.criterion import Criterion
from spanloc.decode import Decode
from spanloc.task import SpanLocalizer

__version__ = "0.1.0"

__all__ = ["Criterion", "Decode", "SpanLocalizer", "load", "losses", "metrics", "ops"]
