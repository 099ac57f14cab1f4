"""Groups of runs that differ in nothing but seeds and folds, and their comparison."""

import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple

from scipy.special import stdtrit

from spanloc.files import leaves, one_line
from spanloc.reports.runs import Run

# Settings that do not change a result: names, places, the machine, what is shown and what is measured
# beside the training. Names are compared with a dot at their end.
_NO_MATTER = (
    *("seed.", "data.split_seed.", "data.fold.", "name.", "test.", "ckpt_path.", "logger."),
    *("data.num_workers.", "trainer.devices.", "trainer.accelerator.", "trainer.strategy."),
    *("trainer.log_every_n_steps.", "trainer.enable_"),
    *("callbacks.gradients.", "callbacks.convergence.", "callbacks.progress."),
    *("callbacks.last.every_n_epochs.", "callbacks.last.every_minutes."),
)
_MOST_NAMED, _MOST_TEXT = 5, 200


class Summary(NamedTuple):
    """Mean, standard deviation (of ``n - 1``; NaN for one) and number of the values that are known."""

    mean: float
    std: float
    n: int


class Difference(NamedTuple):
    """Mean of paired differences with its 95 % t interval; NaN where there are too few pairs."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> str:
        """Comparison of the first with the second, as far as the interval allows, in words."""
        if self.n < 2:
            return "no comparison possible"
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference shown"


@dataclass(frozen=True)
class Group:
    """Runs that differ in what is drawn only (:attr:`Run.draw`).

    Attributes:
        label: The settings that other groups have otherwise, the first few; of one group the span loss.
        whole: All of these if the label leaves some out, or else empty.
        parts: The span loss and these one by one, all of them, also what is null.
        runs: All of them.
        counted: The finished ones, the latest of each draw, by draw.
        metric: What most of the counted runs are judged by; None without any.
    """

    label: str
    whole: str
    parts: tuple[str, ...]
    runs: tuple[Run, ...]
    counted: Mapping[str, Run]
    metric: str | None

    def values(self, get: Callable[[Run], float | None]) -> dict[str, float]:
        """One number of each counted run that has it, by draw."""
        values = {draw: get(run) for draw, run in self.counted.items()}
        return {draw: v for draw, v in values.items() if v is not None and math.isfinite(v)}

    def judged(self) -> dict[str, float]:
        """The metric of each counted run that has it, by draw."""
        return self.values(lambda run: run.metrics.get(self.metric or ""))


def summarize(values: Sequence[float]) -> Summary:
    """Mean and spread of some values, which must be finite.

    >>> summarize([1.0, 2.0, 6.0])
    Summary(mean=3.0, std=2.6457513110645907, n=3)
    """
    n = len(values)
    mean = statistics.mean(values) if n else math.nan
    return Summary(mean, statistics.stdev(values) if n > 1 else math.nan, n)


def compare(first: Mapping[Any, float], second: Mapping[Any, float]) -> Difference:
    """First minus second over the seeds (or other keys) that they share: one difference for each.

    What two runs of one seed have in common, such as the data and the first weights, cancels; the
    interval is Student's, ``mean ± t(n - 1) std / sqrt(n)``, for differences that are roughly normal.

    >>> compare({0: 3.0, 1: 4.0, 2: 9.0}, {0: 1.0, 1: 1.0, 3: 5.0}).n
    2
    """
    mean, std, n = summarize([first[seed] - second[seed] for seed in sorted({*first} & {*second})])
    half = float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n) if n > 1 else math.nan
    return Difference(mean, mean - half, mean + half, n)


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Sort runs into groups, by label.

    The settings that the command lines (``overrides.yaml``) give distinguish runs, by their values in
    the configs. Runs whose command line or span loss is not known belong to no group.
    """
    known = [run for run in runs if None not in (run.span_loss, run.overrides)]
    members = defaultdict[tuple[str, ...], list[Run]](list)
    for run, named in zip(known, _telling(known), strict=True):
        members[f"span_loss={run.span_loss}", *named].append(run)
    one_loss = len({parts[0] for parts in members}) == 1
    taken, groups = Counter[str](), []
    for parts, of_group in sorted(members.items()):
        named = (parts[1:] or parts) if one_loss else parts
        left = len(named) - _MOST_NAMED
        shown = [one_line(part, most=_MOST_TEXT) for part in named[:_MOST_NAMED]]
        label = ", ".join([*shown, f"and {left} more"] if left > 0 else shown)
        whole = ", ".join(one_line(part, most=10 * _MOST_TEXT) for part in named)
        whole = "" if whole == label else whole
        taken[label] += 1
        if taken[label] > 1:
            label += f" ({taken[label]})"
        counted = _latest(of_group)
        metrics = Counter(run.metric for run in counted.values() if run.metric)
        metric = metrics.most_common(1)[0][0] if metrics else None
        groups.append(Group(label, whole, parts, tuple(of_group), counted, metric))
    return groups


def _latest(runs: Sequence[Run]) -> dict[str, Run]:
    # A run done twice is no second sample: the same draw gives the same result.
    finished = [run for run in runs if run.state == "finished"]
    by_time = sorted(finished, key=lambda run: run.written)
    latest = {run.draw: run for run in by_time if run.draw is not None}
    return dict(sorted(latest.items(), key=lambda pair: pair[1].seed or 0))


def _telling(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """For each run, ``setting=value`` of the settings that differ between runs."""
    configs = [dict(leaves(run.config)) for run in runs]
    given = [run.overrides or {} for run in runs]
    telling: list[list[str]] = [[] for _ in runs]
    for name in sorted({name for mine in given for name in mine} - {"span_loss"}):
        values = [_value(name, *both) for both in zip(configs, given, strict=True)]
        # Options, such as --config-dir, are not known of a run that failed before training.
        unknown = {None} if name.startswith("--") else set[None]()
        if not f"{name}.".startswith(_NO_MATTER) and len({*values} - unknown) > 1:
            for mine, value in zip(telling, values, strict=True):
                mine += [] if value is None else [f"{name}={value}"]
    return [tuple(mine) for mine in telling]


def _value(name: str, config: Mapping[str, Any], given: Mapping[str, str]) -> str | None:
    # A choice of a group, such as none, or null is known by what the command line says.
    value = config.get(name)
    if value in (None, {}):
        return given.get(name)
    if name == "data.root":
        return PurePath(str(value)).name  # a data set may lie elsewhere on another machine
    return value if isinstance(value, str) else json.dumps(value)
