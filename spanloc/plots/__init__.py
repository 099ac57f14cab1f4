"""Every figure. Each function draws on data in memory and returns the figure."""

from spanloc.plots.probe import error_over_steps, gradient_against_loss, match
from spanloc.plots.style import save_figure
from spanloc.plots.timelines import timelines
from spanloc.plots.training import curves

__all__ = [
    "curves",
    "error_over_steps",
    "gradient_against_loss",
    "match",
    "save_figure",
    "timelines",
]
