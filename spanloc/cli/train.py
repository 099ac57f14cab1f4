"""``spanloc-train``: train a model, evaluate its best checkpoint, draw its plots."""

import logging
import shlex
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer

from spanloc import plots
from spanloc.cli.decoding import fit_checkpoint, wanted_options
from spanloc.cli.evaluate import evaluate, timelines, whose, write_evaluation, write_metrics
from spanloc.cli.frame.arguments import quoted
from spanloc.cli.frame.folder import FolderTakenError, run_folder
from spanloc.cli.frame.machine import keep_freed_memory
from spanloc.cli.frame.ranks import check_started, lost_another
from spanloc.cli.frame.show import plain_console, show_metrics, show_table
from spanloc.cli.run.environment import write_start
from spanloc.cli.run.objective import check_objective, objective_value
from spanloc.cli.run.requeue import stopping_saved
from spanloc.cli.run.result_lines import evaluated_on, gradient_lines, meanings
from spanloc.cli.run.resume import has_nothing_to_do, save_settings, stored
from spanloc.cli.run.settings import prepared, show_choices
from spanloc.cli.run.setup import complete, task_of
from spanloc.cli.run.tracking import begin, dispensable, report, tracked
from spanloc.config.build import build, targets
from spanloc.config.checkpoint import load, read
from spanloc.data import SpanDataModule
from spanloc.files import counted, record, write_text
from spanloc.reports.logs import joined_logs
from spanloc.reports.score_tables import score_tables
from spanloc.training.callbacks import Convergence, GradientNorms
from spanloc.training.task import SpanLocalizer

log = logging.getLogger(__name__)


@tracked()
def run(config: DictConfig, callbacks: Sequence[Callback] = ()) -> float | None:
    """Run ``spanloc-train``, with ``callbacks`` beside those of the config, and return the objective.

    It is the monitor of the best checkpoint, or the metric of the setting ``objective``; None without validation.
    """
    folder = run_folder()
    if config.ckpt_path is None and (folder / "last.ckpt").exists():
        raise FolderTakenError(
            f"{folder} holds a run already: {quoted('resume', folder)} goes on with it, if it does not run any more; "
            "for a new one name another folder (hydra.run.dir), or remove this one"
        )
    record(bool, config.test, "test")
    plain, datamodule, choices, notes = prepared(config)
    if plain["test"] and not len(datamodule.test_set):
        raise ValueError("the data have no sequences to test on; test=false goes without")
    wanted_options(plain["fit_decode"])
    task = task_of(plain)
    check_objective(plain, task)
    complete(plain, task, datamodule)
    if plain["ckpt_path"] is not None and has_nothing_to_do(plain, folder):
        return objective_value(plain, stored(folder / "metrics.json"))
    _warn_of_several(task, datamodule)
    show_choices(choices, notes)
    parts = {
        group: [build(node) for node in (plain.get(group) or {}).values() if node]
        for group in ("callbacks", "logger")
    }
    parts["callbacks"] += callbacks
    for callback in parts["callbacks"]:
        if isinstance(callback, Convergence):
            callback.silent = True
    parts["logger"] = [dispensable(logger) for logger in parts["logger"]]
    # There Lightning looks for what it saves when SLURM stops a job, of whatever project.
    place = {"default_root_dir": str(folder)} if "default_root_dir" not in plain["trainer"] else {}
    trainer: Any = build(plain["trainer"], **parts, **place)
    if type(trainer.strategy.launcher).__name__ == "_MultiProcessingLauncher":
        # What callbacks know would stay in the processes that are forked.
        raise ValueError(
            f"trainer.strategy is {plain['trainer']['strategy']!r}; with several processes it may be "
            "auto or ddp, which start the command again"
        )
    check_started(trainer)
    begin(trainer.loggers, plain, folder)
    write_text(folder / "config.yaml", yaml.safe_dump(plain, sort_keys=False))
    save_settings(folder, plain["data"].get("root"))
    write_start(folder, trainer, datamodule, plain["ckpt_path"])
    log.info("writing to %s", folder)
    results = _Results(folder)
    if isinstance(count := getattr(datamodule, "num_trained", None), int):
        results.metrics["data/train_sequences"] = float(count)
    # First, so that it writes before any other callback prints.
    trainer.callbacks.insert(0, results)
    keep_freed_memory()
    with stopping_saved(trainer):
        _fit(trainer, task, datamodule, plain["ckpt_path"], results)
        # Again: of a training that was complete when it was resumed, the measurement came later.
        results.on_fit_end(trainer, task)
        if results.started is None and trainer.global_step < trainer.max_steps:
            log.warning(
                "nothing was trained: the run had ended its %s; trainer.max_epochs=%d goes on",
                counted(trainer.max_epochs, "epoch"), trainer.max_epochs + 1,
            )  # fmt: skip
        if trainer.is_global_zero:
            _draw_curves(trainer, folder)
        path = _best_of(trainer, folder)
        if path.is_file():
            _log_best(path, trainer.checkpoint_callback)
            _fit_decode(path, plain, trainer, datamodule)
            if plain["test"]:
                _test(path, plain, trainer, datamodule, results, folder)
        # Last: of this step there is all that a run has.
        results.add(trainer, {"step": float(trainer.global_step)})
        if trainer.is_global_zero:
            report(trainer.loggers, results.metrics, trainer.global_step, folder)
            tested = (
                [evaluated_on(datamodule.test_set, "Tested", datamodule)] if plain["test"] else []
            )
            lines = [*tested, *gradient_lines(trainer.callbacks, datamodule)]
            # Prediction leaves out losses and what trains.
            needed = _roots(plain, ("optimizer", "scheduler", "criterion.")) - {"spanloc"}
            _show_result(results.metrics, path, folder, lines, needed)
    return objective_value(plain, results.metrics)


def _fit(
    trainer: Any, task: SpanLocalizer, datamodule: Any, path: str | None, results: "_Results"
) -> None:
    try:
        trainer.fit(task, datamodule=datamodule, ckpt_path=path, weights_only=True)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
        if path is None or results.started is not None or lost_another(error):
            raise
        raise ValueError(
            f"{path}: training cannot go on from it: {type(error).__name__}: {error}"
        ) from error


class _Results(Callback):
    """Writes ``metrics.json`` as soon as there is more to write: when training ends, and after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics: dict[str, float] = {}
        self.started: float | None = None
        # Seconds of training before this run went on.
        self.before = 0.0

    def state_dict(self) -> dict[str, float]:
        return {"seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = float(state_dict["seconds"])

    def _seconds(self) -> float:
        return self.before + (time.perf_counter() - self.started if self.started else 0.0)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        # Before the measurement at convergence.
        self.metrics["time/train"] = self._seconds()
        self.add(trainer, {})

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        # Also where nothing was trained this time.
        self.metrics.setdefault("time/train", self.before)
        for callback in trainer.callbacks:
            if isinstance(callback, Convergence) and callback.result is not None:
                self.add(trainer, callback.result.metrics())

    def add(self, trainer: Any, metrics: dict[str, float]) -> None:
        """Add to the metrics and write them."""
        best = trainer.checkpoint_callback
        if best is not None and best.best_model_score is not None:
            self.metrics[best.monitor] = float(best.best_model_score)
        self.metrics |= metrics
        if trainer.is_global_zero:
            write_metrics(self.metrics, self.folder)


def _draw_curves(trainer: Any, folder: Path) -> None:
    logs, name = joined_logs(folder, []), getattr(trainer.checkpoint_callback, "monitor", None)
    validated = (name, logs["step"], logs[name]) if name in logs else None
    for callback in trainer.callbacks:
        if isinstance(callback, GradientNorms) and len(callback.history()):
            figure = plots.curves(callback.history(), validated)
            plots.save_figure(figure, folder / "figures" / "curves.png")


def _best_of(trainer: Any, folder: Path) -> Path:
    best = trainer.checkpoint_callback
    path = best.best_model_path if best is not None else ""
    return Path(path) if path else folder / "last.ckpt"


def _log_best(path: Path, best: Any) -> None:
    if (score := getattr(best, "best_model_score", None)) is not None:
        saved = read(path)
        when = f"epoch {saved['epoch'] + 1} (step {saved['global_step']})"
        log.info("%s is of %s: %s %.4f", path.name, when, best.monitor, float(score))


def _fit_decode(
    path: Path, plain: dict[str, Any], trainer: Any, datamodule: SpanDataModule
) -> None:
    given = plain["decode"]
    options = [name for name in wanted_options(plain["fit_decode"]) if not given.get(name)]
    ours = given["_target_"] == "spanloc.decode.Decode"
    if not options or not ours or not len(datamodule.val_set):
        return
    fit_checkpoint(
        path, datamodule, options, to=path if trainer.is_global_zero else None,
        allow=_roots(plain), device=trainer.strategy.root_device,
    )  # fmt: skip
    trainer.strategy.barrier()


def _roots(plain: dict[str, Any], without: tuple[str, ...] = ()) -> set[str]:
    """The packages of the parts of a model, but for those at some places."""
    nodes = targets(plain["module"])
    return {node["_target_"].split(".")[0] for at, node in nodes if not at.startswith(without)}


def _test(
    path: Path,
    plain: dict[str, Any],
    trainer: Any,
    datamodule: SpanDataModule,
    results: _Results,
    folder: Path,
) -> None:
    task = load(path, allow=_roots(plain))
    found, evaluated = evaluate(task, datamodule, plain["trainer"], "test")
    results.add(trainer, found)
    if trainer.is_global_zero:
        of = whose([path], plain["data"])
        scores = write_evaluation(found, evaluated, task, "test", folder, of)
        if scores is not None and len(task.classes) > 1 and task.decode.max_predictions > 1:
            show_table(plain_console(), score_tables(scores)[-1])
        figure = timelines(task, datamodule.test_set)
        plots.save_figure(figure, folder / "figures" / "timelines.png")


def _show_result(
    metrics: dict[str, float],
    model: Path,
    folder: Path,
    about: Sequence[str] = (),
    allow: Iterable[str] = (),
) -> None:
    """Print the metrics of a model, its file, what to look at first, and the next command."""
    subsets = ("test/", "val/")
    shown = {k: v for subset in subsets for k, v in metrics.items() if k.startswith(subset)}
    show_metrics(shown, folder, lines=[*meanings(shown), *about])
    files = {
        "The model": model,
        "What its errors are": folder / "scores.html",
        "Predictions over the signal": folder / "figures" / "timelines.png",
    }
    lines = [f"{what}: {file}" for what, file in files.items() if file.is_file()]
    given = folder if model == folder / "best.ckpt" else model
    command = f"spanloc-predict {shlex.quote(f'checkpoint={given}')} input=FILES"
    if allow:
        command += f" 'allow=[{','.join(sorted(allow))}]'"
    plain_console().print(*lines, f"Next, find spans in new recordings: {command}", sep="\n")


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
