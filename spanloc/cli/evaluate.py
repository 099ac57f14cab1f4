"""``spanloc-evaluate``: metrics and figures of a trained model."""

import math
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import RichProgressBar
from torch.utils.data import Dataset

from spanloc import checkpoint, metrics, plots
from spanloc.callbacks import Evaluated
from spanloc.cli.entry import command, run_folder
from spanloc.cli.score import write_scores
from spanloc.cli.show import show_metrics
from spanloc.data import Sample, SpanDataModule, Timeline, collate
from spanloc.files import write_json
from spanloc.task import SpanLocalizer


@command("evaluate")
def main(config: DictConfig) -> None:
    """Run ``spanloc-evaluate``."""
    folder = run_folder()
    if config.subset not in ("test", "val"):
        raise ValueError(f"subset is {config.subset!r}; it may be test or val")
    task = checkpoint.load(config.checkpoint, allow=config.allow)
    data = dict(task.config["data"])
    for key, value in config.data.items():
        if value is None:
            continue
        if key not in data:
            raise ValueError(f"data.{key}: the model was trained on {data['_target_']}, without it")
        data[key] = value
    checkpoint.trust(config.checkpoint, data, ("spanloc.data", *config.allow))
    checkpoint.check({"data": data})
    datamodule: SpanDataModule = checkpoint.build(data)
    for name, there, trained in (
        ("classes", datamodule.classes, task.classes),
        ("num_channels", datamodule.num_channels, len(task.localizer.mean)),
        ("seconds_per_step", datamodule.seconds_per_step, task.config["seconds_per_step"]),
    ):
        if there != trained:
            raise ValueError(f"{name} of the data: {there}; the model was trained on {trained}")
    trainer = OmegaConf.to_container(config.trainer, resolve=True)
    checkpoint.check({"trainer": trainer})
    found, evaluated = evaluate(task, datamodule, trainer, config.subset)
    samples = datamodule.test_set if config.subset == "test" else datamodule.val_set
    plots.save_figure(timelines(task, samples), folder / "figures" / "timelines.png")
    write_metrics(found, folder)
    write_evaluation(found, evaluated, task.classes, config.subset, folder)
    write_predictions(evaluated, task.classes, folder)
    show_metrics(found, folder)


def evaluate(
    task: SpanLocalizer, datamodule: SpanDataModule, trainer_config: dict[str, Any], subset: str
) -> tuple[dict[str, float], Evaluated]:
    """The metrics of a model on the ``test`` or ``val`` set, named ``<subset>/...``, and the rows."""
    loader = datamodule.test_dataloader() if subset == "test" else datamodule.val_dataloader()
    if not len(loader.dataset):
        raise ValueError(f"there are no sequences to evaluate on: the {subset} set is empty")
    evaluated = Evaluated()
    callbacks = [RichProgressBar(), evaluated]
    trainer: Trainer = checkpoint.build(
        trainer_config, logger=False, callbacks=callbacks, enable_checkpointing=False
    )
    (found,) = trainer.test(task, dataloaders=loader, verbose=False)
    return {name.replace("test/", f"{subset}/"): value for name, value in found.items()}, evaluated


def write_evaluation(
    found: dict[str, float], evaluated: Evaluated, classes: list[str], subset: str, folder: Path
) -> None:
    """Write ``scores.json`` and ``scores.html``: the metrics, and what the errors are."""
    if evaluated.rows is None:
        return
    scores = {
        "subset": subset,
        "num_sequences": len(evaluated.names),
        "metrics": {name.removeprefix(f"{subset}/"): value for name, value in found.items()},
        "diagnosis": metrics.diagnose(*evaluated.rows, classes, durations=evaluated.durations),
    }
    write_scores(scores, folder)


def write_predictions(evaluated: Evaluated, classes: list[str], folder: Path) -> None:
    """Write ``predictions.json``, as ActivityNet has results."""
    if evaluated.rows is None:
        return
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in evaluated.names.values()}
    for span, score, label, key in zip(*(f.tolist() for f in evaluated.rows[0]), strict=True):
        row = {"segment": span, "label": classes[label], "score": score}
        results[evaluated.names[key]].append(row)
    write_json(folder / "predictions.json", {"version": "1", "results": results}, indent=None)


def timelines(task: SpanLocalizer, samples: Dataset[Sample], count: int = 4) -> Figure:
    """The predictions of a model for some sequences, spread over the set, against the truth."""
    count = min(count, len(samples))
    shown = [samples[i * len(samples) // count] for i in range(count)]
    predictions = []
    with torch.inference_mode():
        for sample in shown:
            found = task.predict_step(collate([sample]).to(task.device))
            # Of many scored spans only the likely ones, or they hide each other.
            best = float(found.scores.max()) if len(found.scores) else 0.0
            clear = found.scores >= min(0.2, best / 2)
            predictions.append([part[clear].cpu() for part in found[:3]])
    seconds = any(sample.timeline != Timeline() for sample in shown)
    return plots.timelines(
        [sample.features for sample in shown],
        [
            (sample.timeline.to_seconds(spans), scores, labels)
            for sample, (spans, scores, labels) in zip(shown, predictions, strict=True)
        ],
        [(sample.timeline.to_seconds(sample.spans), sample.labels) for sample in shown],
        [sample.id for sample in shown],
        task.classes,
        unit="s" if seconds else "steps",
        starts=[sample.timeline.offset for sample in shown],
        durations=[sample.features.shape[1] * sample.timeline.seconds_per_step for sample in shown],
    )


def write_metrics(found: dict[str, float], folder: Path) -> None:
    """Write ``metrics.json``, without what is not known."""
    write_json(folder / "metrics.json", {k: v for k, v in found.items() if math.isfinite(v)})
