"""The data of an evaluation: how they are read, and which of their recordings are evaluated."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from spanloc.cli.frame.arguments import name_of
from spanloc.cli.run.environment import read_environment
from spanloc.config.build import as_values
from spanloc.config.checkpoint import file_of
from spanloc.data import AnnotatedData
from spanloc.data.annotations.flat import SUFFIXES
from spanloc.data.annotations.records import Record
from spanloc.data.fingerprint import Fingerprint, relative
from spanloc.data.held_out import ONE_SUBJECT
from spanloc.data.sample import data_folder
from spanloc.data.sound import AS_THEY_ARE
from spanloc.files import counted
from spanloc.training.task import SpanLocalizer

log = logging.getLogger(__name__)
_SUBSETS = ("test", "val", "all")


def check_subset(subset: Any, fits: bool) -> None:
    """Refuse what is no subset, and ``all`` where the decoding is to be fitted."""
    if subset is not None and subset not in _SUBSETS:
        raise ValueError(f"subset is {subset!r}; it may be test, val or all")
    if subset == "all" and fits:
        raise ValueError("subset=all holds nothing out for fit_decode")


def settings_of_data(
    config: DictConfig, task: SpanLocalizer, trained: dict[str, Any]
) -> dict[str, Any]:
    """The settings of the data: those of training, with those of the command in their place."""
    data = dict(trained)
    ours = data.get("_target_") == "spanloc.data.AnnotatedData"
    given: dict[str, Any] = as_values(config.data)
    for text in HydraConfig.get().overrides.task:
        # Null is "as in training", but not where the command says it.
        if text.lstrip("+") in ("data.columns=null", "data.label_map=null"):
            given[name_of(text).removeprefix("data.")] = {}
    for key, value in given.items():
        if value is None:
            continue
        if key not in data and not ours:  # of ours, an older run may lack what is newer
            raise ValueError(f"data.{key}: the model was trained on {data['_target_']}, without it")
        data[key] = value
    if ours and data.get("features") is None:
        # Of a run, null are the samples, whatever the recordings are.
        data["features"] = AS_THEY_ARE
    if ours and data.get("classes") is None:
        # Not every label that the model knows need be in use.
        data["classes"] = task.classes
    return data


def set_up(
    datamodule: Any,
    config: DictConfig,
    trained: dict[str, Any],
    checkpoints: Sequence[str],
    fits: bool,
) -> str:
    """Read the data, and choose the subset where the command does not: ``test``, ``val`` or ``all``.

    All recordings of a folder other than that of training are evaluated, unless it has a ``testing`` subset
    or holds recordings that the model was trained on.

    Args:
        datamodule, config: Of the command.
        trained: The settings of the data of training.
        checkpoints: The runs that they belong to have lists of the files in that folder.
        fits: Whether the decoding is to be fitted, for which some recordings are held out.
    """
    root, subset, why = config.data.root, config.subset, ""
    before = _data_of_training(checkpoints[0])
    ours = isinstance(datamodule, AnnotatedData)
    if subset == "all" and not ours:
        raise ValueError(
            f"subset=all is for a folder; the model was trained on {trained['_target_']}"
        )
    other = ours and root is not None and not _is_same(str(root), trained["root"])
    try:
        if other and datamodule.fold:
            datamodule.setup_all()
            if before is None or len(_known(datamodule, before)) < len(before.signals):
                datamodule.fold = None  # the folds were those of the training data
        if subset is None:
            subset = "test"
            if other and not fits:
                subset, why = _of_other(datamodule, before)
        if subset == "all":
            datamodule.setup_all()
        else:
            datamodule.setup("test")
    except ValueError as error:
        lacking = re.search("there (is|are) no column", str(error))
        if not lacking or not _has_columns_of(trained, datamodule):
            raise
        how = "read with the columns of the training data (data.columns=null: standard names)"
        raise ValueError(f"{how}: {error}") from None
    if ours and root is not None:
        _say_what_is_read(datamodule, config, trained, before, subset, why)
    for checkpoint in checkpoints if ours else ():
        _warn_of_known(datamodule, _data_of_training(checkpoint), subset)
    return str(subset)


def _has_columns_of(trained: dict[str, Any], datamodule: Any) -> bool:
    """True where a folder is read with the names of columns of training."""
    settings = (trained, getattr(datamodule, "reading", {}))
    columns, now = (dict(some.get("columns") or {}) for some in settings)
    return bool(columns) and columns == now


def _is_same(root: str, other: str | Path) -> bool:
    return data_folder(root).resolve() == Path(other).resolve()


def _of_other(datamodule: Any, before: Fingerprint | None) -> tuple[str, str]:
    """The subset of a folder that is not that of training, and the reason."""
    datamodule.setup_all()
    subsets = datamodule.annotations.subsets
    if subsets["testing"] and subsets["training"] and not datamodule.fold:
        return "test", ": its 'testing' subset"
    for name in _known(datamodule, before):
        return (
            "test",
            f": those that training would hold out, because the folder has recordings of the training run ({name})",
        )
    if before is None:
        return "all", ": all, because it is not the folder of the training run"
    return "all", ": all, because none was used in training"


def _data_of_training(checkpoint: str) -> Fingerprint | None:
    try:
        return read_environment(file_of(checkpoint).parent).data
    except (OSError, ValueError):  # a checkpoint that was taken out of its run
        return None


def _known(datamodule: Any, before: Fingerprint | None) -> list[str]:
    """Files of the data that the run has too, whatever it used them for."""
    now = datamodule.fingerprint()
    if before is None or now is None:
        return []
    were = {name: size for name, (size, _) in before.signals.items()}
    return [name for name, (size, _) in now.signals.items() if were.get(name) == size]


def _warn_of_known(datamodule: Any, before: Fingerprint | None, subset: str) -> None:
    """Warn where recordings that are evaluated were trained on, or may have been."""
    known = _known(datamodule, before)
    if before is None or not known:
        return
    samples: Any = datamodule.val_set if subset == "val" else datamodule.test_set
    if before.parts:
        _warn_of_trained(datamodule.root, samples.records, before, known, subset)
        return
    if subset != "all" and datamodule.fingerprint().signals.keys() == before.signals.keys():
        return  # the same folder: it is divided as in training
    paths = [record.signal.path for record in samples.records]
    evaluated = Fingerprint.of(datamodule.root, (), paths).signals
    if known := [name for name in known if name in evaluated]:
        log.warning(
            "the training run had %d of the %s that are evaluated, such as %s: if it trained on them, or chose "
            "the model by them, the result is too good",
            len(known), counted(len(samples), "recording"), known[0],
        )  # fmt: skip


def _warn_of_trained(
    root: Path, records: Sequence[Record], before: Fingerprint, known: Sequence[str], subset: str
) -> None:
    """Warn where a time that is evaluated was trained on, or chose the model."""
    seen = []
    for record in records:
        name, (begin, end) = relative(record.signal.path, root), record.seconds
        for part in ("training", "validation") if subset != "val" else ("training",):
            first, last = before.parts.get(part, {}).get(name, (end, end))
            if name in known and first < end and begin < last and name not in seen:
                seen.append(name)
    if seen:
        log.warning(
            "the training run used %d of the %d evaluated recordings for training or validation, such as %s: "
            "the result is too good",
            len(seen), len(records), seen[0],
        )  # fmt: skip


def _say_what_is_read(
    datamodule: Any,
    config: DictConfig,
    trained: dict[str, Any],
    before: Fingerprint | None,
    subset: str,
    why: str,
) -> None:
    """Log how another folder of data is read, and how many of its recordings are evaluated."""
    for note in datamodule.notes:
        if not note.startswith(ONE_SUBJECT):
            log.info(note)
    total = sum(len(records) for records in datamodule.annotations.subsets.values())
    count = len(datamodule.val_set if subset == "val" else datamodule.test_set)
    of_training = _is_same(str(config.data.root), trained["root"]) or _known(datamodule, before)
    rest = "" if count == total or of_training else f". subset=all evaluates on all {total}"
    tables = any(file.suffix in SUFFIXES for file in datamodule.annotations.files)
    how = ["columns"] if tables and _has_columns_of(trained, datamodule) else []
    unit = datamodule.reading.get("unit", "seconds")
    if config.data.unit is None and unit == trained.get("unit", "seconds"):
        how.append(f"unit ({unit})")
    if how:
        rest = f". The annotations are read with the {' and '.join(how)} of the training data{rest}"
    log.info("evaluating on %s of %s%s%s", counted(count, "recording"), datamodule.root, why, rest)
