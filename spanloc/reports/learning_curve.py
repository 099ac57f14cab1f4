"""Learning curves: a metric against the number of training sequences, over runs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from spanloc.reports.groups import Group
from spanloc.reports.table import fixed

#: The metric of a run that holds its number of training sequences.
COUNT = "data/train_sequences"
# What makes no difference between the runs of one curve.
_SHARE = "data.train_share="
_LEAST_SIZES, _LEAST_RUNS = 3, 4
_DRAWS = 200
#: Assumptions of the answer.
ABOUT = (
    "The error (1 minus the metric) is fitted by a power law of the number of training sequences with a "
    "floor. The interval is of the fit: it does not know of other test sequences. It assumes that "
    "further recordings are like these, also in their subjects: a share is drawn by recording, not by subject. "
    "With fewer than three seeds it is rough."
)
#: A gain in the metric that is worth speaking of.
WORTHWHILE = 0.01


@dataclass(frozen=True)
class LearningCurve:
    """Runs that differ in the number of training sequences and the seed, and a fit to their metric.

    The error ``1 - metric`` is fitted by ``floor + scale * n ** -exponent``, none of them negative, by
    least squares of its square root, whose scatter hardly depends on its size. It is at most 1 at the
    largest count; the reported metric is at least 0 everywhere. Intervals, at 95 %, are those of refits
    to runs whose residuals have other signs (wild bootstrap); see :data:`ABOUT`.

    Attributes:
        label: The span loss, and the settings that the runs of other curves have otherwise.
        metric: Its name, such as ``test/mAP``.
        counts, values: ``(runs,)``: training sequences and metric of each run.
        parameters: ``(3,)``: floor, scale (at the largest count) and exponent.
        draws: ``(draws, 3)``: the same of the refits.
    """

    label: str
    metric: str
    counts: np.ndarray
    values: np.ndarray
    parameters: np.ndarray
    draws: np.ndarray

    def at(self, count: float) -> tuple[float, float, float]:
        """The fitted metric at a number of sequences, with the ends of its interval."""
        return self._interval(lambda parameters: self._metric(parameters, count))

    def gain(self) -> tuple[float, float, float]:
        """The gain in the fitted metric from twice the most sequences, with its interval."""
        most = float(self.counts.max())
        return self._interval(lambda p: self._metric(p, 2 * most) - self._metric(p, most))

    def sentences(self) -> str:
        """The answer, in words."""
        most = int(self.counts.max())
        measured = float(self.values[self.counts == self.counts.max()].mean())
        gain, low, high = self.gain()
        twice, twice_low, twice_high = self.at(2 * most)
        # Models that find nothing yet do not say when they begin to.
        if self.values.max() >= WORTHWHILE and low >= WORTHWHILE:
            answer = "More labels would help"
        elif self.values.max() >= WORTHWHILE and high < WORTHWHILE:
            answer = "More labels of this kind would help little"
        else:
            answer = "Whether more labels would help is undetermined by these runs"
        return (
            f"{answer}: twice the recordings ({most} to {2 * most}) would give {self.metric} of about "
            f"{fixed(twice, '.3f')} (95 % interval {fixed(twice_low, '.3f')} to "
            f"{fixed(twice_high, '.3f')}), {fixed(gain, '+.3f')} ({fixed(low, '+.3f')} to "
            f"{fixed(high, '+.3f')}) compared with {fixed(self.at(most)[0], '.3f')} on the fitted line "
            f"(measured: {fixed(measured, '.3f')})."
        )

    def _interval(self, of: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, float]:
        low, high = np.quantile(of(self.draws), [0.025, 0.975])
        return float(of(self.parameters)), float(low), float(high)

    def _metric(self, parameters: np.ndarray, count: float) -> np.ndarray:
        return np.asarray(1 - np.minimum(_law(parameters, count / self.counts.max()), 1))


def learning_curves(groups: Sequence[Group]) -> list[LearningCurve]:
    """One curve for all groups that differ in the share of the training sequences only.

    Groups whose runs have fewer than three numbers of sequences, fewer than four runs in all, or a
    metric outside ``[0, 1]`` make none.
    """
    found: dict[tuple[tuple[str, ...], str], list[tuple[float, float]]] = {}
    for group in groups:
        same = tuple(part for part in group.parts if not part.startswith(_SHARE))
        for run in group.counted.values():
            count = run.metrics.get(COUNT, math.nan)
            value = run.metrics.get(group.metric or "", math.nan)
            if count >= 1 and 0 <= value <= 1:
                found.setdefault((same, str(group.metric)), []).append((count, value))
    curves = []
    for (same, metric), rows in found.items():
        counts, values = np.array(sorted(rows)).T
        if len(np.unique(counts)) >= _LEAST_SIZES and len(counts) >= _LEAST_RUNS:
            label = ", ".join(part for part in same if not part.endswith("=null"))
            fit = _fitted(counts, 1 - values)
            curves.append(LearningCurve(label, metric, counts, values, *fit))
    return curves


def lines(curves: Sequence[LearningCurve]) -> list[str]:
    """The answer of each curve, with its label where there are several."""
    named = [f"{curve.label}: " if len(curves) > 1 else "" for curve in curves]
    return [name + curve.sentences() for name, curve in zip(named, curves, strict=True)]


def by_metric(curves: Sequence[LearningCurve]) -> dict[str, list[LearningCurve]]:
    """The curves of each metric."""
    metrics = dict.fromkeys(curve.metric for curve in curves)
    return {metric: [c for c in curves if c.metric == metric] for metric in metrics}


def _law(parameters: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    # Not clipped to 1: where it is, a fit has no gradient and stays where it begins.
    floor, scale, exponent = np.moveaxis(np.asarray(parameters), -1, 0)
    return np.asarray(floor + scale * share**-exponent)


def _of_share(parameters: Sequence[float] | np.ndarray) -> np.ndarray:
    # Floor and scale of their sum, which is the error at the largest count, and the floor's share of it.
    total, share, exponent = parameters
    return np.array([total * share, total * (1 - share), exponent])


def _fitted(counts: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    share, roots = counts / counts.max(), np.sqrt(errors)

    def fit(wanted: np.ndarray, begins: Sequence[Sequence[float]]) -> np.ndarray:
        tries = [
            least_squares(
                lambda p: np.sqrt(_law(_of_share(p), share) + 1e-12) - wanted,
                begin,
                bounds=([0, 0, 0.05], [1, 1, 3]),
            )
            for begin in begins
        ]
        best: np.ndarray = min(tries, key=lambda tried: tried.cost).x
        return best

    last, mean = np.clip([errors[counts == counts.max()].mean(), errors.mean()], 1e-4, 1 - 1e-4)
    flat = (float(mean), 0.999, 0.5)
    found = fit(roots, [(float(last), 0.1, 0.5), (float(last), 0.7, 1.0), flat])
    fitted = np.sqrt(_law(_of_share(found), share))
    # Three parameters make residuals smaller than the scatter.
    residuals = (roots - fitted) * np.sqrt(len(roots) / max(len(roots) - 3, 1))
    random = np.random.default_rng(0)
    begin = np.clip(found, [1e-6, 1e-6, 0.06], [1 - 1e-6, 0.99, 2.9]).tolist()
    refits = [
        _of_share(fit(np.maximum(fitted + signs * residuals, 0), [begin, flat]))
        for signs in random.choice([-1, 1], (_DRAWS, len(roots)))
    ]
    return _of_share(found), np.array(refits)
