"""A search of settings: its record, and its page."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spanloc.files import counted
from spanloc.plots.study import importances as importance_figure
from spanloc.plots.study import study_history, study_slices
from spanloc.reports.pages import render
from spanloc.reports.table import Cell, Column, Table, shortened

_STATES = ("finished", "pruned", "failed", "killed", "running", "waiting")


@dataclass(frozen=True)
class TrialResult:
    """One trial of a search.

    Attributes:
        state: ``finished``, ``pruned``, ``failed``, ``killed`` (its parameters were tried again),
            ``running`` or ``waiting``.
        value: The objective; of a pruned trial the last that was reported; else NaN.
        seconds: That it took; NaN unless it ended.
        params: Values by the names of the settings.
        error: Why it failed.
    """

    number: int
    state: str
    value: float
    seconds: float
    params: dict[str, Any]
    error: str = ""


@dataclass(frozen=True)
class StudyResult:
    """``study.json``.

    Attributes:
        objective: Name of the metric.
        direction: ``maximize`` or ``minimize``.
        best: Number of the best finished trial; None without one.
        command: The command that trains it; empty without one.
        trials: By number.
    """

    objective: str
    direction: str
    best: int | None
    command: str
    trials: list[TrialResult]

    def summary(self) -> str:
        """Number of trials, and of those in each state, in words."""
        counts = Counter(trial.state for trial in self.trials)
        states = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state])
        return f"{counted(len(self.trials), 'trial')}: {states or 'none'}"


def study_page(
    study: StudyResult, importances: Mapping[str, float], *, logarithmic: Collection[str] = ()
) -> str:
    """A study as one page.

    Args:
        importances: Shares of 1, by parameter; empty: not known.
        logarithmic: Parameters that are drawn on a log axis.
    """
    return render(
        "study.html",
        f"Search for {study.objective}",
        study=study,
        drawn=[*_figures(study, importances, logarithmic)],
        trials=trial_table(study),
    )


def trial_table(study: StudyResult) -> Table:
    """The trials, the best first."""
    sign = -1 if study.direction == "maximize" else 1
    order = sorted(
        study.trials,
        key=lambda t: (t.state != "finished", math.isnan(t.value), sign * t.value, t.number),
    )
    columns = [
        Column("trial", lambda t: Cell(f"{t.number:04}", t.number), "folder below trials/"),
        Column("state", "state", "killed: its parameters were tried again"),
        Column(study.objective, "value", "of a pruned trial the last validation's"),
        Column("seconds", "seconds"),
    ]
    names = dict.fromkeys(name for trial in study.trials for name in trial.params)
    columns += map(_parameter, names)
    columns.append(Column("error", lambda t: shortened(t.error) if t.error else None))
    return Table.of("All trials", order, columns)


def _parameter(name: str) -> Column:
    def value(trial: TrialResult) -> Any:
        found = trial.params.get(name)
        return found if type(found) in (int, float, type(None)) else shortened(str(found))

    return Column(name, value)


def _figures(
    study: StudyResult, importances: Mapping[str, float], logarithmic: Collection[str]
) -> Iterator[tuple[Any, str]]:
    ended = [t for t in study.trials if t.state in ("finished", "pruned")]
    done = [t for t in ended if math.isfinite(t.value)]
    up = study.direction == "maximize"
    rows = [(t.number, t.value, t.state == "finished") for t in done]
    text = f"{study.objective} of every trial, and the best so far; hollow: pruned."
    yield study_history(rows, study.objective, up=up), text
    text = (
        "Importance of the parameters (PED-ANOVA, shares of 1): how much each setting influences "
        "the result. With few trials this is mostly chance."
    )
    yield importance_figure(importances), text
    for name in dict.fromkeys(name for t in done for name in t.params):
        points = [
            (t.params[name], t.value, t.state == "finished") for t in done if name in t.params
        ]
        figure = study_slices(points, name, study.objective, log=name in logarithmic)
        yield figure, f"{study.objective} against {name}; hollow: pruned."
