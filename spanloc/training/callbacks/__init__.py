"""Lightning callbacks."""

from spanloc.training.callbacks.annealing import AnnealSmoothing
from spanloc.training.callbacks.averaging import EMAWeightAveraging
from spanloc.training.callbacks.checkpoints import LastCheckpoint, RunCheckpoint
from spanloc.training.callbacks.convergence import Convergence
from spanloc.training.callbacks.evaluated import Evaluated
from spanloc.training.callbacks.gradients import GradientNorms
from spanloc.training.callbacks.progress import ProgressLines, progress_display

__all__ = [
    "AnnealSmoothing",
    "Convergence",
    "EMAWeightAveraging",
    "Evaluated",
    "GradientNorms",
    "LastCheckpoint",
    "ProgressLines",
    "RunCheckpoint",
    "progress_display",
]
