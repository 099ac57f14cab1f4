"""Lightning callbacks."""

from spanloc.callbacks.gradients import GradientNorms

__all__ = ["GradientNorms"]
