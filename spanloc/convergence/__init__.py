"""What the gradient of a span loss does at its optimum."""

from spanloc.convergence.exponent import Exponent, fit_exponent
from spanloc.convergence.plateau import has_plateaued
from spanloc.convergence.relative import relative_gradient

__all__ = ["Exponent", "fit_exponent", "has_plateaued", "relative_gradient"]
