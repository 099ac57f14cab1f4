"""Every figure. Each function draws on data in memory and returns the figure."""

from spanloc.plots.convergence import convergence
from spanloc.plots.report import Curve, group_colours, loss_gradient, seed_dots
from spanloc.plots.style import inline_svg, save_figure
from spanloc.plots.timelines import timelines
from spanloc.plots.training import curves

__all__ = [
    "Curve",
    "convergence",
    "curves",
    "group_colours",
    "inline_svg",
    "loss_gradient",
    "save_figure",
    "seed_dots",
    "timelines",
]
