"""What all figures share: colours, axes, and how they are written."""

import io
import re
from pathlib import Path

from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from spanloc.files import replacing

BLUE, ORANGE, GREEN, GREY = "#1f6fb2", "#d9730d", "#2f8f5b", "#9aa0a6"
#: For lines that stand for one of many.
SERIES = (BLUE, ORANGE, GREEN, "#8e44ad", "#c0392b", "#0e7c86", "#7f6000", "#d6457f")


def tidy(axes: Axes, *, grid: bool = True) -> None:
    """No frame above and on the right, and a pale grid."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(alpha=0.25, linewidth=0.6)


def plain_log(axes: Axes) -> None:
    """Only the powers of ten are named on a log axis that spans several."""
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis.get_scale() == "log" and high / low > 10:
            axis.set_minor_formatter(NullFormatter())


def palette(count: int) -> list[tuple[float, float, float]]:
    """``count`` colours that can be told apart, the strong ones first; from 21 on they repeat."""
    order = [*range(0, 20, 2), *range(1, 20, 2)]
    colours = (colormaps["tab20"](order[k % 20]) for k in range(max(count, 1)))
    return [(red, green, blue) for red, green, blue, _ in colours]


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure, atomically; the suffix says the format."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def inline_svg(figure: Figure, name: str) -> str:
    """A figure as an ``<svg>`` element for a page of HTML, as wide as its place allows.

    The same figure gives the same text. ``name`` begins every id in it, since the ids of all the
    figures on a page must differ.
    """
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}):
        figure.savefig(
            file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r'^(<svg[^>]*?) width="[^"]*"', r"\1", svg)
    svg = re.sub(r'^(<svg[^>]*?) height="[^"]*"', r"\1", svg)
    # Ids are in tags only: text has its quotes and angles escaped.
    svg = re.sub(r'(<[^>]*?\bid=")', rf"\1{name}-", svg)
    return re.sub(r'((?:url\(|xlink:href=")#)', rf"\1{name}-", svg)
