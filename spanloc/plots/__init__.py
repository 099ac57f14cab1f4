"""Every figure. Each function draws on data in memory and returns the figure."""

from spanloc.plots.errors import (
    error_gains,
    error_ranks,
    error_sensitivity,
    reliability,
    target_fates,
)
from spanloc.plots.probe import error_over_steps, gradient_against_loss, match
from spanloc.plots.report import (
    Curve,
    group_colours,
    learning_curve,
    loss_gradient,
    seed_dots,
)
from spanloc.plots.style import inline_svg, save_figure
from spanloc.plots.timelines import timelines
from spanloc.plots.training import convergence, curves

__all__ = [
    "Curve",
    "convergence",
    "curves",
    "error_gains",
    "error_over_steps",
    "error_ranks",
    "error_sensitivity",
    "gradient_against_loss",
    "group_colours",
    "inline_svg",
    "learning_curve",
    "loss_gradient",
    "match",
    "reliability",
    "save_figure",
    "seed_dots",
    "target_fates",
    "timelines",
]
