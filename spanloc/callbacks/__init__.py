"""Lightning callbacks."""

from spanloc.callbacks.checkpoints import RunCheckpoint
from spanloc.callbacks.gradients import GradientNorms

__all__ = ["GradientNorms", "RunCheckpoint"]
