"""Figures that cost little: drawing them would be half of the time of a small training."""

from matplotlib.figure import Figure

_savefig = Figure.savefig


def small(figure, *args, **options):
    """Saves a figure of few dots and without its layout."""
    figure.set_layout_engine("none")
    _savefig(figure, *args, **{**options, "dpi": 20})


def blank(figure, *args, **options):
    """Saves an empty figure of the same size."""
    small(Figure(figure.get_size_inches()), *args, **options)
