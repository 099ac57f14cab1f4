"""The settings of a training run: those of the command, and those that it leaves to the data."""

import logging
from pathlib import Path
from typing import Any, cast

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from pytorch_lightning import seed_everything
from rich.table import Table

from spanloc.cli.frame.folder import in_run
from spanloc.cli.frame.show import plain_console
from spanloc.config.build import as_values, build
from spanloc.config.checkpoint import read
from spanloc.config.checks import check
from spanloc.config.recipe import Choice, choose, require_budget
from spanloc.config.training_facts import TrainingFacts
from spanloc.data import SpanDataModule
from spanloc.data.sample import data_folder
from spanloc.data.sound import AS_THEY_ARE
from spanloc.files import require_whole

log = logging.getLogger(__name__)
_FROM_DATA = "from_data"
_AS_BEFORE = "as in the run that goes on"
# The complete config as plain values, its data, set up, the settings that were chosen, and notes.
Prepared = tuple[dict[str, Any], SpanDataModule, list[Choice], list[str]]
# What sets the length of a training, where its epochs are left to the data.
_LENGTH = ("budget", "trainer.max_steps")


def prepared(config: DictConfig) -> Prepared:
    """Read the data of a config, and choose the settings that it leaves to them."""
    require_whole("seed", config.seed, 0)
    seed_everything(config.seed, workers=True, verbose=False)
    root = config.data.get("root")
    if isinstance(root, str | int | float):  # a folder may be called 2024
        folder = data_folder(str(root))
        # So that it means the same where the run is resumed or evaluated.
        config.data.root = str(folder.absolute() if folder.exists() else root)
    check(_values(config))
    require_budget(config.budget)
    if config.ckpt_path is not None:
        _keep_features(config)
    datamodule, facts = _first_look(config)
    notes: list[str] = list(getattr(datamodule, "notes", []))
    choices: list[Choice] = []
    if HydraConfig.get().runtime.choices.get("task") == _FROM_DATA:
        choices.append(_task(facts))
        if facts.one_each:
            config = _with_task("single", config.data)
    found = [*_features(datamodule, facts), *choose(_values(config), facts)]
    if config.ckpt_path is not None:
        found = _as_before(found, config, facts)
    for place, value, _ in found:
        OmegaConf.update(config, place, value, merge=False)
    plain = _values(config)
    notes += _too_short(plain, datamodule)
    check(plain)
    best = plain["callbacks"].get("best")
    if best and not len(datamodule.val_set):
        best["monitor"], plain["trainer"]["limit_val_batches"] = None, 0
        notes.append(
            "nothing is held out for validation: best.ckpt is that of the last epoch, and its decoding "
            "is not fitted"
        )
    if any(choice.place.startswith(("data.", "transforms.")) for choice in found):
        datamodule = _set_up(plain["data"], datamodule)
    if config.ckpt_path is not None:
        # What was chosen when the run began was shown then.
        choices, found = [], [choice for choice in found if choice.reason != _AS_BEFORE]
    said = [choice for choice in (*choices, *found) if choice.reason]
    return plain, datamodule, said, notes


def prepared_in(config: DictConfig, folder: Path) -> Prepared:
    """As :func:`prepared`, of a config with Hydra's own part, for a run that would write to that folder."""
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = str(folder)
    with in_run(config):
        return prepared(without_hydra(config))


def without_hydra(config: DictConfig) -> DictConfig:
    """A config as a command gets it, without Hydra's own part."""
    found = config.copy()
    with read_write(found), open_dict(found):
        del found["hydra"]
    return found


def show_choices(choices: list[Choice], notes: list[str]) -> None:
    """Print the settings that were chosen for the data, with the reasons."""
    for note in notes:
        log.info("%s", note)
    if not choices:
        return
    console = plain_console()
    table = Table("setting", "value", "why", title="Chosen for these data")
    for place, value, reason in choices:
        table.add_row(place, f"{value}", reason)
    console.print(table, soft_wrap=False)
    console.print("Cell, level, crop and other words: docs/glossary.md")


def _first_look(config: DictConfig) -> tuple[SpanDataModule, TrainingFacts]:
    """The data, read with the settings that the config does not leave open, and the facts of them."""
    data = _values(config.data)
    check({"data": data})
    datamodule = _set_up({name: value for name, value in data.items() if value is not None})
    return datamodule, TrainingFacts.of(datamodule)


def _keep_features(config: DictConfig) -> None:
    """Keep the features of a run that goes on: null in a checkpoint are the samples."""
    ours = config.data.get("_target_") == "spanloc.data.AnnotatedData"
    if ours and config.data.features is None:
        saved = (read(config.ckpt_path)["spanloc"]["config"] or {}).get("data") or {}
        config.data.features = saved.get("features") or AS_THEY_ARE
        set_now = as_values(config.data.feature_options) or {}
        config.data.feature_options = (saved.get("feature_options") or {}) | set_now or None


def _as_before(choices: list[Choice], config: DictConfig, facts: TrainingFacts) -> list[Choice]:
    """The choices of a run that goes on, with their earlier values: an epoch stays as long as it was."""
    saved = OmegaConf.create(read(config.ckpt_path)["spanloc"]["config"])
    before = [(c, OmegaConf.select(saved, c.place, default=c.value)) for c in choices]
    # What was open then stays open.
    kept = [c._replace(value=old, reason=_AS_BEFORE) for c, old in before if old is not None]
    if all(OmegaConf.select(saved, place) == OmegaConf.select(config, place) for place in _LENGTH):
        return kept
    # Another number of steps is wanted, in epochs as long as they were.
    config = config.copy()
    for place, value, _ in kept:
        if place != "trainer.max_epochs":
            OmegaConf.update(config, place, value, merge=False)
    again = {choice.place: choice for choice in choose(_values(config), facts)}
    return [again.get(choice.place, choice) for choice in kept]


def _too_short(config: dict[str, Any], datamodule: SpanDataModule) -> list[str]:
    """Notes on spans that a head with points may not be able to learn."""
    stride = config["backbone"].get("stride") or 1
    sizes = torch.cat(datamodule.span_lengths())
    short = int((sizes < stride).sum())
    single = config["decode"].get("max_predictions") == 1
    if not short or single or "num_queries" in config["head"]:
        return []
    return [
        f"{short} of {len(sizes)} spans are shorter than a cell of the finest level "
        f"(backbone.stride={stride}): those between two points cannot be learned"
    ]


def _task(facts: TrainingFacts) -> Choice:
    if facts.one_each:
        return Choice("task", "single", "every recording has exactly one span")
    return Choice("task", "detection", "recordings have several spans, or none")


def _features(datamodule: Any, facts: TrainingFacts) -> list[Choice]:
    """The features of sound, where the config left them open."""
    if not getattr(datamodule, "chosen_features", False):
        return []
    return [
        Choice("data.features", datamodule.features, "recordings of sound"),
        Choice(
            "data.feature_options",
            datamodule.feature_options,
            f"{facts.shortest:.3g} frames in a short span",
        ),
    ]


def _set_up(data: dict[str, Any], known: Any = None) -> SpanDataModule:
    datamodule: Any = build(data)
    if hasattr(known, "annotations"):
        # The files need not be read again.
        datamodule.annotations, datamodule.input = known.annotations, known.input
    # As Lightning will do again, to no effect: a mistake in the data is an error at once.
    datamodule.prepare_data()
    datamodule.setup("fit")
    if hasattr(known, "annotations"):
        datamodule.notes = known.notes
    found: SpanDataModule = datamodule
    return found


def _with_task(task: str, data: DictConfig) -> DictConfig:
    overrides = HydraConfig.get().overrides.task
    kept = [text for text in overrides if text.split("=")[0] != "task"]
    config = hydra.compose("train", overrides=[*kept, f"task={task}"])
    for name in ("root", "features", "feature_options"):
        # As they were made complete.
        if data.get(name) is not None:
            config.data[name] = data[name]
    return config


def _values(config: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return cast(dict[str, Any], _with_text_keys(found))


def _with_text_keys(value: Any) -> Any:
    # A label that is a number, in data.label_map; a checkpoint has texts only.
    if isinstance(value, dict):
        return {str(key): _with_text_keys(part) for key, part in value.items()}
    return [*map(_with_text_keys, value)] if isinstance(value, list) else value
