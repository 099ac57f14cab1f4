"""Runs that differ in nothing but the seed, and how they compare."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple

from spanloc.reports.content import one_line
from spanloc.reports.runs import Run

# Settings that tell runs apart without making them different: names, places, the machine, what is
# shown and what is measured beside the training. A dot at the end is put to what has none.
_NO_MATTER = (
    *("seed.", "name.", "test.", "ckpt_path.", "logger.", "data.num_workers."),
    *("trainer.devices.", "trainer.accelerator.", "trainer.strategy."),
    *("trainer.log_every_n_steps.", "trainer.enable_"),
    *("callbacks.gradients.", "callbacks.convergence.", "callbacks.progress."),
    *("callbacks.last.every_n_epochs.", "callbacks.last.every_minutes."),
)
_PLACES = ("dirpath", "folder", "save_dir", "default_root_dir")
# Read from the data, so that another seed may change them, with their copies all over the model.
_DERIVED = ("num_channels", "num_classes", "stride", "num_levels", "seconds_per_step", "classes")
_DERIVED_IN = ("backbone", "neck", "head", "localizer", "module", "seconds_per_step")
_MOST_NAMED, _MOST_TEXT = 4, 200
# Of the settings that copies are looked for among: comparing all with all could take for ever.
_MOST_SPOKEN = 300
# Student's t at 97.5 % by degrees of freedom, from 1; beyond 30 the last is kept, which is on the safe side.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


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
        """In words: what the interval allows to say of the first against the second."""
        if self.n < 2:
            return "cannot be told"
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference shown"


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed only.

    Attributes:
        label: The span loss, and the settings that other groups have otherwise, the first few.
        whole: All of these if the label leaves some out, or else empty.
        parts: These one by one, all of them, also what is null.
        runs: All of them.
        counted: The finished ones, the latest of each seed, by seed.
        metric: What most of the counted runs are judged by; None without any.
    """

    label: str
    whole: str
    parts: tuple[str, ...]
    runs: tuple[Run, ...]
    counted: Mapping[int, Run]
    metric: str | None

    def values(self, get: Callable[[Run], float]) -> dict[int, float]:
        """One number of each counted run that has it, by seed."""
        values = {seed: get(run) for seed, run in self.counted.items()}
        return {seed: value for seed, value in values.items() if math.isfinite(value)}

    def judged(self) -> dict[int, float]:
        """The metric of each counted run that has it, by seed."""
        return self.values(lambda run: run.metrics.get(self.metric or "", math.nan))


def summarize(values: Sequence[float]) -> Summary:
    """Mean and spread of some values, which must be finite.

    >>> summarize([1.0, 2.0, 6.0])
    Summary(mean=3.0, std=2.6457513110645907, n=3)
    """
    n = len(values)
    mean = statistics.mean(values) if n else math.nan
    return Summary(mean, statistics.stdev(values) if n > 1 else math.nan, n)


def compare(first: Mapping[int, float], second: Mapping[int, float]) -> Difference:
    """First minus second over the seeds they share: one difference a seed.

    What two runs of one seed have in common, such as the data and the first weights, cancels; the
    interval is Student's, ``mean ± t(n - 1) std / sqrt(n)``, for differences that are roughly normal.

    >>> compare({0: 3.0, 1: 4.0, 2: 9.0}, {0: 1.0, 1: 1.0, 3: 5.0}).n
    2
    """
    mean, std, n = summarize([first[seed] - second[seed] for seed in sorted({*first} & {*second})])
    if n < 2:
        return Difference(mean, math.nan, math.nan, n)
    half = _T[min(n - 1, len(_T)) - 1] * std / math.sqrt(n)
    return Difference(mean, mean - half, mean + half, n)


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Sort runs into groups, by label. Runs whose config names no span loss belong to none."""
    known = [run for run in runs if run.span_loss is not None]
    settings = _telling(known)
    members: dict[tuple[str, tuple[str, ...]], list[Run]] = {}
    for run, named in zip(known, settings, strict=True):
        members.setdefault((str(run.span_loss), named), []).append(run)
    taken: Counter[str] = Counter()
    groups = []
    for (loss, named), of_group in sorted(members.items(), key=lambda item: item[0]):
        # What one group has and another lacks is named where it is.
        there = [loss, *(part for part in named if not part.endswith("=null"))]
        left = len(there) - 1 - _MOST_NAMED
        more = [f"and {left} more"] if left > 0 else []
        cut = [one_line(part, most=_MOST_TEXT) for part in there[: _MOST_NAMED + 1]]
        label = ", ".join([*cut, *more])
        whole = ", ".join(one_line(part, most=10 * _MOST_TEXT) for part in there)
        whole = "" if whole == label else whole
        taken[label] += 1
        if taken[label] > 1:
            label += f" ({taken[label]})"
        counted = _latest(of_group)
        metrics = Counter(run.metric for run in counted.values() if run.metric)
        metric = metrics.most_common(1)[0][0] if metrics else None
        groups.append(Group(label, whole, (loss, *named), tuple(of_group), counted, metric))
    return groups


def _latest(runs: Sequence[Run]) -> dict[int, Run]:
    # A run done twice is no second sample: the same seed gives the same result.
    finished = [run for run in runs if run.state == "finished"]
    by_time = sorted(finished, key=lambda run: run.written)
    latest = {run.seed: run for run in by_time if run.seed is not None}
    return dict(sorted(latest.items()))


def _telling(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """For each run, ``setting=value`` of the settings that tell it from other runs."""
    flat = [dict(_flatten(run.config)) for run in runs]
    paths = sorted({path for settings in flat for path in settings}, key=_depth)
    # Copies, which interpolation makes, tell nothing: the shortest path speaks for all.
    spoken: list[str] = ["seed", "span_loss"]
    named: list[list[str]] = [[] for _ in runs]
    for derived in (False, True):
        for path in paths:
            if _is_derived(path) != derived or _no_matter(path):
                continue
            values: dict[tuple, set[str]] = {}
            for settings in flat:
                if path in settings:
                    context, value = settings[path]
                    values.setdefault(context, set()).add(value)
            varying = {context for context, seen in values.items() if len(seen) > 1}
            if not varying or any(_is_copy(path, other, flat) for other in spoken[:_MOST_SPOKEN]):
                continue
            spoken.append(path)
            if derived and not _sets_apart(path, runs, named, flat):
                continue
            for mine, settings in zip(named, flat, strict=True):
                if path in settings and settings[path][0] in varying:
                    mine.append(f"{path}={settings[path][1]}")
    return [tuple(mine) for mine in named]


def _flatten(node: Any, path: str = "", context: tuple = ()) -> Iterator[tuple[str, tuple]]:
    """Paths of a config with ``(context, value)``.

    The context is what the nodes above build: an option is compared with its like only, so that
    the learning rate of one optimizer is no setting that another lacks.
    """
    if not isinstance(node, Mapping):
        if path.endswith(".root") and isinstance(node, str):
            node = PurePath(node).name  # a data set may lie elsewhere on another machine
        yield path, (context, node if isinstance(node, str) else json.dumps(node, default=str))
        return
    target = node.get("_target_")
    if isinstance(target, str):
        yield path, (context, target.split(".")[-1].removesuffix("_loss"))
        context = (*context, target)
    for key, value in node.items():
        if not (str(key).startswith("_") and str(key).endswith("_")):
            yield from _flatten(value, f"{path}.{key}" if path else str(key), context)


def _depth(path: str) -> tuple[bool, int, str]:
    # These groups put together what others hold.
    return (
        path.split(".")[0] in ("criterion", "localizer", "metric", "module"),
        path.count("."),
        path,
    )


def _no_matter(path: str) -> bool:
    return path.split(".")[-1] in _PLACES or f"{path}.".startswith(_NO_MATTER)


def _is_derived(path: str) -> bool:
    first, *_, last = path.split(".") * 2
    return first in _DERIVED_IN and last in _DERIVED


def _is_copy(path: str, other: str, flat: Sequence[Mapping[str, tuple]]) -> bool:
    if path.split(".")[-1] != other.split(".")[-1]:
        return False
    both = [settings for settings in flat if path in settings and other in settings]
    return bool(both) and all(s[path][1] == s[other][1] for s in both)


def _sets_apart(path: str, runs: Sequence[Run], named: Sequence[list[str]], flat: Any) -> bool:
    # Only if two runs that are alike otherwise, the seed too, differ in it was it set by hand.
    seen: dict[tuple, Any] = {}
    for run, mine, settings in zip(runs, named, flat, strict=True):
        key = (run.span_loss, *mine, run.seed)
        if path in settings and seen.setdefault(key, settings[path]) != settings[path]:
            return True
    return False
