"""One trial of a search: a training in this process, as ``spanloc-train`` would run it."""

import gc
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import optuna
import torch
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobStatus, configure_log, run_job
from hydra.types import HydraContext
from omegaconf import DictConfig
from optuna.trial import Trial
from pytorch_lightning import Callback, Trainer

from spanloc.cli import train
from spanloc.cli.frame.arguments import quoted
from spanloc.cli.frame.entry import shorten_lines
from spanloc.cli.frame.folder import marking_failure
from spanloc.cli.frame.mistakes import is_mistake, line_of
from spanloc.cli.run.objective import check_objective, objective_name
from spanloc.cli.run.settings import prepared_in
from spanloc.config.build import build

log = logging.getLogger(__name__)


class ReportToTrial(Callback):
    """Reports the monitor of the best checkpoint to Optuna after each validation, and ends a bad trial."""

    def __init__(self, trial: Trial, monitor: str) -> None:
        self.trial, self.monitor, self.count = trial, monitor, 0

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Reports the value."""
        value = trainer.callback_metrics.get(self.monitor)
        if trainer.sanity_checking or value is None:
            return
        self.count += 1
        self.trial.report(float(value), self.count)
        if self.trial.should_prune():
            raise optuna.TrialPruned("pruned")


def composed(settings: Sequence[str], folder: Path) -> DictConfig:
    """The config of a run of ``spanloc-train`` with these settings in a folder, with Hydra's part."""
    return hydra.compose(
        "train", overrides=[*settings, quoted("hydra.run.dir", folder)], return_hydra_config=True
    )


def first_look(settings: Sequence[str], folder: Path) -> tuple[dict[str, Any], str]:
    """The complete config of a run with these settings, after reading its data, and the name of the objective."""
    plain, *_ = prepared_in(composed(settings, folder), folder)
    devices = plain["trainer"].get("devices")
    if devices not in (1, "1") and not (isinstance(devices, list) and len(devices) == 1):
        raise ValueError(
            f"trainer.devices is {devices!r}; a trial trains in one process: wanted 1, or [NUMBER]. "
            "For several, start the command once for each"
        )
    name = objective_name(plain)
    if name is None:
        raise ValueError(
            "there is nothing to choose the best trial by: nothing is held out for validation, or "
            "callbacks.best has no monitor"
        )
    check_objective(plain, build(plain["module"]))
    return plain, name


def run_trial(settings: Sequence[str], folder: Path, callbacks: Sequence[Callback]) -> float:
    """Train with these settings in a folder, and return the objective.

    Raises:
        optuna.TrialPruned: The trial was ended early.
        Exception: Whatever the run fails with; the folder's ``error.txt`` has its line.
    """
    begin = time.time()

    def job(config: DictConfig) -> float:
        shorten_lines()  # Hydra sets up its log for each run
        try:
            with marking_failure(begin):
                return _number(train.run(config, callbacks))
        except Exception as error:
            if not isinstance(error, optuna.TrialPruned) and not is_mistake(error):
                log.exception("the trial failed")  # in the log of the trial
            raise

    config = composed(settings, folder)
    before: Any = HydraConfig.instance().cfg
    context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks())
    try:
        done = run_job(job, config, "hydra.run.dir", None, context)
    finally:
        if before is not None:
            configure_log(before.hydra.job_logging, before.hydra.verbose)
            shorten_lines()
        # A model and its optimizer are held by cycles; the next trial needs the memory.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    # Its property would print the error in Hydra's words.
    value: Any = done._return_value
    if done.status == JobStatus.FAILED:
        raise value
    return float(value)


def _number(value: float | None) -> float:
    if value is None or not math.isfinite(value):
        raise ValueError(f"the objective is {value}; wanted a number")
    return value


def reason(error: Exception) -> str:
    """The cause of a failed trial, in one line."""
    text = line_of(error)
    return text if is_mistake(error) and text else f"{type(error).__name__}: {text}".rstrip(": ")
