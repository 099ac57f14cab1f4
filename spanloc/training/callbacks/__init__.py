"""Lightning callbacks."""

from spanloc.training.callbacks.annealing import AnnealSmoothing
from spanloc.training.callbacks.checkpoints import RunCheckpoint
from spanloc.training.callbacks.convergence import Convergence
from spanloc.training.callbacks.evaluated import Evaluated
from spanloc.training.callbacks.gradients import GradientNorms

__all__ = ["AnnealSmoothing", "Convergence", "Evaluated", "GradientNorms", "RunCheckpoint"]
