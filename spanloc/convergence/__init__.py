"""What the gradient of a span loss does at its optimum."""

from spanloc.convergence.relative import relative_gradient

__all__ = ["relative_gradient"]
