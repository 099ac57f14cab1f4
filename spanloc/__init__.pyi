from . import data, decode, losses, matching, metrics, models, ops, structures
from .cli.run.setup import setup
from .config.checkpoint import load
from .criterion import Criterion
from .decode import Decode
from .losses.terms import CellTerm, Term
from .structures import Batch, Predictions, Sample, Targets, Timeline, collate
from .training.task import SpanLocalizer

__version__: str
__all__ = [
    "Batch",
    "CellTerm",
    "Criterion",
    "Decode",
    "Predictions",
    "Sample",
    "SpanLocalizer",
    "Targets",
    "Term",
    "Timeline",
    "collate",
    "data",
    "decode",
    "load",
    "losses",
    "matching",
    "metrics",
    "models",
    "ops",
    "setup",
    "structures",
]
