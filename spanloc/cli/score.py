"""``spanloc-score``: metrics of predictions from files, as published evaluators have them, and the errors."""

import inspect
import math
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from spanloc import metrics, reports
from spanloc.cli.frame.folder import run_folder
from spanloc.cli.frame.show import plain_console, show_table
from spanloc.config.build import as_values, build, resolve
from spanloc.config.checks import check
from spanloc.data.annotations.scored import read_scored
from spanloc.files import counted, record, write_text
from spanloc.metrics.assessable import assessable
from spanloc.reports.score_tables import summary

_MOST_THRESHOLDS = 1001


def run(config: DictConfig) -> None:
    """Run ``spanloc-score``."""
    folder = run_folder()
    # A mistake in the settings is an error before minutes of reading.
    wanted = as_values(config.metrics)
    if not isinstance(wanted, dict):
        raise ValueError(f"metrics is {wanted!r}; choose them by metric={wanted}")
    thresholds = None if config.tiou is None else thresholds_of(as_values(config.tiou))
    record(bool, config.oracles, "oracles")
    check({"metrics": wanted})
    for name, node in wanted.items():
        if not isinstance(_build(node, thresholds, ()), metrics.SpanMetric):
            raise ValueError(f"metrics.{name}: {node['_target_']} is no metric of spanloc.metrics")
    limits = {"threshold": config.diagnosis.tiou, "background": config.diagnosis.background}
    metrics.check_limits(**limits)
    # A label may be a number.
    kinds = {"label_map": dict[str, Any] | None, "ignore": list[Any], "background": list[Any]}
    labels = {name: record(kind, as_values(config[name]), name) for name, kind in kinds.items()}
    found = read_scored(
        str(config.predictions),
        str(config.annotations),
        subset=None if config.subset is None else str(config.subset),
        invalid=config.invalid,
        columns=as_values(config.columns),
        unit=as_values(config.unit),
        **labels,
    )
    rows = assessable(found.predictions, found.targets)
    values: dict[str, float] = {}
    built = {name: _build(node, thresholds, found.classes) for name, node in wanted.items()}
    computed = {name: metric.values(*rows) for name, metric in built.items()}
    shared = Counter(key for found_by in computed.values() for key in found_by)
    for name, found_by in computed.items():
        # As a MetricCollection names what two metrics have.
        values |= {f"{name}_{k}" if shared[k] > 1 else k: v for k, v in found_by.items()}
    given = rows[0].scores
    # Of equal scores none are the highest ones, and agreement is that of all predictions.
    every = bool((given == given[:1]).all())
    every |= any(isinstance(metric, metrics.Agreement) for metric in built.values())
    lowest = float(given.min()) if every and len(given) else None
    diagnosis: Any = metrics.diagnose(
        *rows, found.classes, durations=found.durations, min_score=lowest, **limits
    )
    scores = reports.ScoreResult(
        metrics={name: float(value) for name, value in values.items()},
        diagnosis=diagnosis,
        num_sequences=len(found.targets.ids),
        subset=config.subset,
        predictions=_text(config.predictions),
        annotations=_text(config.annotations),
        settings={
            "tiou": thresholds,
            "invalid": config.invalid,
            **labels,
            "metrics": wanted,
            "diagnosis": limits,
        },
        notes=[*reports.notes(found), *_low_scores(built, given)],
        surest=None if lowest is None else diagnosis["counted"],
        reliability=metrics.reliability(*rows),
        confusion=metrics.confusion(
            *rows,
            found.classes,
            threshold=config.diagnosis.tiou,
            min_score=lowest,
        ),
        oracles=metrics.oracles(*rows, thresholds or (), tiou=config.diagnosis.tiou)
        if config.oracles
        else None,
    )
    write_scores(scores, folder)
    console = plain_console()
    notes = (f"Note: {line}." for line in scores.notes)
    console.print(f"{reports.count_rows(scores)}.", summary(scores), *notes, sep="\n")
    first, *others = reports.score_tables(scores)
    show_table(console, first, most=len(first.rows), notes=True)
    for table in others:
        show_table(console, table, notes=True)
    if scores.oracles is not None:
        show_table(console, reports.oracle_table(scores.oracles), notes=True)
    if len(found.classes) > 1:
        show_table(console, reports.confusion_table(scores), notes=True)
    console.print(f"The page is {folder / 'scores.html'}")


def write_scores(scores: reports.ScoreResult, folder: Path, whose: str = "") -> None:
    """Write ``scores.json`` and ``scores.html``, each atomically; ``whose`` as for the page."""
    scores.write(folder / "scores.json")
    page = reports.score_page(scores, whose=_text(whose), now=time.time())
    write_text(folder / "scores.html", page)


def _build(
    node: Mapping[str, Any], thresholds: list[float] | None, classes: Sequence[str]
) -> metrics.SpanMetric:
    given = {"thresholds": thresholds, "classes": list(classes)}
    options = inspect.signature(resolve("metrics", node["_target_"])).parameters
    return build({**node, **{k: v for k, v in given.items() if v and k in options}})


def _low_scores(built: Mapping[str, Any], scores: Tensor) -> list[str]:
    """A sentence, without a full stop, on each metric whose ``min_score`` leaves out more than half."""
    limits = {name: getattr(metric, "min_score", -math.inf) for name, metric in built.items()}
    kept = {name: int((scores >= limit).sum()) for name, limit in limits.items()}
    return [
        f"{name}: only {count:,} of {counted(len(scores), 'prediction')} count, those with a score of {limits[name]:g} "
        f"or more (metric.metrics.{name}.min_score)"
        for name, count in kept.items()
        if 2 * count < len(scores)
    ]


def thresholds_of(text: Any) -> list[float]:
    """The nearest doubles of decimals in (0, 1]: one, several, or ``start:stop:step``, ends included.

    >>> thresholds_of("0.3:0.7:0.1")
    [0.3, 0.4, 0.5, 0.6, 0.7]
    """
    several = isinstance(text, Sequence) and not isinstance(text, str)
    parts = text if several else str(text).split(":")
    try:
        numbers = [Decimal(str(part).strip()) for part in parts]
        if not several and len(numbers) != 1:
            start, stop, step = numbers
            count = math.floor((stop - start) / step) + 1 if step > 0 else 0
            numbers = [start + i * step for i in range(count)[: _MOST_THRESHOLDS + 1]]
    except (ArithmeticError, ValueError):
        numbers = []
    if not 0 < len(numbers) <= _MOST_THRESHOLDS or not all(0 < float(n) <= 1 for n in numbers):
        wanted = "a decimal in (0, 1], a list of them, or start:stop:step, as 0.5:0.95:0.05"
        raise ValueError(f"tiou is {text}; wanted {wanted}")
    return sorted({float(number) for number in numbers})


def _text(path: Any) -> str:
    # The name of a file may be bytes that are no text, which no page can hold.
    return os.fsencode(str(path)).decode(errors="replace")
