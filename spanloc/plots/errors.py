"""Figures of an evaluation: kinds of errors, their costs and targets, and the reliability of scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from spanloc.metrics.diagnosis import in_words
from spanloc.metrics.rows import decimal
from spanloc.plots.style import BLUE, GREEN, GREY, ORANGE, SERIES, new_axes, readable_log, tidy

#: The colour of each kind of prediction, and of each fate of a target.
COLOURS = {
    "true positive": GREEN,
    "found": GREEN,
    "double detection": SERIES[4],
    "crowded out": SERIES[4],
    "wrong label": SERIES[3],
    "localisation": BLUE,
    "confusion": ORANGE,
    "background": GREY,
    "missed": GREY,
}


def error_ranks(ranks: Sequence[Mapping[str, int]]) -> Figure | None:
    """Shares of the kinds of predictions, by rank in multiples of the number of targets.

    All but the first are pale: each target counts once, so that most of them must be wrong.

    Args:
        ranks: Counts by kind, of the first G predictions, the next G, and so on.
    """
    totals = np.array([sum(counts.values()) for counts in ranks])
    if not totals.sum():
        return None
    shown = [i for i, total in enumerate(totals) if total]
    figure, axes = new_axes(5.2, 3.8)
    places, bottom = [i + 1 for i in shown], np.zeros(len(shown))
    for kind in ranks[0]:
        share = np.array([ranks[i][kind] / totals[i] for i in shown])
        colours = [(COLOURS[kind], 0.3 if i else 1.0) for i in shown]
        axes.bar(places, share, 0.86, bottom, color=colours, label=in_words(kind))
        bottom += share
    axes.set(xlabel="predictions by rank of the score", ylabel="share", ylim=(0, 1))
    axes.set_xticks(places, [f"{place}G" for place in places])
    axes.set_xlim(0.4, max(places[-1], 5) + 0.6)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles[::-1], labels[::-1], loc="outside right center", fontsize=8, frameon=False
    )
    tidy(axes, grid=False)
    return figure


def error_gains(gain: Mapping[str, float], tiou: float) -> Figure | None:
    """Gain in mAP at ``tiou`` from mending each kind of error; None if there is none."""
    if not any(gain.values()):
        return None
    figure, _ = _bars(gain, 2.8, "+.3f", f"gain in mAP@{decimal(tiou)}, all predictions")
    return figure


def target_fates(targets: Mapping[str, int]) -> Figure | None:
    """The share of the targets that are not found, by what overlaps them; None where all are found."""
    total = sum(targets.values())
    lost = {name: count / total for name, count in targets.items() if name != "found" and total}
    if not any(lost.values()):
        return None
    figure, axes = _bars(lost, 2.5, ".1%", "share of the targets")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def _bars(values: Mapping[str, float], height: float, form: str, what: str) -> tuple[Figure, Axes]:
    figure, axes = new_axes(5.2, height)
    names = [
        in_words(name).replace(" and ", "\nand ").replace(" for ", "\nfor ") for name in values
    ]
    bars = axes.barh(names, list(values.values()), color=[COLOURS[name] for name in values])
    axes.bar_label(bars, [f"{value:{form}}" for value in values.values()], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(what)
    axes.margins(x=0.15)
    axes.locator_params(axis="x", nbins=4)
    axes.set_axisbelow(True)
    tidy(axes)
    return figure, axes


def error_sensitivity(
    sensitivity: Mapping[str, Sequence[Mapping[str, Any]]], whole: float
) -> Figure | None:
    """The normalised mAP and the share that is found, of groups of alike targets.

    Args:
        sensitivity: Groups by characteristic; one without groups is left out.
        whole: The normalised mAP of all targets, drawn as a line.
    """
    shown = {title: groups for title, groups in sensitivity.items() if groups}
    if not shown:
        return None
    figure = Figure(figsize=(2.6 * len(shown) + 1, 3.4), layout="constrained")
    row = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, (title, groups) in zip(row, shown.items(), strict=True):
        places = range(len(groups))
        mean, found, names = ([g[field] for g in groups] for field in ("mAP_N", "found", "name"))
        axes.bar(places, mean, 0.8, color=BLUE, label="corrected mAP")
        axes.plot(places, found, "o", color=ORANGE, label="share found (any score)")
        axes.axhline(whole, color=GREY, linestyle="--", linewidth=1, label="corrected mAP of all")
        axes.set_xticks(places, names)
        axes.set(xlabel=in_words(title), xlim=(-0.6, max(len(groups), 5) - 0.4), ylim=(0, 1.04))
        axes.set_axisbelow(True)
        tidy(axes)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    return figure


def reliability(
    counts: Sequence[int], scores: Sequence[float], shares: Sequence[float]
) -> Figure | None:
    """Share of right predictions over their score, and numbers of predictions; None without any.

    Args:
        counts: Predictions by bins of equal width over ``[0, 1]``.
        scores, shares: Mean score, and share that is right, of each bin; NaN for an empty one.
    """
    total = np.array(counts)
    if not total.sum():
        return None
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    there = total > 0
    # Against right and wrong drawn by chance at that score: two standard errors.
    centre = np.array(scores)[there]
    spread = 2 * np.sqrt(centre * (1 - centre) / total[there])
    upper.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="perfect scores")
    low, high = (np.clip(centre + s * spread, 0, 1) for s in (-1, 1))
    upper.vlines(centre, low, high, color=GREY, lw=4, alpha=0.4, label="spread by chance")
    upper.plot(centre, np.array(shares)[there], "o-", color=BLUE, label="these predictions")
    upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(-0.03, 1.03))
    upper.legend(fontsize=8, frameon=False, loc="best")
    edges = np.linspace(0, 1, len(total) + 1)
    lower.bar(edges[:-1], total, np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    lower.set(xlabel="score", ylabel="predictions", yscale="log")
    readable_log(lower.yaxis)
    for axes in (upper, lower):
        axes.set_axisbelow(True)
        tidy(axes)
    return figure
