"""The report of many runs as one page."""

import time
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from spanloc import plots
from spanloc.reports.cells import shortened
from spanloc.reports.groups import Group
from spanloc.reports.html import document, figures_section, table_section
from spanloc.reports.learning_curve import ABOUT, LearningCurve, by_metric, drawn
from spanloc.reports.runs import Run
from spanloc.reports.scores import error_table
from spanloc.reports.tables import comparison_table, count_states, group_table, run_table


def page(
    runs: Sequence[Run],
    groups: Sequence[Group],
    *,
    now: float,
    curves: Sequence[LearningCurve] = (),
) -> str:
    """The whole page. The same runs at the same time give the same page.

    Nothing that stands in a file of a run becomes markup; the page's own policy forbids any script
    but its own, and any request.

    Args:
        runs: All of them.
        groups: The groups of these runs.
        now: Seconds since 1970, for the ages.
        curves: Of these groups.
    """
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(now))
    parts = [
        f'<p class="soft">{escape(count_states(runs))}. Written {date}.</p>',
        *table_section(group_table(groups)),
        *table_section(comparison_table(groups)),
        *_learning(curves),
        *_figures(runs, groups),
        *table_section(error_table(groups)),
        *table_section(run_table(runs, groups, now=now)),
    ]
    return document("Report of spanloc runs", parts)


def _learning(curves: Sequence[LearningCurve]) -> Iterator[str]:
    for number, (metric, of_metric) in enumerate(by_metric(curves).items()):
        yield f"<section><h2>Learning curve: {escape(metric)}</h2>"
        for curve in of_metric:
            named = f"{curve.label}: " if len(of_metric) > 1 else ""
            yield f"<p>{escape(named + curve.sentences())}</p>"
        caption = (
            f"{metric} against the number of training sequences; a dot is a run. The line is a power "
            "law of the error with a floor, dashed beyond the runs; the band is its 95 % interval."
        )
        figure = plots.learning_curve(drawn(of_metric), metric)
        yield from figures_section([(figure, caption)], f"learning{number}-")
        yield f'<p class="soft">{escape(ABOUT)}</p></section>'


def _figures(runs: Sequence[Run], groups: Sequence[Group]) -> Iterator[str]:
    number = {run.folder: i for i, group in enumerate(groups) for run in group.runs}
    drawn = [run for run in runs if run.folder in number]
    yield "<section><h2>Gradient and loss</h2>"
    figures = [
        (
            plots.loss_gradient(
                [
                    plots.Curve(
                        run.curves.get("train/loss_span", np.zeros(0)),
                        run.curves.get(
                            column, run.curves.get("train/loss_span", np.zeros(0)) * np.nan
                        ),
                        number[run.folder],
                        run.state == "finished",
                    )
                    for run in drawn
                ],
                len(groups),
                sharp=sharp,
            ),
            caption,
        )
        for column, sharp, caption in (
            (
                "grad/spans",
                2**0.5,
                "Relative gradient at the matched spans against the span loss, every run of every "
                "group, medians over blocks of steps; training goes from right to left and ends "
                "in the dot. A sharp loss stays at √2 (slope 0), a smooth one falls (slope 1/2).",
            ),
            (
                "grad/params",
                None,
                "The same of the gradient of the total loss in all parameters, before clipping: "
                "with the noise of the mini-batches, and with the score loss.",
            ),
        )
    ]
    judged = sorted({group.metric for group in groups if group.metric})
    for metric in judged:
        rows = [(g.label, g.judged(), i) for i, g in enumerate(groups) if g.metric == metric]
        caption = (
            f"{metric} of every finished run; the bar is the mean, the grey lines join the runs "
            "of one seed."
        )
        figures.append((plots.seed_dots(rows, shortened(metric).text), caption))
    if not any(figure for figure, _ in figures):
        yield '<p class="soft">No run has logged anything to draw yet.</p></section>'
        return
    yield '<ul class="legend">'
    for group, colour in zip(groups, plots.group_colours(len(groups)), strict=True):
        dot = f'<svg viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5" r="5" fill="{colour}"/></svg>'
        yield f"<li>{dot}{escape(group.label)}</li>"
    yield "</ul>"
    if any(run.state != "finished" for run in drawn):
        yield '<p class="soft">Dashed: runs that have not finished.</p>'
    yield from figures_section(figures)
    yield "</section>"
