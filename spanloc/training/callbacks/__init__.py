"""Lightning callbacks."""

from spanloc.callbacks.annealing import AnnealSmoothing
from spanloc.callbacks.checkpoints import RunCheckpoint
from spanloc.callbacks.convergence import Convergence
from spanloc.callbacks.evaluated import Evaluated
from spanloc.callbacks.gradients import GradientNorms

__all__ = ["AnnealSmoothing", "Convergence", "Evaluated", "GradientNorms", "RunCheckpoint"]
