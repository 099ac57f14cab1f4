"""``spanloc-score``: the field's figures for predictions from files, and what the errors are."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from spanloc import checkpoint, metrics, report, scoring
from spanloc.cli.entry import command, run_folder
from spanloc.cli.show import show_table
from spanloc.files import replacing, write_json


@command("score")
def main(config: DictConfig) -> None:
    """Run ``spanloc-score``."""
    folder = run_folder()
    # What is wrong with the settings is told before minutes of reading.
    wanted = OmegaConf.to_container(config.metrics, resolve=True)
    thresholds = None if config.tiou is None else scoring.thresholds(_plain(config.tiou))
    checkpoint.check({"metrics": wanted})
    built = {name: _build(node, thresholds, ()) for name, node in wanted.items()}
    limits = {"threshold": config.diagnosis.tiou, "background": config.diagnosis.background}
    metrics.check_limits(**limits)
    found = scoring.read_scored(
        str(config.predictions),
        str(config.annotations),
        subset=None if config.subset is None else str(config.subset),
        invalid=config.invalid,
    )
    rows = found.predictions, found.targets
    values: dict[str, float] = {}
    for name in built:
        values |= _build(wanted[name], thresholds, found.classes).values(*rows)
    values = {name: float(value) for name, value in values.items()}
    scores = {
        "predictions": str(config.predictions),
        "annotations": str(config.annotations),
        "subset": config.subset,
        "num_sequences": len(found.names),
        "skipped": [line for problems in found.problems for line in problems.lines()],
        "metrics": values,
        "diagnosis": metrics.diagnose(*rows, found.classes, durations=found.durations, **limits),
    }
    write_scores(scores, folder)
    console = Console()
    for line in scores["skipped"]:
        console.print(f"Left out: {line}", soft_wrap=True, markup=False)
    for i, table in enumerate(report.score_tables(scores)):
        show_table(console, table, **({"most": len(table.rows)} if i == 0 else {}))
    console.print(f"Everything is in {folder}", soft_wrap=True)


def write_scores(scores: Mapping[str, Any], folder: Path) -> None:
    """Write ``scores.json`` and ``scores.html``, each whole or not at all."""
    write_json(folder / "scores.json", scores)
    with replacing(folder / "scores.html") as path:
        path.write_text(report.score_page(scores), encoding="utf-8")


def _build(
    node: Mapping[str, Any], thresholds: list[float] | None, classes: Sequence[str]
) -> metrics.SpanMetric:
    given: dict[str, Any] = {"thresholds": thresholds} if thresholds else {}
    if classes:
        given["classes"] = list(classes)
    options = inspect.signature(checkpoint.resolve("metrics", node["_target_"])).parameters
    return checkpoint.build({**node, **{k: v for k, v in given.items() if k in options}})


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
