"""What the gradient of a span loss does at its optimum."""

from spanloc.convergence.anatomy import Anatomy, anatomy, section
from spanloc.convergence.checked import Checked, SpanLoss, checked
from spanloc.convergence.descent import Descent, descend, random_starts
from spanloc.convergence.exponent import Exponent, fit_exponent
from spanloc.convergence.forum import forum_cases, second_attempt
from spanloc.convergence.plateau import has_plateaued
from spanloc.convergence.relative import relative_gradient

__all__ = [
    "Anatomy",
    "Checked",
    "Descent",
    "Exponent",
    "SpanLoss",
    "anatomy",
    "checked",
    "descend",
    "fit_exponent",
    "forum_cases",
    "has_plateaued",
    "random_starts",
    "relative_gradient",
    "second_attempt",
    "section",
]
