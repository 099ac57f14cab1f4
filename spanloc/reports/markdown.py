"""The report in Markdown."""

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from html import escape

from spanloc.reports.groups import Group
from spanloc.reports.learning_curve import ABOUT, LearningCurve
from spanloc.reports.runs import Run
from spanloc.reports.scores import error_table
from spanloc.reports.tables import Table, comparison_table, count_states, group_table, run_table


def markdown(
    runs: Sequence[Run],
    groups: Sequence[Group],
    *,
    now: float,
    curves: Sequence[LearningCurve] = (),
) -> str:
    """The tables of the report. Nothing that stands in a file of a run becomes markup."""
    tables = [
        group_table(groups),
        comparison_table(groups),
        error_table(groups),
        run_table(runs, groups, now=now),
    ]
    head = ["# Report of spanloc runs", "", f"{count_states(runs)}.", ""]
    if curves:
        lines = [f"- {_plain(f'{curve.label}: {curve.sentences()}')}" for curve in curves]
        head += ["## Learning curve", "", *lines, "", ABOUT, ""]
    # What a label leaves out is listed once, below the first table.
    listed = {label for label, _ in tables[0].groups}
    return "\n".join([*head, *(line for table in tables for line in _lines(table, listed))])


def _lines(table: Table, listed: Set[str]) -> list[str]:
    lines = [f"## {table.title}", ""]
    if table.rows:
        lines += [
            _row([name for name, _ in table.columns]),
            "|" + " --- |" * len(table.columns),
            *(
                _row(
                    [cell.text if cell.text in listed else cell.whole or cell.text for cell in row]
                )
                for row in table.rows
            ),
            "",
        ]
    lines += [line for note in table.notes for line in (_plain(note), "")]
    if table.groups:
        lines += ["What the groups are:", "", *_list(table.groups), ""]
    meant = {name: meaning for name, meaning in table.columns if meaning and table.rows}
    return [*lines, *_list(meant.items()), ""]


def _list(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f"- *{_plain(name)}*: {_plain(text)}" for name, text in pairs)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    # A line of a table: no markup, no further cell, no further line.
    text = re.sub(r"([\\`*|]|\](?=\())", r"\\\1", " ".join(text.split()))
    return escape(text, quote=False)
