"""``spanloc-evaluate``: metrics and plots of a trained model."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer

from spanloc import metrics, plots
from spanloc.cli.decoding import (
    as_written,
    chosen_options,
    fit_checkpoint,
    having,
    report_fit,
    usual_min_score,
    wanted_options,
)
from spanloc.cli.evaluated_data import check_subset, set_up, settings_of_data
from spanloc.cli.frame.folder import run_folder
from spanloc.cli.frame.ranks import check_started
from spanloc.cli.frame.show import plain_console, show_metrics, show_table
from spanloc.cli.frame.stopping import is_child
from spanloc.cli.run.result_lines import evaluated_on, meanings
from spanloc.cli.score import write_scores
from spanloc.config.build import as_names, build
from spanloc.config.checkpoint import file_of, trust
from spanloc.config.checks import check
from spanloc.data import SpanDataModule
from spanloc.data.datamodule import Samples
from spanloc.data.inputs import FEATURES, require_units
from spanloc.data.signals import ArraySignal
from spanloc.decode import stretch
from spanloc.files import record, write_json
from spanloc.inference.ensemble import load_models
from spanloc.reports.result import ScoreResult
from spanloc.reports.score_tables import notes_on_ends, notes_on_labels, oracle_table, score_tables
from spanloc.reports.table import subset_name
from spanloc.structures import Batch, Predictions, Targets, Timeline, collate
from spanloc.training.callbacks import Evaluated, progress_display
from spanloc.training.task import SpanLocalizer

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Run ``spanloc-evaluate``."""
    folder = run_folder()
    record(bool, config.oracles, "oracles")
    chosen = chosen_options(config.decode)
    options = [name for name in wanted_options(config.fit_decode) if name not in chosen]
    check_subset(config.subset, bool(options))
    checkpoints = as_names(config.checkpoint)
    shifts: int = record(int, config.tta.shifts, "tta.shifts")
    if options and (len(checkpoints) > 1 or shifts > 1):
        raise ValueError(
            "fit_decode is for one checkpoint with tta.shifts=1, which it is written to"
        )
    task = load_models(checkpoints, shifts=shifts, allow=config.allow)
    checkpoint = checkpoints[0]
    trained_with: dict[str, Any] = task.config or {}
    if not isinstance(trained_with.get("data"), dict):
        raise ValueError(f"{checkpoint}: its config does not say what data it is of")
    data = settings_of_data(config, task, trained_with["data"])
    trust(checkpoint, data, ("spanloc.data", *config.allow))
    check({"data": data})
    datamodule: SpanDataModule = build(data)
    subset = set_up(datamodule, config, trained_with["data"], checkpoints, bool(options))
    for name, there, trained in (
        ("classes", datamodule.classes, task.classes),
        ("num_channels", datamodule.num_channels, task.localizer.num_channels),
        ("seconds_per_step", datamodule.seconds_per_step, trained_with.get("seconds_per_step")),
    ):
        if there != trained:
            raise ValueError(f"{name} of the data: {there}; the model was trained on {trained}")
    require_units(getattr(datamodule, "input", None), task.input)
    trainer: Any = OmegaConf.to_container(config.trainer, resolve=True)
    check({"trainer": trainer})
    task.decode = having(task.decode, chosen)
    found, evaluated = evaluate(task, datamodule, trainer, subset)
    if options:
        if subset == "val":
            log.warning("the decoding is fitted to the same sequences that subset=val evaluates on")
        source = file_of(checkpoint)
        to = config.fit_into or source.with_name(f"{source.stem}.fitted.ckpt")
        device = build(trainer, logger=False, enable_checkpointing=False).strategy.root_device
        fitted = fit_checkpoint(
            source, datamodule, options, to=None if is_child() else to, chosen=chosen,
            calibration=config.calibration, allow=config.allow, device=device,
        )  # fmt: skip
        before, task.decode = evaluated, fitted.decode
        found, evaluated = evaluate(task, datamodule, trainer, subset)
    if is_child():
        return
    if options:
        report_fit(fitted, before, evaluated, subset, Path(to), folder)
    samples = datamodule.val_set if subset == "val" else datamodule.test_set
    plots.save_figure(timelines(task, samples), folder / "figures" / "timelines.png")
    write_metrics(found, folder)
    scores = write_evaluation(
        found, evaluated, task, subset, folder, whose(checkpoints, data), oracles=config.oracles
    )
    write_predictions(evaluated, task.classes, folder)
    if scores is not None and scores.oracles is not None:
        show_table(plain_console(), oracle_table(scores.oracles), notes=True)
    if scores is not None and len(task.classes) > 1:
        show_table(plain_console(), score_tables(scores)[-1])
    lines = [*meanings(found), evaluated_on(samples, "Evaluated", datamodule)]
    if scores is not None:
        lines.append(f"What its errors are: {folder / 'scores.html'}")
    shown = {name.removeprefix("all/"): value for name, value in found.items()}
    title = "All recordings" if subset == "all" else "Result"
    show_metrics(shown, folder, title, lines)


def evaluate(
    task: SpanLocalizer, datamodule: SpanDataModule, trainer_config: dict[str, Any], subset: str
) -> tuple[dict[str, float], Evaluated]:
    """The metrics of a model on the ``test`` or ``val`` set, named ``<subset>/...``, and its predictions."""
    loader = datamodule.val_dataloader() if subset == "val" else datamodule.test_dataloader()
    samples: Any = getattr(loader, "dataset", loader)
    if not len(samples):
        raise ValueError(
            f"there are no sequences to evaluate on: the {subset_name(subset)} set is empty"
        )
    evaluated = Evaluated()
    records = getattr(samples, "records", None) or ()
    evaluated.subjects = {r.id: r.subject for r in records if r.subject is not None}
    callbacks = [progress_display(), evaluated]
    trainer: Trainer = build(
        trainer_config, logger=False, callbacks=callbacks, enable_checkpointing=False
    )
    check_started(trainer)
    (found,) = trainer.test(task, dataloaders=loader, verbose=False)
    return {name.replace("test/", f"{subset}/"): value for name, value in found.items()}, evaluated


def whose(checkpoints: Sequence[str | Path], data: Mapping[str, Any]) -> str:
    """Names of a model and of its data, for the head of a page."""
    of = data.get("root") or data["_target_"].rpartition(".")[2]
    return f"Model {', '.join(map(str, checkpoints))} on {of}"


def write_evaluation(
    found: dict[str, float],
    evaluated: Evaluated,
    task: SpanLocalizer,
    subset: str,
    folder: Path,
    of: str = "",
    *,
    oracles: bool = False,
) -> ScoreResult | None:
    """Write ``scores.json`` and ``scores.html``: the metrics, and a diagnosis of the errors.

    Errors of what ``spanloc-predict`` would write are counted apart: predictions with the score that it asks for,
    without overlaps where it removes them. The page begins with ``of``, the names of the model and the data.
    """
    if evaluated.predictions is None or evaluated.targets is None:
        return None
    rows = (evaluated.predictions, evaluated.targets)
    classes = task.classes
    min_score = usual_min_score(task)
    diagnosis: Any = metrics.diagnose(
        *rows, classes, durations=evaluated.durations, min_score=min_score
    )
    notes = notes_on_labels(diagnosis, rows[0], classes, min_score)
    written = as_written(rows[0][rows[0].scores >= min_score], task)
    surest: Any = metrics.diagnose(
        written, rows[1], classes, min_score=min_score, subjects=evaluated.subjects
    )
    diagnosis |= {name: surest[name] for name in ("wrong", "outside", "tally")}
    for name, errors in diagnosis["classes"].items():
        errors["first"] = surest["classes"][name]["first"]
    scores = ScoreResult(
        metrics={name.removeprefix(f"{subset}/"): value for name, value in found.items()}
        | _by_label(found, rows, classes),
        diagnosis=diagnosis,
        num_sequences=len(evaluated.targets.ids),
        subset=None if subset == "all" else subset,
        notes=notes_on_ends(diagnosis) + notes,
        min_score=min_score,
        surest=surest["predictions"],
        overlaps=not getattr(task.decode_from(min_score), "exclusive", True),
        reliability=metrics.reliability(as_written(rows[0], task), rows[1]),
        confusion=metrics.confusion(written, rows[1], classes, min_score=min_score),
        oracles=metrics.oracles(*rows) if oracles else None,
    )
    for note in scores.notes:
        log.warning(note)
    write_scores(scores, folder, of)
    return scores


def _by_label(
    found: dict[str, float], rows: tuple[Predictions, Targets], classes: list[str]
) -> dict[str, float]:
    """The average precision of each label, at the thresholds of the mean."""
    at = [name.partition("/mAP@")[2] for name in found]
    thresholds = sorted(float(text) for text in at if re.fullmatch(r"\d\.\d+", text))
    if not thresholds:
        return {}
    metric = metrics.AveragePrecision(thresholds, classes)
    values = metric.values(*rows)
    return {name: float(value) for name, value in values.items() if name.startswith("AP/")}


def write_predictions(evaluated: Evaluated, classes: list[str], folder: Path) -> None:
    """Write ``predictions.json``, in the format of ActivityNet's results."""
    found = evaluated.predictions
    if found is None:
        return
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in found.ids}
    columns = (found.spans, found.scores, found.labels, found.places)
    for span, score, label, place in zip(*(c.tolist() for c in columns), strict=True):
        row = {"segment": span, "label": classes[label], "score": score}
        results[found.ids[place]].append(row)
    write_json(folder / "predictions.json", {"version": "1", "results": results}, indent=None)


def timelines(task: SpanLocalizer, samples: Samples, count: int = 4) -> Figure:
    """A plot of predictions and targets for some sequences, spread over the set."""
    count = min(count, len(samples))
    batches, predictions = [], []
    with torch.inference_mode():
        for i in range(count):
            batch = collate([samples[i * len(samples) // count]])
            steps = batch.mask.shape[1]
            if task.window is not None and steps > task.window:
                # Of a long recording only a part, around its first target.
                first = int(batch.spans[0, 0, 0]) - task.window // 2
                first = max(0, min(first, steps - task.window))
                batch = stretch(batch, 0, first, first + task.window)
            predictions.append(task.predict_step(batch.to(task.device)).to("cpu"))
            batches.append(batch)
    # Of many scored spans only the likely ones, or they hide each other.
    best = max((float(found.scores.max()) for found in predictions if len(found)), default=0.0)
    least = min(0.2, best / 2)
    predictions = [found[found.scores >= least] for found in predictions]
    titles = [f"{b.ids[0]}: predictions with a score of {least:.2g} or more" for b in batches]
    annotated = [batch.targets("seconds") for batch in batches]
    # Spans of no known class have no name to show.
    targets = [true[true.labels >= 0] for true in annotated]
    lines = [batch.timelines[0] for batch in batches]
    features, channels = [batch.features[0] for batch in batches], _names_of_channels(task, batches)
    if task.input is not None and task.input.features is not None:
        # Bands: low frequencies at the bottom.
        features, channels = [bands.flip(0) for bands in features], channels and channels[::-1]
    return plots.timelines(
        features,
        [(found.spans, found.scores, found.labels) for found in predictions],
        [(true.spans, true.labels) for true in targets],
        titles,
        task.classes,
        unit="s" if any(line != Timeline() for line in lines) else "steps",
        channels=channels,
        starts=[line.offset for line in lines],
        durations=[
            batch.mask.shape[1] * line.seconds_per_step
            for batch, line in zip(batches, lines, strict=True)
        ],
        ignored=[true.ignored[0] if true.ignored else torch.zeros(0, 2) for true in annotated],
    )


def _names_of_channels(task: SpanLocalizer, batches: Sequence[Batch]) -> list[str] | None:
    """Names of the channels that the model sees, where they are known."""
    facts = task.input
    names = None if facts is None else facts.channels
    if facts is not None and facts.features is not None:
        silence = ArraySignal(np.zeros((1, facts.num_channels)), facts.rate)
        bands = FEATURES[facts.features](silence, **facts.feature_options)
        names = [name.removeprefix("mel ") for name in bands.channels or ()]
    alike = all(batch.features.shape[1] == len(names or ()) for batch in batches)
    return names if alike else None


def write_metrics(found: dict[str, float], folder: Path) -> None:
    """Write ``metrics.json``, without undetermined values."""
    write_json(folder / "metrics.json", {k: v for k, v in found.items() if math.isfinite(v)})
