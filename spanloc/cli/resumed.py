"""The checkpoint that a run goes on from: whether it can, with what changes, and what is left to do."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from spanloc.config.checkpoint import read
from spanloc.config.compare import as_before, differences
from spanloc.files import read_json

log = logging.getLogger(__name__)
# What a training goes on from.
_STATE = {"epoch": int, "global_step": int, "optimizer_states": list, "lr_schedulers": list}
_STATE |= {"loops": dict, "callbacks": dict}
# What a resumed run cannot change, and why.
_FIXED = (
    (("localizer", "backbone", "neck", "head"), "is of another model"),
    (("module.classes", "seconds_per_step"), "was trained on other data"),
    (("optimizer",), "the optimizer goes on with the settings it had"),
)


def has_nothing_to_do(plain: dict[str, Any], folder: Path) -> bool:
    """Check the checkpoint of a run that goes on, and say what differs; whether all is done already.

    Args:
        plain: The config, whose ``ckpt_path`` is set.
        folder: Of the run.

    Raises:
        ValueError: Training cannot go on from it.
    """
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
            texts, settings = "; ".join(map(str, found)), " ".join(as_before(found))
            to_give = f"; to resume it, give {settings}" if settings else ""
            raise ValueError(f"{path}: {why}: {texts}{to_give}")
    for difference in changed:
        level = logging.INFO if difference.harmless else logging.WARNING
        log.log(level, "not as in the run that is resumed: %s", difference)
    epochs = saved["epoch"] + (not _is_within_epoch(saved))
    for name, done in (("epochs", epochs), ("steps", saved["global_step"])):
        most = plain["trainer"].get(f"max_{name}")
        if most is None or not 0 <= most <= done:
            continue
        text = f"{path} has done {done} {name}, and trainer.max_{name} is {most}: there is nothing to do"
        if path.parent.resolve() != folder.resolve():
            raise ValueError(text)
        if _is_complete(path.parent, saved["global_step"], plain["test"]):
            log.info(text)
            return True
        log.info("the training is complete; what came after it is done now")
        return False
    place = f"within epoch {epochs + 1}" if _is_within_epoch(saved) else f"after epoch {epochs}"
    log.info("resuming from %s: %s, step %d", path, place, saved["global_step"])
    return False


def _is_within_epoch(saved: dict[str, Any]) -> bool:
    with suppress(LookupError, TypeError):
        progress = saved["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        return progress["is_last_batch"] is False
    return False


def _is_complete(folder: Path, step: int, test: bool) -> bool:
    metrics = metrics_of(folder)
    tested = any(name.startswith("test/") for name in metrics)
    return metrics.get("step") == step and (tested or not test)


def metrics_of(folder: Path) -> dict[str, Any]:
    """What ``metrics.json`` of a run holds so far."""
    with suppress(OSError, ValueError):
        found = read_json(folder / "metrics.json")
        return found if isinstance(found, dict) else {}
    return {}
