"""Every figure. Each function draws on data in memory and returns the figure."""

from spanloc.plots.convergence import convergence
from spanloc.plots.style import save_figure
from spanloc.plots.timelines import timelines
from spanloc.plots.training import curves

__all__ = ["convergence", "curves", "save_figure", "timelines"]
