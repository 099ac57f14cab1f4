"""Options of the decoding, fitted on validation sequences and kept only where they help."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from spanloc.decode.calibration import Isotonic, Temperature, cross_fitted
from spanloc.decode.collected import Collected, figures
from spanloc.decode.decode import Decode
from spanloc.decode.estimates import (
    MOST_GROUPS,
    best_thresholds,
    boundary_bias,
    errors_beyond_chance,
    groups_in_time,
    jackknife,
    share_overlapping,
    shortest_gap,
)
from spanloc.metrics.calibration import matches
from spanloc.structures import Predictions, Targets

#: Options that are judged by the ranking of the predictions, or leave it as it is.
RANKED = ("bias", "voting", "calibration")
#: Options that make a set of predictions out of a ranking, judged by its F1.
OF_SETS = ("min_scores", "exclusive", "fill_gaps", "min_length")
_OFF: dict[str, Any] = {
    "bias": None, "voting": None, "calibration": None, "min_scores": None, "exclusive": False,
    "fill_gaps": 0.0, "min_length": 0.0,
}  # fmt: skip
# The metric that an option has to improve.
_WANTED = dict.fromkeys(("bias", "voting"), "mAP@0.50:0.95") | dict.fromkeys(OF_SETS, "F1")
_OF_RANKINGS = ("mAP", "mAP@0.50:0.95", "AP@0.75", "AP@0.90", "F1")
_VOTERS = (0.6, 0.7, 0.8, 0.9)
_SHARES = (0.25, 0.5, 0.75)


class Tried(NamedTuple):
    """An option that was tried on the validation sequences.

    Args:
        option: Its name.
        value: As text.
        judged_by: Metric by which it is judged.
        figures: Metrics of :func:`~spanloc.decode.figures`, on sequences that it was not fitted on.
        gain: In the metric by which it is judged; positive is better.
        error: Standard error of the gain, over groups of the sequences.
        errors: Number of standard errors that the gain has to exceed.
        taken: It does, and the gain is the highest of its option.
    """

    option: str
    value: str
    judged_by: str
    figures: dict[str, float]
    gain: float
    error: float
    errors: float
    taken: bool = False


@dataclass(frozen=True)
class Fitted:
    """Result of :func:`fit_decode`.

    Args:
        decode: With the options that help.
        settings: These options, as plain values of a config.
        before: Metrics on the validation sequences without them.
        tried: All options that were tried, in that order.
        notes: Options that could not be fitted, and why.
    """

    decode: Decode
    settings: dict[str, Any]
    before: dict[str, float]
    tried: list[Tried] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Choice(NamedTuple):
    # A value of an option, and the changes of a Decode that are fitted for it to some of the sequences.
    text: str
    fit: Callable[[np.ndarray], dict[str, Any]]


def fit_decode(
    decode: Decode,
    collected: Collected,
    num_labels: int,
    options: Sequence[str] = RANKED,
    *,
    calibration: str = "temperature",
) -> Fitted:
    """Fit options of a decoding, one after the other, to labelled sequences that the model was not trained on.

    Each option is set where that is better on these sequences by more than 2.3 standard errors (a
    jackknife over up to ten groups of them), and left off otherwise. With fewer groups, it takes more:
    the 97.7 % quantile of Student's t with one degree of freedom less than there are groups, which is
    13.8 for two, 4.5 for three and 2.3 for ten. Options are judged cross-fitted: fitted on the other groups,
    and applied to the one. For ``calibration``, which needs predictions rather than sequences, fewer than
    ten sequences are divided in time, into ten groups in all; one sequence is enough.

    ``bias`` and ``voting`` are judged by mAP over tIoU 0.5:0.95:0.05, ``calibration`` by the Brier score
    at tIoU 0.5; ``min_scores``, ``exclusive``, ``fill_gaps`` and ``min_length`` by the F1 of the
    predictions as a set, at tIoU 0.5. These cost average precision, which asks for long rankings: the default
    leaves them out.

    Args:
        decode: What is fitted; the options named are off at first.
        collected: From :func:`~spanloc.decode.collect`, of at least two sequences, but for ``calibration``.
        num_labels: How many labels there are.
        options: Names, of :data:`RANKED` and :data:`OF_SETS`; fitted in the order of these.
        calibration: ``temperature`` or ``isotonic``.

    Raises:
        ValueError: An option is unknown.
    """
    unknown = [name for name in options if name not in _OFF]
    if unknown:
        raise ValueError(f"decode.{unknown[0]} cannot be fitted; {', '.join(_OFF)} can")
    decode = decode.having(**{name: _OFF[name] for name in options})
    fit = _Fit(decode, collected, num_labels, calibration)
    before = figures(*fit.now)
    settings: dict[str, Any] = {}
    if len(collected) < 2 and {*options} - {"calibration"}:
        fit.notes.append(
            "only calibration is fitted: others take two sequences to see whether they help"
        )
        options = [name for name in options if name == "calibration"]
    for name in _OFF:
        if name in options:
            settings |= fit.calibration() if name == "calibration" else fit.option(name)
    plain = {name: _plain(value) for name, value in settings.items()}
    return Fitted(fit.decode, plain, before, fit.tried, fit.notes)


class _Fit:
    def __init__(self, decode: Decode, collected: Collected, num_labels: int, kind: str) -> None:
        self.decode, self.collected, self.kind = decode, collected, kind
        self.num_labels = num_labels
        groups = min(MOST_GROUPS, len(collected))
        self.folds = np.arange(len(collected)) % groups
        self.errors = errors_beyond_chance(groups)
        self.now = collected.judged([decode] * len(collected))
        self.tried: list[Tried] = []
        self.notes: list[str] = []

    def option(self, name: str) -> dict[str, Any]:
        """Try an option, and give the changes that it makes: none where it does not help."""
        wanted = _WANTED[name]
        before = figures(*self.now)
        best: tuple[float, int, dict[str, Any]] | None = None
        for choice in getattr(self, f"_{name}")():
            rows = self._crossed(choice)
            shown = figures(*rows)
            gain = shown[wanted] - before[wanted]
            error = self._error(wanted, rows)
            every = choice.fit(np.ones(len(self.folds), bool))
            self.tried.append(Tried(name, choice.text, wanted, shown, gain, error, self.errors))
            if every and gain > self.errors * error and (best is None or gain > best[0]):
                best = gain, len(self.tried) - 1, every
        if best is None:
            return {}
        _, place, changes = best
        self.tried[place] = self.tried[place]._replace(taken=True)
        return self._with(changes)

    def calibration(self) -> dict[str, Any]:
        """Try to calibrate the scores, and give the change that it makes: none where it does not help."""
        found, true = self.now
        right = matches(found, true) >= 0
        groups = groups_in_time(found, len(self.collected))
        names = np.unique(groups)
        if right.all() or not right.any() or len(names) < 2:
            all_of = "right" if right.all() else "wrong" if not right.any() else "of one recording"
            self.notes.append(f"calibration: all predictions are {all_of}")
            return {}
        made, crossed = cross_fitted(found, right, groups, self.num_labels, self.kind)
        gains = (found.scores.numpy() - right) ** 2 - (crossed.numpy() - right) ** 2
        error = jackknife([gains[groups != group].mean() for group in names])
        # Maps that differ from group to group mix up a ranking, which one map leaves as it is.
        before, shown = figures(*self.now), figures(replace(found, scores=crossed), true)
        shown |= {metric: before[metric] for metric in _OF_RANKINGS}
        gain, errors = float(gains.mean()), errors_beyond_chance(len(names))
        taken = gain > errors * error
        self.tried.append(
            Tried("calibration", self.kind, "Brier", shown, gain, error, errors, taken)
        )
        return self._with({"calibration": made}) if taken else {}

    def _with(self, changes: dict[str, Any]) -> dict[str, Any]:
        self.decode = self.decode.having(**changes)
        self.now = self.collected.judged([self.decode] * len(self.collected))
        return changes

    def _crossed(self, choice: _Choice) -> tuple[Predictions, Targets]:
        # Of each group by what is fitted on the others.
        by_fold = [
            self.decode.having(**choice.fit(self.folds != fold)) for fold in np.unique(self.folds)
        ]
        return self.collected.judged([by_fold[fold] for fold in self.folds])

    def _error(self, wanted: str, rows: tuple[Predictions, Targets]) -> float:
        # A jackknife: the gain without each group.
        left = [torch.from_numpy(self.folds != fold) for fold in np.unique(self.folds)]
        found, now = (
            np.array([figures(*_of(each, some))[wanted] for some in left])
            for each in (rows, self.now)
        )
        return jackknife(found - now)

    def _rows(self, some: np.ndarray) -> tuple[Predictions, Targets]:
        return _of(self.now, torch.from_numpy(some))

    def _bias(self) -> Iterator[_Choice]:
        def fit(some: np.ndarray) -> dict[str, Any]:
            rows = self._rows(some)
            bias = boundary_bias(*rows, self.num_labels, self.collected.seconds_per_step)
            return {"bias": bias} if np.any(bias) else {}

        if fit(np.ones(len(self.folds), bool)):
            yield _Choice("medians", fit)
        else:
            self.notes.append("bias: no label has a constant error that is beyond doubt")

    def _voting(self) -> Iterator[_Choice]:
        for tiou in _VOTERS:
            yield _constant(f"{tiou:g}", voting=tiou)

    def _min_scores(self) -> Iterator[_Choice]:
        def fit(some: np.ndarray) -> dict[str, Any]:
            found, true = self._rows(some)
            right = matches(found, true) >= 0
            counts = np.bincount(true.labels.numpy(), minlength=self.num_labels)
            rows = (found.scores.numpy(), right, found.labels.numpy(), counts)
            return {"min_scores": best_thresholds(*rows)}

        yield _Choice("best F1 by label", fit)

    def _exclusive(self) -> Iterator[_Choice]:
        if share_overlapping(self.collected.targets) > 0.01:
            self.notes.append("exclusive: the targets overlap one another")
        else:
            yield _constant("true", exclusive=True)

    def _fill_gaps(self) -> Iterator[_Choice]:
        shortest = shortest_gap(self.collected.targets)
        if not 0 < shortest < math.inf:
            self.notes.append("fill_gaps: no two targets of a label have a gap between them")
        elif self.decode.min_scores is None and not self.decode.exclusive:
            self.notes.append("fill_gaps: it takes min_scores or exclusive, or all would be one")
        else:
            for share in _SHARES:
                yield _constant(f"{share * shortest:.3g} s", fill_gaps=share * shortest)

    def _min_length(self) -> Iterator[_Choice]:
        spans = self.collected.targets.spans
        shortest = float((spans[:, 1] - spans[:, 0]).min()) if len(spans) else 0.0
        for share in _SHARES if shortest > 0 else ():
            yield _constant(f"{share * shortest:.3g} s", min_length=share * shortest)


def _constant(text: str, **changes: Any) -> _Choice:
    return _Choice(text, lambda some: changes)


def _of(rows: tuple[Predictions, Targets], some: torch.Tensor) -> tuple[Predictions, Targets]:
    found, true = rows
    return found[some[found.places]], true[some[true.places]]


def _plain(value: Any) -> Any:
    if isinstance(value, Temperature | Isotonic):
        kept: Mapping[str, Any] = vars(value)
        return {"_target_": f"spanloc.decode.{type(value).__name__}", **kept}
    return value
