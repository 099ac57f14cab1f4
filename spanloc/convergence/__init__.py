"""The behaviour of a span loss and its gradient at the optimum."""

from spanloc.convergence.anatomy import Anatomy, anatomy, kink_of, section
from spanloc.convergence.checked import Checked, checked
from spanloc.convergence.descent import Descent, descend, random_starts
from spanloc.convergence.exponent import Exponent, fit_exponent
from spanloc.convergence.forum import forum_cases, second_attempt
from spanloc.convergence.history import GradientHistory, has_plateaued
from spanloc.convergence.measurement import Measurement, measure, relative_gradient, summarise
from spanloc.convergence.probe import DescentResult, Forum, ProbeResult
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
    "kink_of",
    "measure",
    "random_starts",
    "relative_gradient",
    "second_attempt",
    "section",
    "summarise",
]
