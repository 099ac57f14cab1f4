"""``spanloc-evaluate``: metrics and figures of a trained model."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import RichProgressBar
from rich.console import Console
from rich.table import Table
from torch.utils.data import Dataset

from spanloc import checkpoint, plots
from spanloc.cli.entry import command, run_folder
from spanloc.data import Sample, SpanDataModule, Timeline, collate
from spanloc.files import replacing
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
    for name, found, trained in (
        ("classes", datamodule.classes, task.classes),
        ("num_channels", datamodule.num_channels, len(task.localizer.mean)),
        ("seconds_per_step", datamodule.seconds_per_step, task.config["seconds_per_step"]),
    ):
        if found != trained:
            raise ValueError(f"{name} of the data: {found}; the model was trained on {trained}")
    trainer = OmegaConf.to_container(config.trainer, resolve=True)
    checkpoint.check({"trainer": trainer})
    metrics = evaluate(task, datamodule, trainer, config.subset)
    samples = datamodule.test_set if config.subset == "test" else datamodule.val_set
    plots.save_figure(timelines(task, samples), folder / "figures" / "timelines.png")
    write_metrics(metrics, folder)
    show(metrics, folder)


def evaluate(
    task: SpanLocalizer, datamodule: SpanDataModule, trainer_config: dict[str, Any], subset: str
) -> dict[str, float]:
    """The metrics of a model on the ``test`` or ``val`` set, named ``<subset>/...``."""
    loader = datamodule.test_dataloader() if subset == "test" else datamodule.val_dataloader()
    if not len(loader.dataset):
        raise ValueError(f"there are no sequences to evaluate on: the {subset} set is empty")
    trainer: Trainer = checkpoint.build(
        trainer_config, logger=False, callbacks=[RichProgressBar()], enable_checkpointing=False
    )
    (metrics,) = trainer.test(task, dataloaders=loader, verbose=False)
    return {name.replace("test/", f"{subset}/"): value for name, value in metrics.items()}


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


def write_metrics(metrics: dict[str, float], folder: Path) -> None:
    """Write ``metrics.json``, whole or not at all."""
    # JSON has no NaN.
    metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
    with replacing(folder / "metrics.json") as path:
        path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def show(metrics: dict[str, float], folder: Path) -> None:
    """Print the metrics and where everything is."""
    table = Table("metric", title="Result")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    console = Console()
    console.print(table)
    console.print(f"Everything is in {folder}", soft_wrap=True)
