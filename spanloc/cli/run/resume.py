"""``resume=FOLDER``: the settings of a run or a study, the checkpoint that it goes on from, what is left to do."""

import logging
import os
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig

from spanloc.cli.frame.arguments import (
    name_of,
    ordered,
    quoted,
    settings_of,
    with_experiment,
    with_own_data,
    with_quotes,
    with_search,
    with_text_roots,
)
from spanloc.files import read_json, write_text

log = logging.getLogger(__name__)
#: Where a run or a study keeps what its command line set.
SETTINGS = "overrides.yaml"
# The parts of a checkpoint that a training goes on from.
_STATE = {
    "epoch": int,
    "global_step": int,
    "optimizer_states": list,
    "lr_schedulers": list,
    "loops": dict,
    "callbacks": dict,
}
# What a resumed run cannot change, and why.
_FIXED = (
    (("localizer", "backbone", "neck", "head"), "is of another model"),
    (("module.classes", "seconds_per_step"), "was trained on other data"),
    (("data.fold", "data.folds", "data.split_seed"), "was trained with other recordings held out"),
    (("optimizer",), "the optimizer goes on with the settings it had"),
)


def for_hydra(arguments: Sequence[str], command: str) -> list[str]:
    """The arguments of a command as Hydra takes them, with those of the run or study that is resumed."""
    trains = command in ("train", "tune")
    found = with_saved_settings(arguments, command) if trains else ordered(arguments)
    found = with_quotes(with_text_roots(found))
    if command == "check":
        return with_experiment(found)
    return with_search(with_own_data(found)) if trains else found


def given_settings(root: object) -> list[str]:
    """The settings of the command line, in words that mean the same in any folder.

    ``root`` of the data is absolute, if they have one; it takes the place of a relative one.
    """
    hydra = HydraConfig.get()
    sources = hydra.runtime.config_sources
    places = [source.path for source in sources if source.provider == "command-line"]
    settings = [f"--config-dir={path}" for path in places if path]
    # A launcher would make a sweep of a run of one.
    others = ("ckpt_path", "launcher")
    settings += [text for text in hydra.overrides.task if name_of(text) not in others]
    if isinstance(root, str) and any(name_of(text) == "data.root" for text in settings):
        settings = [text for text in settings if name_of(text) != "data.root"]
        settings.append(quoted("data.root", Path(root)))
    return settings


def save_settings(folder: Path, root: object) -> None:
    """Write the :func:`given_settings` to ``overrides.yaml``, for a run or a study that will be resumed."""
    _clean(folder)
    write_text(folder / SETTINGS, yaml.safe_dump(given_settings(root)))


def saved_settings(folder: Path) -> list[str]:
    """The settings that :func:`save_settings` wrote."""
    try:
        saved = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError):
        saved = None
    if not isinstance(saved, list) or not all(isinstance(a, str) for a in saved):
        raise ValueError(f"{folder / SETTINGS}: wanted a list of settings")
    return saved


def how_to_resume(command: str, folder: Path) -> str:
    """A line for a run or study that was stopped, with the command that resumes it; empty if it had not begun."""
    if not (folder / SETTINGS).is_file():
        return ""
    if command == "train" and not (folder / "last.ckpt").is_file():
        return "Its first epoch had not ended, so nothing was saved: start it again"
    return f"To resume it: spanloc-{command} {shlex.quote(f'resume={folder}')}"


def with_saved_settings(arguments: Sequence[str], command: str = "train") -> list[str]:
    """The arguments of a command, with those of the run that ``resume=FOLDER`` names in front.

    The run goes on in its folder, from its ``last.ckpt``, unless the arguments say otherwise. What they
    set takes the place of what the run had. A study (``tune``) has its trials in place of the checkpoint.
    """
    arguments = _with_requeued(arguments) if command == "train" else arguments
    found = [a for a in arguments if a.startswith("resume=")]
    if not found or found[-1] in ("resume=", "resume=null"):
        return ordered(arguments)
    folder = Path(found[-1].removeprefix("resume=").strip("'\"")).absolute()
    folder = folder.parent if folder.is_file() else folder
    given = [a for a in arguments if a not in found]
    if {"-m", "--multirun"} & set(given):
        raise ValueError("resume goes on with one run; it cannot be part of a sweep")
    what = "a run" if command == "train" else "a study"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder (resume)")
    needed = {SETTINGS: f"resume names the folder of {what} that had begun to train"}
    if command == "train":
        needed["last.ckpt"] = (
            "the run stopped before its first epoch ended, so there is nothing to go on from: start it again"
        )
    for name, why in needed.items():
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: no such file; {why}")
    saved = saved_settings(folder)
    _clean(folder)
    saved.append(quoted("hydra.run.dir", folder))
    if command == "train":
        saved.append(quoted("ckpt_path", folder / "last.ckpt"))
    places = settings_of(given)
    names = {name_of(a) for i, a in enumerate(given) if i in places or a.startswith("-")}
    # Another choice of a group does not have the options of the old one.
    kept = [a for a in saved if not {name_of(a), name_of(a).split(".")[0]} & names]
    # What the run had to add, as the config does not have it, is added again, or is not added.
    added = {name_of(a) for a in saved if a.startswith("+")}
    for i in places:
        if name_of(given[i]) in added:
            given[i] = re.sub(r"^(?![+~])", "+", given[i])
    dropped = {f"~{name}" for name in added}
    # Hydra wants all settings side by side, and its own options before or after them.
    return [a for a in ordered([*kept, *given]) if a not in dropped]


def _with_requeued(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments, with ``resume=`` where SLURM or torchrun runs a job again and the run is there already."""
    names = {name_of(argument) for argument in arguments}
    counts = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
    again = any(os.environ.get(name, "0").strip("0") for name in counts)
    if not again or {"resume", "ckpt_path"} & names or {"-m", "--multirun"} & set(arguments):
        return arguments
    places = [a.partition("=")[2].strip("'\"") for a in arguments if name_of(a) == "hydra.run.dir"]
    there = places and all((Path(places[-1]) / name).is_file() for name in (SETTINGS, "last.ckpt"))
    return [*arguments, f"resume={places[-1]}"] if there else arguments


def _clean(folder: Path) -> None:
    # Unfinished files, as spanloc.files.replacing names them, of processes that were killed.
    for path in folder.rglob(".spanloc-*"):
        found = re.match(r"\.spanloc-(\d+)-", path.name)
        if found and path.is_file() and not is_alive(int(found[1])):
            path.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """True if another process of this machine has this number."""
    # The number of this process may have been that of another: in a container it is the same each time.
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def has_nothing_to_do(plain: dict[str, Any], folder: Path) -> bool:
    """Check the checkpoint of a run that goes on, log what differs, and see whether all is done already."""
    # They import torch, which help and mistakes in settings do not wait for.
    from spanloc.config.checkpoint import read
    from spanloc.config.compare import differences

    path = Path(plain["ckpt_path"])
    saved = read(path)
    for name, kind in _STATE.items():
        none = saved.get(name) == [] and not (name == "lr_schedulers" and not plain["scheduler"])
        if none or not isinstance(saved.get(name), kind):
            raise ValueError(
                f"{path}: training cannot go on from it: its {name} is "
                f"{saved.get(name, 'missing')!r:.60}; wanted {kind.__name__}"
            )
    changed = differences(saved["spanloc"]["config"], plain)
    for groups, why in _FIXED:
        if found := [d for d in changed if d.is_of(groups) and not d.harmless]:
            texts = "; ".join(map(str, found))
            raise ValueError(f"{path}: {why}: {texts}; to resume it, give the settings it had")
    for difference in changed:
        level = logging.INFO if difference.harmless else logging.WARNING
        log.log(level, "not as in the run that is resumed: %s", difference)
    within = False
    with suppress(LookupError, TypeError):
        progress = saved["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        within = progress["is_last_batch"] is False
    epochs = saved["epoch"] + (not within)
    for name, done in (("epochs", epochs), ("steps", saved["global_step"])):
        most = plain["trainer"].get(f"max_{name}")
        if most is None or not 0 <= most <= done:
            continue
        text = f"{path} has done {done} {name}, and trainer.max_{name} is {most}: there is nothing to do"
        if path.parent.resolve() != folder.resolve():
            raise ValueError(text)
        metrics = stored(folder / "metrics.json")
        tested = any(name.startswith("test/") for name in metrics)
        if metrics.get("step") == saved["global_step"] and (tested or not plain["test"]):
            log.info(text)
            return True
        log.info("the training is complete; what came after it is done now")
        return False
    place = f"within epoch {epochs + 1}" if within else f"after epoch {epochs}"
    log.info("resuming from %s: %s, step %d", path, place, saved["global_step"])
    return False


def stored(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a run; empty where there is none yet."""
    with suppress(OSError, ValueError):
        found = read_json(file)
        return found if isinstance(found, dict) else {}
    return {}
