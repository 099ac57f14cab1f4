"""What ``spanloc-train`` trains, for the command and for Python: the data, the task, the settings of its trainer."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import Checkpoint

from spanloc.cli.frame.arguments import with_own_data, with_quotes, with_text_roots
from spanloc.cli.frame.entry import register
from spanloc.cli.frame.mistakes import line_of
from spanloc.cli.run.settings import prepared_in
from spanloc.config.build import build, completed
from spanloc.config.recipe import Choice
from spanloc.data import SpanDataModule
from spanloc.training.task import SpanLocalizer


class Setup(NamedTuple):
    """What ``spanloc-train`` would train.

    Attributes:
        data: The data, read.
        task: The model, not trained yet.
        config: All settings, as in the ``config.yaml`` of a run.
        choices: The settings that were chosen for the data: place, value and reason of each.
        notes: What was left out or held out.
    """

    data: SpanDataModule
    task: SpanLocalizer
    config: dict[str, Any]
    choices: list[Choice]
    notes: list[str]

    def trainer(self, callbacks: Sequence[Callback] = (), **options: Any) -> Trainer:
        """A trainer with the settings of the run.

        It averages the weights where the settings say so. It logs and saves only what is asked for.

        Args:
            callbacks: Added to the one that averages.
            options: Of Lightning's ``Trainer``, in the place of those of the settings.
        """
        average = self.config["callbacks"].get("average")
        own = [build(average)] if average else []
        saves = any(isinstance(callback, Checkpoint) for callback in callbacks)
        options = {"logger": False, "enable_checkpointing": saves} | options
        found: Trainer = build(self.config["trainer"], callbacks=[*own, *callbacks], **options)
        return found


def setup(*settings: str) -> Setup:
    """What ``spanloc-train`` would train with these settings: it reads the data, and chooses what is left to them.

    As in the command, the seed of all random numbers is set (``seed=0``).

    Args:
        settings: As on the command line: ``"data.root=FOLDER"``, ``"budget=quick"``.

    Raises:
        ValueError, OSError: As the command says it in one line.
    """
    settings = (*map(str, settings),)
    for text in settings:
        if not re.match(r"~?[\w/.@+]+=|~", text) or text.startswith("resume="):
            raise ValueError(f"setup: {text!r} is no setting; wanted such as 'data.root=FOLDER'")
    register()
    overrides = with_own_data(with_text_roots(with_quotes(settings)))
    # The caller may be in an application of Hydra's.
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().hydra = None
    try:
        with hydra.initialize_config_module("spanloc.configs", version_base="1.3"):
            config = hydra.compose("train", overrides=overrides, return_hydra_config=True)
            plain, data, choices, notes = prepared_in(config, Path.cwd())
    except HydraException as error:
        raise ValueError(line_of(error, "train")) from error
    finally:
        GlobalHydra.instance().hydra = before
    task = task_of(plain)
    complete(plain, task, data)
    return Setup(data, task, plain, choices, notes)


def task_of(config: dict[str, Any]) -> SpanLocalizer:
    """The task of a complete config; its span loss, which may be the user's own, is tried."""
    task: SpanLocalizer = build(config["module"])
    pair = torch.tensor([[0.0, 1.0]])
    try:
        task.criterion.span_loss(pair, pair)
    except Exception as error:  # whatever it may raise
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"span_loss: {kind}{error}") from error
    return task


def complete(config: dict[str, Any], task: SpanLocalizer, data: SpanDataModule) -> None:
    """Build the model for the data, and complete the config, which the task then stores in its checkpoints."""
    task.prepare(data)
    config["seconds_per_step"] = data.seconds_per_step
    config["module"]["classes"] = task.classes
    config["localizer"] = completed(config["localizer"], task.localizer)
    config["module"]["localizer"] = config["localizer"]
    for part in ("backbone", "neck", "head"):
        config[part] = config["localizer"].get(part, config[part])
    task.config = config
