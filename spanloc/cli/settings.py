"""The settings of a training run: those of the command, and those that it leaves to the data."""

import logging
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import seed_everything
from rich.table import Table

from spanloc.cli.show import plain_console
from spanloc.config.build import build
from spanloc.config.checks import check
from spanloc.config.recipe import Choice, TrainingFacts, choose
from spanloc.data import SpanDataModule

log = logging.getLogger(__name__)


def prepared(config: DictConfig) -> tuple[dict[str, Any], SpanDataModule, list[Choice]]:
    """The config as plain values, complete; the data it names, set up; and what was left to the data."""
    if not isinstance(config.seed, int) or config.seed < 0:
        raise ValueError(f"seed is {config.seed!r}; wanted a whole number, at least 0")
    seed_everything(config.seed, workers=True, verbose=False)
    root = config.data.get("root")
    if isinstance(root, str) and Path(root).exists():
        # So that it means the same where the run is resumed or evaluated.
        config.data.root = str(Path(root).absolute())
    plain = _plain(config)
    check(plain)
    datamodule = _set_up({k: v for k, v in plain["data"].items() if v is not None})
    facts = TrainingFacts.of(datamodule)
    choices: list[Choice] = []
    if HydraConfig.get().runtime.choices.get("task") == "from_data":
        task, why = ("single", "") if facts.one_each else ("detection", "not ")
        choices.append(Choice("task", task, f"{why}every recording has exactly one span"))
        if facts.one_each:
            config = _with_task(task, config.data.get("root"))
    found = choose(_plain(config), facts)
    for place, value, _ in found:
        OmegaConf.update(config, place, value)
    plain = _plain(config)
    check(plain)
    if any(choice.place.startswith("data.") for choice in found):
        datamodule = _set_up(plain["data"], getattr(datamodule, "annotations", None))
    return plain, datamodule, [*choices, *found]


def show_choices(choices: list[Choice], datamodule: SpanDataModule) -> None:
    """Print what was left to the data, and why it is what it is."""
    console = plain_console()
    for note in getattr(datamodule, "notes", ()):
        log.info("%s", note)
    if not choices:
        return
    table = Table("setting", "value", "why", title="Chosen for these data")
    for place, value, reason in choices:
        table.add_row(place, f"{value}", reason)
    console.print(table)


def _set_up(data: dict[str, Any], annotations: Any = None) -> SpanDataModule:
    datamodule: Any = build(data)
    if annotations is not None:
        # They need not be read again.
        datamodule.annotations = annotations
    # As Lightning will do again, to no effect: what is wrong with the data is said at once.
    datamodule.prepare_data()
    datamodule.setup("fit")
    found: SpanDataModule = datamodule
    return found


def _with_task(task: str, root: Any) -> DictConfig:
    overrides = HydraConfig.get().overrides.task
    kept = [text for text in overrides if text.split("=")[0] != "task"]
    config = hydra.compose("train", overrides=[*kept, f"task={task}"])
    if root is not None:
        config.data.root = root
    return config


def _plain(config: DictConfig) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
