"""What all figures share: colours, axes, and how they are written."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spanloc.files import replacing

BLUE, ORANGE, GREEN, GREY = "#1f6fb2", "#d9730d", "#2f8f5b", "#9aa0a6"
#: For lines that stand for one of many.
SERIES = (BLUE, ORANGE, GREEN, "#8e44ad", "#c0392b", "#0e7c86", "#7f6000", "#d6457f")


def tidy(axes: Axes, *, grid: bool = True) -> None:
    """No frame above and on the right, and a pale grid."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(alpha=0.25, linewidth=0.6)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure, whole or not at all; the suffix says the format."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
