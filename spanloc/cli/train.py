"""``spanloc-train``: train a model, evaluate its best checkpoint, draw its figures."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer, seed_everything

from spanloc import plots
from spanloc.cli.entry import run_folder
from spanloc.cli.evaluate import evaluate, timelines, write_evaluation, write_metrics
from spanloc.cli.resume import save_settings
from spanloc.cli.show import show_metrics
from spanloc.config.build import build, completed, targets
from spanloc.config.checkpoint import load, read
from spanloc.config.checks import check
from spanloc.data import SpanDataModule
from spanloc.files import replacing
from spanloc.training.callbacks import Convergence, GradientNorms
from spanloc.training.task import SpanLocalizer

log = logging.getLogger(__name__)
# What a resumed run may not change without a warning.
_LEARNT_FROM = ("data", "span_loss", "score_loss", "criterion", "optimizer", "scheduler")


def run(config: DictConfig) -> None:
    """Run ``spanloc-train``."""
    folder = run_folder()
    if not isinstance(config.seed, int) or config.seed < 0:
        raise ValueError(f"seed is {config.seed!r}; wanted a whole number, at least 0")
    seed_everything(config.seed, workers=True, verbose=False)
    plain = _plain(config)
    check(plain)
    datamodule: SpanDataModule = build(plain["data"])
    # As Lightning will do again, to no effect: what is wrong with the data is said at once.
    datamodule.prepare_data()
    datamodule.setup("fit")
    if plain["test"] and not len(datamodule.test_set):
        raise ValueError("the data have no sequences to test on; test=false goes without")
    task: SpanLocalizer = build(plain["module"])
    _try_loss(task)
    task.prepare(datamodule)
    plain["seconds_per_step"] = datamodule.seconds_per_step
    plain["module"]["classes"] = task.classes
    plain["localizer"] = completed(plain["localizer"], task.localizer)
    plain["module"]["localizer"] = plain["localizer"]
    for part in ("backbone", "neck", "head"):
        if hasattr(task.localizer, part):
            plain[part] = plain["localizer"].get(part, plain[part])
    task.config = plain
    if plain["ckpt_path"] is not None:
        _check_resumed(plain)
    _warn_of_several(task, datamodule)
    parts = {
        group: [build(node) for node in (plain.get(group) or {}).values() if node]
        for group in ("callbacks", "logger")
    }
    trainer: Trainer = build(plain["trainer"], **parts)
    if type(trainer.strategy.launcher).__name__ == "_MultiProcessingLauncher":
        # What callbacks know would stay in the processes that are forked.
        raise ValueError(
            f"trainer.strategy is {plain['trainer']['strategy']!r}; with several processes it may be "
            "auto or ddp, which start the command again"
        )
    with replacing(folder / "config.yaml") as path:
        path.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    save_settings(folder)
    begin = time.perf_counter()
    trainer.fit(task, datamodule=datamodule, ckpt_path=plain["ckpt_path"], weights_only=True)
    seconds = time.perf_counter() - begin
    log.info("trained in %.1f s, up to step %d", seconds, trainer.global_step)
    _finish(plain, trainer, task, datamodule, folder, {"time/train": seconds})


def _finish(
    plain: dict[str, Any],
    trainer: Any,
    task: SpanLocalizer,
    datamodule: SpanDataModule,
    folder: Path,
    metrics: dict[str, float],
) -> None:
    best = trainer.checkpoint_callback
    if best is not None and best.best_model_score is not None:
        metrics[best.monitor] = float(best.best_model_score)
    for callback in trainer.callbacks:
        if isinstance(callback, Convergence):
            if callback.result is None:
                # Of a run that was stopped between its last epoch and this measurement.
                callback.finish(trainer, task)
            metrics |= callback.result.metrics() if callback.result else {}
        if isinstance(callback, GradientNorms):
            history = callback.history()
            if len(history) and trainer.is_global_zero:
                plots.save_figure(plots.curves(history), folder / "figures" / "curves.png")
    if trainer.is_global_zero:
        # Before the test, which may still meet a file that it cannot read.
        write_metrics(metrics, folder)
    best_path = Path(best.best_model_path) if best is not None and best.best_model_path else None
    path = best_path or folder / "last.ckpt"
    if plain["test"] and path.is_file():
        roots = {node["_target_"].split(".")[0] for _, node in targets(plain["module"])}
        task = load(path, allow=roots)
        found, evaluated = evaluate(task, datamodule, plain["trainer"], "test")
        metrics |= found
        if trainer.is_global_zero:
            plots.save_figure(
                timelines(task, datamodule.test_set), folder / "figures" / "timelines.png"
            )
            write_metrics(metrics, folder)
            write_evaluation(found, evaluated, task.classes, "test", folder)
    if trainer.is_global_zero:
        # What was measured at convergence has been told with a table of its own.
        told = {k: v for k, v in metrics.items() if k.startswith(("val/", "test/"))}
        show_metrics(told, folder)


def _try_loss(task: SpanLocalizer) -> None:
    # It may be the user's own; now is the time to say that it does not work.
    pair = torch.tensor([[0.0, 1.0]])
    try:
        task.criterion.span_loss(pair, pair)
    except ValueError as error:
        raise ValueError(f"span_loss: {error}") from error
    except Exception as error:  # whatever it may raise
        raise ValueError(f"span_loss: {type(error).__name__}: {error}") from error


def _check_resumed(plain: dict[str, Any]) -> None:
    path, most = Path(plain["ckpt_path"]), plain["trainer"]["max_epochs"]
    most = -1 if most is None else most
    saved = read(path)
    done = saved["epoch"] + 1
    if 0 <= most <= done and path.parent.resolve() == run_folder().resolve():
        if _is_complete(plain, path.parent):
            raise ValueError(
                f"{path} has done {done} epochs, and trainer.max_epochs is {most}: there is nothing "
                "to do"
            )
        log.info("the training is complete; what came after it is done now")
    elif 0 <= most <= done:
        raise ValueError(
            f"{path} has done {done} epochs, and trainer.max_epochs is {most}: there is nothing to do"
        )
    before = saved["spanloc"]["config"]
    if changes := list(_changes(before["localizer"], plain["localizer"], "localizer")):
        told = "; ".join(change.removeprefix("localizer.") for change in changes)
        raise ValueError(f"{path} is of another model: {told}")
    for group in _LEARNT_FROM:
        for change in _changes(before[group], plain[group], group):
            log.warning("not as in the run that is resumed: %s", change)


def _is_complete(plain: dict[str, Any], folder: Path) -> bool:
    # The files that a run writes last.
    files = ["metrics.json", "scores.json" if plain["test"] else "figures/curves.png"]
    return all((folder / name).is_file() for name in files)


def _changes(before: Any, now: Any, where: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from _changes(before.get(key), now.get(key), f"{where}.{key}")
    elif before != now:
        yield f"{where} is {now!r}, was {before!r}"


def _warn_of_several(task: SpanLocalizer, datamodule: SpanDataModule) -> None:
    counts = [len(lengths) for lengths in datamodule.span_lengths()]
    several = sum(count > 1 for count in counts)
    if task.decode.max_predictions == 1 and several:
        log.warning(
            "%d of %d training sequences have several spans, and this model gives one: it learns "
            "the first of each; task=detection gives many",
            several,
            len(counts),
        )


def _plain(config: DictConfig) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
