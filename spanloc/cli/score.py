"""``spanloc-score``: the field's figures for predictions from files, and what the errors are."""

import gc
import inspect
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from spanloc import metrics, reports
from spanloc.cli.entry import run_folder
from spanloc.cli.show import plain_console, show_table
from spanloc.config.build import as_values, build, resolve
from spanloc.config.checks import check
from spanloc.config.thresholds import thresholds as read_thresholds
from spanloc.data.annotations.scored import read_scored
from spanloc.files import replacing
from spanloc.metrics.assessable import assessable


def run(config: DictConfig) -> None:
    """Run ``spanloc-score``."""
    # What imports have made stays: to look through it for garbage takes a quarter of a small run.
    gc.freeze()
    folder = run_folder()
    # What is wrong with the settings is told before minutes of reading.
    wanted = as_values(config.metrics)
    if not isinstance(wanted, dict):
        raise ValueError(f"metrics is {wanted!r}; choose them by metric={wanted}")
    thresholds = None if config.tiou is None else read_thresholds(as_values(config.tiou))
    if not isinstance(config.oracles, bool):
        raise ValueError(f"oracles is {config.oracles!r}; it may be true or false")
    check({"metrics": wanted})
    for name, node in wanted.items():
        if not isinstance(_build(node, thresholds, ()), metrics.SpanMetric):
            raise ValueError(f"metrics.{name}: {node['_target_']} is no metric of spanloc.metrics")
    limits = {"threshold": config.diagnosis.tiou, "background": config.diagnosis.background}
    metrics.check_limits(**limits)
    found = read_scored(
        str(config.predictions),
        str(config.annotations),
        subset=None if config.subset is None else str(config.subset),
        invalid=config.invalid,
    )
    rows = assessable(found.predictions, found.targets)
    values: dict[str, float] = {}
    computed = {
        name: _build(node, thresholds, found.classes).values(*rows) for name, node in wanted.items()
    }
    shared = Counter(key for figures in computed.values() for key in figures)
    for name, figures in computed.items():
        # As a MetricCollection names what two metrics have.
        values |= {f"{name}_{k}" if shared[k] > 1 else k: v for k, v in figures.items()}
    diagnosis: Any = metrics.diagnose(*rows, found.classes, durations=found.durations, **limits)
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
            "metrics": wanted,
            "diagnosis": limits,
        },
        notes=reports.notes(found),
        reliability=metrics.reliability(*rows),
        confusion=metrics.confusion(*rows, found.classes, threshold=config.diagnosis.tiou),
        oracles=metrics.oracles(*rows, thresholds or (), tiou=config.diagnosis.tiou)
        if config.oracles
        else None,
    )
    write_scores(scores, folder)
    console = plain_console()
    console.print(f"{reports.count_rows(scores)}.", soft_wrap=True, highlight=False)
    for line in scores.notes:
        console.print(f"Note: {line}.", soft_wrap=True, highlight=False)
    first, *others = reports.score_tables(scores)
    show_table(console, first, most=len(first.rows))
    for table in others:
        show_table(console, table, notes=True)
    if scores.oracles is not None:
        show_table(console, reports.oracle_table(scores.oracles), notes=True)
    if len(found.classes) > 1:
        show_table(console, reports.confusion_table(scores), notes=True)
    console.print(f"The page is {folder / 'scores.html'}", soft_wrap=True)


def write_scores(scores: reports.ScoreResult, folder: Path) -> None:
    """Write ``scores.json`` and ``scores.html``, each atomically."""
    scores.write(folder / "scores.json")
    with replacing(folder / "scores.html") as path:
        path.write_text(reports.score_page(scores), encoding="utf-8")


def _build(
    node: Mapping[str, Any], thresholds: list[float] | None, classes: Sequence[str]
) -> metrics.SpanMetric:
    given: dict[str, Any] = {"thresholds": thresholds} if thresholds else {}
    if classes:
        given["classes"] = list(classes)
    options = inspect.signature(resolve("metrics", node["_target_"])).parameters
    return build({**node, **{k: v for k, v in given.items() if k in options}})


def _text(path: Any) -> str:
    # The name of a file may be bytes that are no text, which no page can hold.
    return os.fsencode(str(path)).decode(errors="replace")
