"""Style of all figures: colours, axes, legends, and their files."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter

from spanloc.files import replacing

#: Colours that differ for any colour vision (Okabe and Ito 2008), without black and yellow, which vanish
#: on a dark and on a light ground.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
BLUE, ORANGE, GREEN, GREY = *SERIES[:3], "#9aa0a6"
#: Of what is not annotated, or ignored: paler than any span; and its name in a legend.
SHADE = ("#e2e5e9", "not annotated or ignored")
#: Inches: text stays readable where a page shows a figure 800 pixels wide.
WIDTH = 9.0

Colour = tuple[float, float, float]


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def tidy(axes: Axes, *, grid: bool = True) -> None:
    """Remove the frame above and on the right, and draw a pale grid."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(alpha=0.25, linewidth=0.6)


def plain_log(axes: Axes) -> None:
    """Label log axes with plain numbers, far enough apart."""
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            _label_log(axis)


def readable_log(axis: Axis) -> None:
    """Widen a log axis to a decade at least, with enough ticks to read numbers off, as plain numbers."""
    low, high = axis.get_view_interval()
    if high / low < 10:
        middle = (low * high) ** 0.5
        low, high = middle / 10**0.5, middle * 10**0.5
        (axis.axes.set_xlim if isinstance(axis, XAxis) else axis.axes.set_ylim)(low, high)
    _label_log(axis)


def _label_log(axis: Axis) -> None:
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,), numticks=6))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def palette(count: int) -> list[Colour]:
    """``count`` colours: those of :data:`SERIES`, then darker, then paler ones; from 19 on they repeat."""
    plain = np.array([to_rgb(colour) for colour in SERIES])
    colours = np.concatenate([plain, 0.55 * plain, 0.5 + 0.5 * plain]).tolist()
    return [(*colours[k % len(colours)],) for k in range(max(count, 1))]


def colour_legend(figure: Figure, entries: Sequence[tuple[Any, str]], **options: Any) -> None:
    """Name colours, by default below the axes; ``options`` as for a legend of matplotlib."""
    options = {"loc": "outside lower center", "ncols": 6, "fontsize": 8, **options}
    legend = figure.legend(
        handles=[Patch(color=colour) for colour, _ in entries],
        labels=[name for _, name in entries],
        frameon=False,
        **options,
    )
    # A name may hold a dollar, which begins a formula.
    for text in legend.get_texts():
        text.set_parse_math(False)


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
    svg = re.sub(r' (?:width|height)="[^"]*"', "", svg, count=2)  # those of the whole
    # Ids are in tags only: text has its quotes and angles escaped.
    svg = re.sub(r'(<[^>]*?\bid=")', rf"\1{name}-", svg)
    return re.sub(r'((?:url\(|xlink:href=")#)', rf"\1{name}-", svg)
