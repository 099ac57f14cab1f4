"""The report of many runs as one page, and in Markdown."""

import re
import time
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np

from spanloc import plots
from spanloc.reports.groups import Group
from spanloc.reports.learning_curve import ABOUT, LearningCurve, by_metric, lines
from spanloc.reports.pages import render
from spanloc.reports.runs import Run
from spanloc.reports.table import shortened
from spanloc.reports.tables import (
    comparison_table,
    count_states,
    error_table,
    gradient_table,
    group_table,
    run_table,
    tested_apart,
)


def page(
    runs: Sequence[Run],
    groups: Sequence[Group],
    *,
    now: float,
    curves: Sequence[LearningCurve] = (),
) -> str:
    """The whole page of runs and their groups; ``now``, in seconds since 1970, is for the ages.

    The same runs at the same time give the same page.
    """
    number = {run.folder: i for i, group in enumerate(groups) for run in group.runs}
    shown = [(run, number[run.folder]) for run in runs if run.folder in number]
    return render(
        "report.html",
        "Report of spanloc runs",
        states=count_states(runs),
        date=time.strftime("%Y-%m-%d %H:%M", time.localtime(now)),
        groups=group_table(groups),
        comparison=comparison_table(groups),
        learning=[
            (m, lines(of), plots.learning_curve(of, m)) for m, of in by_metric(curves).items()
        ],
        about=ABOUT,
        judged=[] if tested_apart(groups) else [*_metrics(groups)],
        gradients=gradient_table(groups),
        drawn=[*_gradients(shown, len(groups))],
        legend=[*zip([g.label for g in groups], plots.group_colours(len(groups)), strict=False)],
        unfinished=any(run.state != "finished" and run.steps for run, _ in shown),
        errors=error_table(groups),
        runs=run_table(runs, groups, now=now),
    )


def markdown(
    runs: Sequence[Run],
    groups: Sequence[Group],
    *,
    now: float,
    curves: Sequence[LearningCurve] = (),
) -> str:
    """The tables of the report; arguments as for :func:`page`."""
    blocks = ["# Report of spanloc runs", f"{count_states(runs)}."]
    if curves:
        blocks.append("## Learning curve")
        blocks += [f"- {_plain(line)}" for line in lines(curves)]
        blocks.append(ABOUT)
    # What a label leaves out is listed once, below the first table.
    listed = {group.label for group in groups if group.whole}
    for table in (
        group_table(groups),
        comparison_table(groups),
        error_table(groups),
        gradient_table(groups),
        run_table(runs, groups, now=now),
    ):
        if table.rows or table.notes:
            blocks.append(f"## {table.title}")
        rows = [
            [cell.text if cell.text in listed else cell.whole or cell.text for cell in row.values()]
            for row in table.cells
        ]
        if rows:
            rows = [table.columns, ["---"] * len(table.columns), *rows]
            blocks.append("\n".join(f"| {' | '.join(map(_plain, row))} |" for row in rows))
        blocks += map(_plain, table.notes)
        if table.groups:
            blocks.append("What the groups are:")
        named = [*table.groups.items(), *table.explained.items()]
        blocks.append("\n".join(f"- *{_plain(name)}*: {_plain(text)}" for name, text in named))
    return "\n\n".join(filter(None, blocks)) + "\n"


def _plain(text: str) -> str:
    # A line of Markdown: no markup, no further cell, no further line.
    text = re.sub(r"([\\`*|]|\](?=\())", r"\\\1", " ".join(text.split()))
    return escape(text, quote=False)


def _gradients(shown: Sequence[tuple[Run, int]], num_groups: int) -> Iterator[tuple[Any, str]]:
    captions = {
        "grad/spans": (
            "Relative gradient at the matched spans against the span loss, every run of every "
            "group, medians over blocks of steps; training goes from right to left and ends "
            "in the dot. A sharp loss stays at √2 (slope 0), a smooth one falls (slope 1/2)."
        ),
        "grad/params": (
            "The gradient of the total loss in all parameters, before clipping, against the span loss: "
            "with the noise of the mini-batches, and with the score loss."
        ),
    }
    for column, caption in captions.items():
        curves = []
        for run, group in shown:
            loss = run.curves.get("train/loss_span", np.zeros(0))
            gradient = run.curves.get(column, np.full(len(loss), np.nan))
            curves.append(plots.Curve(loss, gradient, group, run.state == "finished"))
        sharp = 2**0.5 if column == "grad/spans" else None
        yield plots.loss_gradient(curves, num_groups, sharp=sharp), caption


def _metrics(groups: Sequence[Group]) -> Iterator[tuple[Any, str]]:
    for metric in sorted({group.metric for group in groups if group.metric}):
        rows = [(g.label, g.judged(), i) for i, g in enumerate(groups) if g.metric == metric]
        draws = [draw for _, by_draw, _ in rows for draw in by_draw]
        joined = "; the grey lines join the runs of one seed and fold" * (
            len({*draws}) < len(draws)
        )
        caption = f"{metric} of every finished run; the bar is the mean{joined}."
        yield plots.seed_dots(rows, shortened(metric).text), caption
