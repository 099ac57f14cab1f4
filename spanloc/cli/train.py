"""``spanloc-train``: train a model, evaluate its best checkpoint, draw its figures."""

import logging
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer, seed_everything

from spanloc import checkpoint, plots
from spanloc.callbacks import GradientNorms
from spanloc.cli.entry import command, run_folder
from spanloc.cli.evaluate import evaluate, save_figure, show, timelines, write_metrics
from spanloc.data import SpanDataModule
from spanloc.files import replacing

log = logging.getLogger(__name__)


@command("train")
def main(config: DictConfig) -> None:
    """Run ``spanloc-train``."""
    folder = run_folder()
    if not isinstance(config.seed, int) or config.seed < 0:
        raise ValueError(f"seed is {config.seed!r}; wanted a whole number, at least 0")
    seed_everything(config.seed, workers=True, verbose=False)
    data = _plain(config.data)
    checkpoint.check({"data": data})
    datamodule = checkpoint.build(data)
    plain = _complete(config, datamodule)
    checkpoint.check(plain)
    with replacing(folder / "config.yaml") as path:
        path.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")

    task = checkpoint.build(plain["task"])
    task.config = plain
    task.localizer.set_statistics(*datamodule.statistics())
    parts = {
        group: [checkpoint.build(node) for node in plain[group].values() if node]
        for group in ("callbacks", "logger")
    }
    trainer: Trainer = checkpoint.build(plain["trainer"], **parts)
    if config.ckpt_path is not None:
        checkpoint.read(config.ckpt_path)  # for its clear errors
    begin = time.perf_counter()
    trainer.fit(task, datamodule=datamodule, ckpt_path=config.ckpt_path, weights_only=True)
    log.info("trained %d steps in %.1f s", trainer.global_step, time.perf_counter() - begin)
    _finish(plain, trainer, datamodule, folder)


def _finish(
    plain: dict[str, Any], trainer: Trainer, datamodule: SpanDataModule, folder: Path
) -> None:
    metrics: dict[str, float] = {}
    best = trainer.checkpoint_callback
    if best is not None and best.best_model_score is not None:
        metrics[best.monitor] = float(best.best_model_score)
    gradients = [c for c in trainer.callbacks if isinstance(c, GradientNorms)]
    for callback in gradients:
        metrics |= callback.final.get("trained", {})
        if callback.history and trainer.is_global_zero:
            rows = torch.stack(callback.history).cpu()
            save_figure(plots.curves(*rows.T), folder / "figures" / "curves.png")
    if plain["test"] and best is not None:
        path = best.best_model_path or best.last_model_path
        roots = {node["_target_"].split(".")[0] for _, node in checkpoint.targets(plain["task"])}
        task = checkpoint.load(path, allow=roots)
        datamodule.setup("test")
        metrics |= evaluate(task, datamodule, plain["trainer"], "test")
        if trainer.is_global_zero:
            figure = timelines(task, datamodule.test_set)
            save_figure(figure, folder / "figures" / "timelines.png")
    if trainer.is_global_zero:
        write_metrics(metrics, folder)
        show(metrics, folder)


def _complete(config: DictConfig, datamodule: SpanDataModule) -> dict[str, Any]:
    # The resolved config, with what it leaves to the data filled in.
    for key, value in checkpoint.derive(datamodule).items():
        if key in config.model and config.model[key] is None:
            config.model[key] = value
    config.task.classes = datamodule.classes
    return _plain(config)


def _plain(config: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
