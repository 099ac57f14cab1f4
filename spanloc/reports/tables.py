"""The tables of a report, as text that a page, Markdown and a terminal show alike."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from spanloc.convergence.result import ConvergenceResult
from spanloc.reports.cells import NONE, Cell, age, difference, fixed, number, shortened, spread
from spanloc.reports.groups import Group, compare, summarize
from spanloc.reports.runs import Run


@dataclass(frozen=True)
class Table:
    """Rows of cells, and what explains them.

    Attributes:
        columns: Pairs of a name and what it means.
        notes: Paragraphs below.
        brief: Numbers of the columns that a terminal shows.
        groups: Pairs of a label that is cut, and the whole of it.
    """

    title: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    brief: Sequence[int] = ()
    groups: Sequence[tuple[str, str]] = ()


class _Measure(NamedTuple):
    name: str
    meaning: str
    get: Callable[[Run], float]


def _measured(get: Callable[[ConvergenceResult], float]) -> Callable[[Run], float]:
    return lambda run: math.nan if run.convergence is None else get(run.convergence)


_MEASURES = (
    _Measure(
        "span loss",
        "the trained span loss over the training set or a sample of it, once training had converged or ended",
        _measured(lambda found: found.own.loss),
    ),
    _Measure(
        "‖∇‖ span loss",
        "norm of the gradient of the span loss, all parameters, over the training set or a sample of it",
        _measured(lambda found: found.own.grad_span),
    ),
    _Measure(
        "‖∇‖ total loss",
        "norm of the gradient of the total loss, all parameters, over the training set or a sample of it",
        _measured(lambda found: found.own.grad_total),
    ),
    _Measure(
        "relative gradient",
        "length × gradient at the matched spans, mean over the training set: near √2 for a sharp "
        "loss, however good the spans are; it falls with a smooth one",
        _measured(lambda found: found.own.relative_gradient.mean),
    ),
)
_ERRORS = (
    _Measure(
        "end error, median",
        "error of the ends over the length of the span, median over the training set",
        _measured(lambda found: found.endpoint_error.median),
    ),
    _Measure(
        "end error, mean",
        "the same, mean over the training set",
        _measured(lambda found: found.endpoint_error.mean),
    ),
    _Measure(
        "1 − tIoU, training",
        "1 − temporal IoU of the matched spans, mean over the training set",
        _measured(lambda found: 1 - found.tiou),
    ),
)
_TIME = _Measure(
    "training (s)", "seconds of training", lambda run: run.metrics.get("time/train", math.nan)
)


def group_table(groups: Sequence[Group]) -> Table:
    """One row a group: every figure as mean ± standard deviation over the seeds."""
    metric = _one_metric(groups)
    columns = [
        ("group", "the span loss, and the settings that differ between the groups"),
        ("finished", "finished runs (one a seed) of all runs"),
        *((measure.name, measure.meaning) for measure in _MEASURES),
        (
            "exponent",
            "slope of log gradient norm at the spans against log span loss over the run: near 0 "
            "for a sharp loss, near 1/2 for a smooth one. Mean over the seeds, and from the lowest "
            "to the highest end of their intervals; n.d.: not determinable in any",
        ),
        *((measure.name, measure.meaning) for measure in _ERRORS),
        (metric or "metric", "what the runs are judged by: of the test set where there is one"),
        (_TIME.name, _TIME.meaning),
    ]
    rows = []
    for group in groups:
        judged = spread(group.judged(), len(group.counted))
        if group.metric and not metric:
            judged = judged._replace(text=f"{judged.text} ({group.metric})")
        rows.append(
            [
                Cell(group.label, whole=group.whole),
                Cell(f"{len(group.counted)} of {len(group.runs)}", len(group.counted)),
                *(spread(group.values(measure.get), len(group.counted)) for measure in _MEASURES),
                _exponent(group),
                *(spread(group.values(measure.get), len(group.counted)) for measure in _ERRORS),
                judged,
                spread(group.values(_TIME.get), len(group.counted)),
            ]
        )
    notes = [
        "Mean ± standard deviation over the seeds, of finished runs. A figure that fewer runs have "
        "says how many."
    ]
    cut = [(group.label, group.whole) for group in groups if group.whole]
    return Table("Groups", columns, rows, notes, brief=(0, 1, 5, 6, 9, 10), groups=cut)


def comparison_table(groups: Sequence[Group]) -> Table:
    """One row for every two groups that share a seed: first minus second, seed by seed."""
    compared = (_ERRORS[2], _ERRORS[0])
    metric = _one_metric(groups)
    rows, apart = [], 0
    # What differs in one thing first: there the difference has a name.
    pairs = sorted(
        combinations(groups, 2), key=lambda pair: len({*pair[0].parts} ^ {*pair[1].parts})
    )
    for first, second in pairs:
        shared = {*first.counted} & {*second.counted}
        if not shared:
            apart += 1
            continue
        same = first.metric is not None and first.metric == second.metric
        judged = compare(first.judged(), second.judged()) if same else None
        one, other = first.metric or NONE, second.metric or NONE
        name = one if same else f"{one} and {other}"
        row = [Cell(group.label, whole=group.whole) for group in (first, second)]
        row.append(Cell(str(len(shared)), len(shared)))
        row += [*([] if metric else [Cell(name)]), *difference(judged, len(shared))]
        for measure in compared:
            found = compare(first.values(measure.get), second.values(measure.get))
            row += difference(found, len(shared))
        rows.append(row)
    columns = [
        ("first", "differences are the first group minus the second"),
        ("second", ""),
        ("n", "seeds that both have finished"),
        *([] if metric else [("metric", "what both are judged by")]),
    ]
    brief = (0, 1, 2, len(columns), len(columns) + 1)
    for name in (metric or "difference", *(measure.name for measure in compared)):
        columns += [(name, "mean of the differences, and its 95 % interval")]
        columns += [("the first is", "what the interval allows to say")]
    notes = []
    if rows:
        notes.append(
            "Differences between runs of the same seed; n is the number of seeds that both groups "
            "have finished, one difference each. The intervals are Student's, at 95 %, and each "
            "holds for its comparison alone: of 20 comparisons of what is equal, one is expected "
            "to show a difference. No difference shown is not the same as equal: with few seeds "
            "the interval is wide. From a single seed nothing can be told."
        )
    elif len(groups) > 1:
        notes.append("No two groups have a finished run of the same seed: it cannot be told.")
    else:
        notes.append("There are no two groups to compare.")
    if apart and rows:
        notes.append(f"Left out, for want of a shared seed: {apart} more pairs of groups.")
    return Table("Comparison over seeds", columns, rows, notes, brief)


def run_table(runs: Sequence[Run], groups: Sequence[Group], *, now: float) -> Table:
    """One row a run, with what it says of itself."""
    label = {
        run.folder: Cell(group.label, whole=group.whole) for group in groups for run in group.runs
    }
    counted = {run.folder for group in groups for run in group.counted.values()}
    columns = [
        ("run", "its folder"),
        ("group", ""),
        ("seed", ""),
        (
            "state",
            "going: written to in the last 10 minutes; stopped: not, and not finished; "
            "unreadable: nothing is known of it but the remark",
        ),
        ("last written", "the newest file in the folder"),
        ("epochs", "whole epochs that were logged, of those wanted"),
        ("steps", "optimizer steps that were logged"),
        ("last span loss", "mean of the last 20 mini-batches that were logged"),
        ("remarks", ""),
    ]
    rows = []
    for run in runs:
        remarks = run.remarks
        if run.state == "finished" and run.folder not in counted and run.folder in label:
            remarks.append(
                "not counted: done again later" if run.seed is not None else "not counted: no seed"
            )
        wanted = f" of {run.max_epochs}" if run.max_epochs else ""
        date = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.written))
        known = run.written > 0
        rows.append(
            [
                shortened(run.name),
                label.get(run.folder, Cell(NONE)),
                Cell(NONE if run.seed is None else str(run.seed), run.seed),
                Cell(run.state),
                Cell(f"{date} ({age(now - run.written)})" if known else NONE, run.written),
                Cell(f"{run.epochs}{wanted}", run.epochs),
                Cell(str(run.steps), run.steps),
                number(run.last_loss),
                Cell("; ".join(remarks)),
            ]
        )
    return Table("Runs", columns, rows)


def count_states(runs: Sequence[Run]) -> str:
    """In words: how many runs there are, and in what states."""
    states = [run.state for run in runs]
    parts = [
        f"{states.count(state)} {state}"
        for state in ("finished", "going", "stopped", "failed", "unreadable")
        if state in states
    ]
    return f"{len(runs)} run{'s' if len(runs) > 1 else ''}: {', '.join(parts)}"


def _one_metric(groups: Sequence[Group]) -> str | None:
    # The metric that all groups are judged by, if there is one.
    metrics = {group.metric for group in groups if group.metric}
    return metrics.pop() if len(metrics) == 1 else None


def _exponent(group: Group) -> Cell:
    measured = [run.convergence for run in group.counted.values() if run.convergence is not None]
    fits = [found.exponent for found in measured]
    fits = [fit for fit in fits if fit.determinable and math.isfinite(fit.slope)]
    if not fits:
        return Cell("n.d." if measured else NONE, math.nan)
    mean = summarize([fit.slope for fit in fits]).mean
    low, high = min(fit.low for fit in fits), max(fit.high for fit in fits)
    few = f" (n = {len(fits)})" if len(fits) < len(group.counted) else ""
    shown = (fixed(value, ".2f") for value in (mean, low, high))
    return Cell("{} [{}, {}]".format(*shown) + few, mean)
