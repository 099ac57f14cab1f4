"""Self-contained pages of HTML: no network, no further file. Text in them never becomes markup."""

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from spanloc import plots
from spanloc.reports.table import Cell

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).with_name("templates")
# Cells with these texts are coloured.
_MARKED = ("failed", "unreadable", "going", "stopped", "higher", "lower")


def render(
    template: str,
    title: str,
    *,
    scripts: Sequence[str] = ("sort.js",),
    styles: Sequence[str] = ("page.css",),
    **values: Any,
) -> str:
    """A page of HTML: a template with values by name; all files are in ``templates/``.

    The page's own policy forbids any script but its own, and any request.
    """
    script, style = ("".join(map(_read, names)) for names in (scripts, styles))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return part(
        template, title=title, script=Markup(script), digest=digest, style=Markup(style), **values
    )


def part(template: str, **values: Any) -> Markup:
    """A part of a page: the template with the values."""
    return Markup(_environment().get_template(template).render(values))


@cache
def _environment() -> "Environment":
    # Not needed by commands that write no page, and by no command to start.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    environment.filters |= {"svg": _svg, "attributes": _attributes, "unbroken": _unbroken}
    return environment


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _svg(figure: Any, name: str, caption: str) -> Markup:
    """A figure as markup; ``name`` begins the ids in it, which must differ on a page."""
    label = f'<svg role="img" aria-label="{escape(caption)}"'
    return Markup(plots.inline_svg(figure, name).replace("<svg", label, 1))


def _attributes(cell: Cell) -> dict[str, Any]:
    """Attributes of a cell: its class, its whole text, and the value that it is sorted by."""
    long = "long" if len(cell.text) > 36 else None
    known = cell.value is not None and math.isfinite(cell.value)
    return {
        "class": cell.text if cell.text in _MARKED else long,
        "title": cell.whole or None,
        "data-value": cell.value if cell.value is None or known else "",
    }


def _unbroken(text: str) -> str:
    # Lines break before ± and before an interval, not inside.
    return re.sub(r"(?<=±) |(?<=,) (?=[^\[\]]*\])", "\u00a0", text)
