"""Pages of HTML that need nothing else: no network, no further file."""

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from spanloc import plots
from spanloc.reports.cells import Cell
from spanloc.reports.tables import Table

_STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --soft: #5c646c; --line: #d9dde1;
  --ground: #fff; --raised: #f3f5f7; --link: #1f6fb2; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8ea; --soft: #a2a9b0; --line: #3a4148;
  --ground: #15181b; --raised: #20252a; --link: #6cb2ec; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem clamp(.8rem, 3vw, 2.5rem) 4rem; max-width: 1500px;
  font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground); }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p, dl { max-width: 75ch; }
p.soft, figcaption, dd, summary { color: var(--soft); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
.scroll:focus-visible, button:focus-visible, summary:focus-visible {
  outline: 2px solid var(--link); outline-offset: 1px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px;
  font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); background: var(--ground); }
tbody tr:last-child > * { border-bottom: 0; }
thead th { background: var(--raised); vertical-align: bottom; padding: 0; }
th button { all: unset; box-sizing: border-box; width: 100%; padding: .45rem .6rem;
  cursor: pointer; font-weight: 600; }
th button::after { content: "\\00a0↕"; color: var(--soft); font-weight: 400; }
th[aria-sort=ascending] button::after { content: "\\00a0↑"; color: var(--link); }
th[aria-sort=descending] button::after { content: "\\00a0↓"; color: var(--link); }
tbody th, td { overflow-wrap: break-word; }
tbody th { position: sticky; left: 0; font-weight: 600; min-width: 14rem; max-width: 14rem;
  border-right: 1px solid var(--line); }
td.long { min-width: 14rem; max-width: 34rem; }
@media (max-width: 600px) { tbody th { min-width: 10.8rem; max-width: 10.8rem; font-size: 12px; } }
td.failed, td.unreadable { color: #b3261e; font-weight: 600; } td.going { color: #1f6fb2; font-weight: 600; }
td.stopped { color: #a05a00; font-weight: 600; }
td.higher, td.lower { font-weight: 600; }
@media (prefers-color-scheme: dark) { td.failed, td.unreadable { color: #ff8a80; } td.going { color: #6cb2ec; }
  td.stopped { color: #f0b05f; } }
.figures { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); align-items: start; }
figure { margin: 0; max-width: 40rem; }
figure svg { display: block; width: 100%; height: auto; background: #fff; border-radius: 6px;
  border: 1px solid var(--line); font-family: system-ui, sans-serif; }
figcaption { font-size: 13.5px; margin-top: .4rem; }
ul.legend { list-style: none; padding: 0; margin: .6rem 0 1rem; display: flex; flex-wrap: wrap;
  gap: .2rem 1.4rem; overflow-wrap: anywhere; }
.legend svg { width: .8em; height: .8em; margin-right: .45em; }
details { margin: .6rem 0; font-size: 13.5px; } summary { cursor: pointer; }
dt { font-weight: 600; margin-top: .4rem; } dd { margin: 0; }
"""

# What is missing stays below whatever the order is.
_SCRIPT = """
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0];
    const column = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => {
      const cell = row.cells[column], value = cell.dataset.value;
      return value === undefined ? cell.textContent : value === "" ? null : Number(value);
    };
    const order = (a, b) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const sign = typeof a === "number" && typeof b === "number" ? a - b
        : String(a).localeCompare(String(b), "en", {numeric: true});
      return down ? -sign : sign;
    };
    body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
  });
}
"""


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page of these parts, which are HTML; the title is text.

    The page's own policy forbids any script but its own, and any request.
    """
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    whole = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        *parts,
        f"<script>{_SCRIPT}</script></body></html>",
    ]
    return "\n".join(whole) + "\n"


def figures_section(figures: Iterable[tuple[Any, str]], name: str = "figure") -> Iterator[str]:
    """Figures with their captions, side by side where there is room; those that are None are left out.

    ``name`` begins their ids, which must differ on a page.
    """
    yield '<div class="figures">'
    for i, (figure, caption) in enumerate(figures):
        if figure:
            svg = plots.inline_svg(figure, f"{name}{i}")
            svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
            yield f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
    yield "</div>"


def table_section(table: Table) -> Iterator[str]:
    """A table that can be sorted, with its title and what explains it. Text becomes no markup."""
    yield f"<section><h2>{escape(table.title)}</h2>"
    if table.rows:
        # A table that is wider than the window is scrolled, by keys too.
        yield f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        yield "<table><thead><tr>"
        for name, meaning in table.columns:
            hint = f' title="{escape(meaning)}"' if meaning else ""
            button = f'<button type="button"{hint}>{escape(name)}</button>'
            yield f'<th scope="col" aria-sort="none">{button}</th>'
        yield "</tr></thead><tbody>"
        for row in table.rows:
            yield f"<tr>{_head(row[0])}{''.join(map(_data, row[1:]))}</tr>"
        yield "</tbody></table></div>"
    yield from (f'<p class="soft">{escape(note)}</p>' for note in table.notes)
    meant = {name: meaning for name, meaning in table.columns if meaning and table.rows}
    for title, listed in (
        ("What the groups are", dict(table.groups)),
        ("What the columns mean", meant),
    ):
        if listed:
            yield f"<details><summary>{title}</summary><dl>"
            yield from (
                f"<dt>{escape(n)}</dt><dd>{escape(text)}</dd>" for n, text in listed.items()
            )
            yield "</dl></details>"
    yield "</section>"


def _head(cell: Cell) -> str:
    return f'<th scope="row"{_hint(cell)}>{escape(cell.text)}</th>'


def _hint(cell: Cell) -> str:
    return f' title="{escape(cell.whole)}"' if cell.whole else ""


def _data(cell: Cell) -> str:
    marks = ("failed", "unreadable", "going", "stopped", "higher", "lower")
    kind = cell.text if cell.text in marks else "long" if len(cell.text) > 36 else ""
    mark = (f' class="{kind}"' if kind else "") + _hint(cell)
    if cell.value is not None:
        mark += f' data-value="{cell.value if math.isfinite(cell.value) else ""}"'
    # Lines break before ± and before an interval, not inside.
    text = re.sub(r"(?<=±) |(?<=,) (?=[^\[\]]*\])", "\u00a0", cell.text)
    return f"<td{mark}>{escape(text)}</td>"
