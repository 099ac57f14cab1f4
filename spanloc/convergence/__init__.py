"""What the gradient of a span loss does at its optimum."""

from spanloc.convergence.anatomy import Anatomy, anatomy, section
from spanloc.convergence.checked import Checked, checked
from spanloc.convergence.descent import Descent, descend, random_starts
from spanloc.convergence.exponent import Exponent, fit_exponent
from spanloc.convergence.forum import forum_cases, second_attempt
from spanloc.convergence.history import GradientHistory
from spanloc.convergence.measurement import Measurement, measure, summarise
from spanloc.convergence.plateau import has_plateaued
from spanloc.convergence.probe import DescentResult, Forum, ProbeResult
from spanloc.convergence.relative import relative_gradient
from spanloc.convergence.result import ConvergenceResult, Minibatch
from spanloc.convergence.trajectories import Trajectories

__all__ = [
    "Anatomy",
    "Checked",
    "ConvergenceResult",
    "Descent",
    "DescentResult",
    "Exponent",
    "Forum",
    "GradientHistory",
    "Measurement",
    "Minibatch",
    "ProbeResult",
    "Trajectories",
    "anatomy",
    "checked",
    "descend",
    "fit_exponent",
    "forum_cases",
    "has_plateaued",
    "measure",
    "random_starts",
    "relative_gradient",
    "second_attempt",
    "section",
    "summarise",
]
