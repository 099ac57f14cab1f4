"""The tables of a report of many runs."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from spanloc.files import counted
from spanloc.metrics import KINDS
from spanloc.metrics.diagnosis import in_words
from spanloc.reports.groups import Group, compare, summarize
from spanloc.reports.runs import Run
from spanloc.reports.score_tables import meant
from spanloc.reports.table import NONE, Cell, Column, Table, difference, fixed, shortened, spread

_GROUP = "the settings that differ between the groups"
_OVER = "over the training set or a sample of it"
_GRADIENTS = (
    Column(
        "span loss",
        "convergence.own.loss",
        f"the trained span loss {_OVER}, once training had converged or ended",
    ),
    Column(
        "‖∇‖ span loss",
        "convergence.own.grad_span",
        f"norm of the gradient of the span loss, all parameters, {_OVER}",
    ),
    Column(
        "‖∇‖ total loss",
        "convergence.own.grad_total",
        f"norm of the gradient of the total loss, all parameters, {_OVER}",
    ),
    Column(
        "relative gradient",
        "convergence.own.relative_gradient.mean",
        "length × gradient at the matched spans, mean over the training set: near √2 for a sharp "
        "loss, however good the spans are; it falls with a smooth one",
    ),
)
_ERRORS = (
    Column(
        "boundary error, median",
        "convergence.endpoint_error.median",
        "error of the start and of the end, divided by the length of the span; median of the training set",
    ),
    Column(
        "boundary error, mean",
        "convergence.endpoint_error.mean",
        "the same, mean over the training set",
    ),
    Column(
        "1 − tIoU, training",
        lambda run: None if run.convergence is None else 1 - run.convergence.tiou,
        "1 − temporal IoU of the matched spans, mean over the training set",
    ),
)
_COMPARED = (_ERRORS[2], _ERRORS[0])
_TIME = Column("training (s)", "metrics.time/train", "seconds of training")


def group_table(groups: Sequence[Group]) -> Table:
    """One row a group: its metric and time, as mean ± standard deviation over the runs."""
    metric = _one_metric(groups)

    def judged(group: Group) -> Cell:
        found = spread(group.judged(), len(group.counted))
        named = f"{found.text} ({group.metric})" if group.metric and not metric else found.text
        return found._replace(text=named)

    columns = [
        Column("group", _label, _GROUP),
        Column("finished", _finished, "finished runs (one for each seed and fold), of all runs"),
        Column(
            metric or "metric",
            judged,
            "what the runs are judged by: of the test set where there is one",
        ),
        _over_runs(_TIME),
    ]
    notes = tested_apart(groups)
    if any(len(group.counted) > 1 for group in groups):
        notes += ["Mean ± standard deviation over the finished runs."]
    named = {group.label: group.whole for group in groups if group.whole}
    return Table.of("Groups", groups, columns, notes, groups=named)


def gradient_table(groups: Sequence[Group]) -> Table:
    """One row a group: losses, gradients and errors on the training set when training has ended, where measured."""
    columns = [
        Column("group", _label, _GROUP),
        *map(_over_runs, _GRADIENTS),
        Column(
            "exponent",
            _exponent,
            "slope of log gradient norm at the spans against log span loss over the run: near 0 "
            "for a sharp loss, near 1/2 for a smooth one. Mean over the runs; in brackets, the lowest "
            "and the highest limit of their intervals; n.d.: could not be determined",
        ),
        *map(_over_runs, _ERRORS),
    ]
    notes = [
        "For the study of gradients, not to judge a model: the losses, and the residual gradient, on "
        "the training set when training has ended."
    ]
    filled = [c for c in columns if any(c.of(group).text != NONE for group in groups)]
    if len(filled) < 2:
        return Table("Gradient and loss", [])
    return Table.of("Gradient and loss", groups, filled, notes)


def comparison_table(groups: Sequence[Group]) -> Table:
    """One row for every two groups that share two draws (seeds, folds): first minus second, draw by draw."""
    metric = _one_metric(groups)
    # What differs in one thing first: there the difference has a name.
    pairs = sorted(combinations(groups, 2), key=lambda p: len({*p[0].parts} ^ {*p[1].parts}))
    same = [pair for pair in pairs if len({*pair[0].counted} & {*pair[1].counted}) > 1]
    shared = [pair for pair in same if not tested_apart(pair)]
    judged = metric or "difference"
    meanings = {
        "n": "pairs of runs of the same seed and fold",
        "metric": "what both are judged by",
    }
    verdict = "the first group is higher or lower; no difference shown: the interval contains 0"
    for name in (judged, *(column.title for column in _COMPARED)):
        meanings[_minus(name)] = "mean of the differences, and its 95 % interval"
        meanings[_verdict(name)] = verdict
    if shared:
        notes = [
            "Differences between runs of the same seed and fold; n is the number of these pairs. In "
            "brackets: the 95 % interval of the mean (Student's t). With few pairs it is wide, so groups without "
            "a shown difference may still differ. Even if nothing differs, about one of 20 comparisons shows a "
            "difference."
        ]
        if apart := len(pairs) - len(shared):
            why = "fewer than two seeds or folds in common, or tested on different recordings"
            notes.append(f"Left out: {counted(apart, 'pair')} of groups ({why}).")
    elif pairs:
        notes = [
            "No comparison possible: it needs two groups with finished runs of the same two seeds or folds (or more), "
            "tested on the same recordings."
        ]
    else:
        notes = ["There are no two groups to compare."]
    rows = [_compared(first, second, metric) for first, second in shared]
    brief = ("first", "second", "n", _minus(judged), _verdict(judged))
    return Table("Comparison", rows, meanings, notes, brief)


def _compared(first: Group, second: Group, metric: str | None) -> dict[str, Any]:
    shared = len({*first.counted} & {*second.counted})
    row: dict[str, Any] = {"first": _label(first), "second": _label(second), "n": shared}
    same = first.metric is not None and first.metric == second.metric
    if not metric:
        both = (first.metric or NONE, second.metric or NONE)
        row["metric"] = both[0] if same else " and ".join(both)
    judged = compare(first.judged(), second.judged()) if same else compare({}, {})
    found = {metric or "difference": judged}
    for column in _COMPARED:
        found[column.title] = compare(first.values(column.of), second.values(column.of))
    for name, value in found.items():
        row[_minus(name)], row[_verdict(name)] = difference(value, shared)
    return row


def error_table(groups: Sequence[Group]) -> Table:
    """One row a group: the cost of its errors on the test set, as mean and spread over the runs."""
    found = "share of the targets that a prediction finds, whatever its score"
    measures = [
        Column("mAP@0.50", "scores.diagnosis.mAP", "of the test set"),
        Column("targets found", "scores.share_found", found),
    ]
    measures += [
        Column(f"gain: {in_words(kind)}", f"scores.diagnosis.gain.{kind}", meant()[kind])
        for kind in (*KINDS[1:], "missed")
    ]
    columns = [Column("group", _label), *map(_over_runs, measures)]
    known = [g for g in groups if any(run.scores is not None for run in g.counted.values())]
    notes = [
        "On the test set, all predictions: mAP@0.50, and its gain if all errors of a kind were corrected. "
        "The page scores.html in the folder of a run says more."
    ]
    return Table.of("Errors", known, columns, notes if known else ["No run has a diagnosis."])


def run_table(runs: Sequence[Run], groups: Sequence[Group], *, now: float) -> Table:
    """One row a run: its state, and how far it got."""
    labels = {run.folder: _label(group) for group in groups for run in group.runs}
    taken = {run.folder for group in groups for run in group.counted.values()}

    def remarks(run: Run) -> str:
        needed = {"overrides.yaml": run.overrides, "span loss": run.span_loss, "seed": run.seed}
        missing = [f"no {name}" for name, there in needed.items() if there is None]
        left_out = run.state == "finished" and run.folder not in taken
        why = [f"not counted: {[*missing, 'done again later'][0]}"] if left_out else []
        return "; ".join([*run.remarks, *why])

    def epochs(run: Run) -> Cell:
        wanted = f" of {run.max_epochs}" if run.max_epochs else ""
        return Cell(f"{run.epochs}{wanted}", run.epochs)

    states = (
        "going: something was written in the last 10 minutes; stopped: nothing was written for 10 minutes, "
        "and it is not finished; unreadable: nothing is known but the remark"
    )
    columns = [
        Column("run", lambda run: shortened(run.name), "its folder"),
        Column("group", lambda run: labels.get(run.folder)),
        Column("seed", lambda run: None if run.draw is None else Cell(run.draw, run.seed)),
        Column("state", "state", states),
        Column("last written", lambda r: _when(r.written, now), "the newest file in the folder"),
        Column("epochs", epochs, "whole epochs that were logged, of those wanted"),
        Column("steps", lambda r: Cell(str(r.steps), r.steps), "optimizer steps that were logged"),
        Column("last span loss", "last_loss", "mean over the last 20 logged mini-batches"),
        Column("remarks", remarks),
    ]
    return Table.of("Runs", runs, columns)


def count_states(runs: Sequence[Run]) -> str:
    """Number of runs, and of those in each state, in words."""
    counts = Counter(run.state for run in runs)
    states = ("finished", "going", "stopped", "failed", "unreadable")
    parts = ", ".join(f"{counts[state]} {state}" for state in states if counts[state])
    return f"{counted(len(runs), 'run')}: {parts}"


def _label(group: Group) -> Cell:
    return Cell(group.label, whole=group.whole)


def tested_apart(groups: Sequence[Group]) -> list[str]:
    """A sentence if runs of one draw were tested on different recordings, or else none."""
    # Runs of other folds are tested on other data; no file names the recordings of a test set.
    tested: dict[str, set[tuple[int, int]]] = {}
    for draw, run in ((draw, run) for group in groups for draw, run in group.counted.items()):
        if run.scores is not None:
            size = run.scores.num_sequences, run.scores.diagnosis["num_targets"]
            tested.setdefault(draw, set()).add(size)
    sizes = max(map(sorted, tested.values()), key=len, default=[])
    if len(sizes) < 2:
        return []
    named = ", ".join(
        f"{counted(spans, 'target')} in {counted(n, 'recording')}" for n, spans in sizes[:5]
    )
    return [
        f"Not all runs were tested on the same recordings ({named}): do not compare their test metrics."
    ]


def _finished(group: Group) -> Cell:
    return Cell(f"{len(group.counted)} of {len(group.runs)}", len(group.counted))


def _over_runs(column: Column) -> Column:
    """A column of runs as one of groups: mean ± standard deviation."""
    return column._replace(get=lambda g: spread(g.values(column.of), len(g.counted)))


def _minus(name: str) -> str:
    return f"{name}, first minus second"


def _verdict(name: str) -> str:
    return f"result for {name}"


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
    few = f" ({len(fits)} of {len(group.counted)} runs)" if len(fits) < len(group.counted) else ""
    shown = (fixed(value, ".2f") for value in (mean, low, high))
    return Cell("{} [{}, {}]".format(*shown) + few, mean)


def _when(written: float, now: float) -> Cell | None:
    """The date of a file, and its age to the largest unit that fits; None where it is not known."""
    if not written:
        return None
    sizes = {"d": 86400, "h": 3600, "min": 60}
    age = now - written
    ages = [f"{age / size:.0f} {unit} ago" for unit, size in sizes.items() if age >= size]
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(written))
    return Cell(f"{date} ({ages[0] if ages else 'just now'})", written)
