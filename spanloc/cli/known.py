"""Names of settings: the closest to one that does not exist, and arguments that are no settings."""

import shlex
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.utils import get_args_parser

from spanloc.files import leaves

# What a command wants first; the place is that of a folder or a file.
_FIRST = {
    "train": "data.root={}",
    "tune": "data.root={}",
    "check": "data.root={}",
    "evaluate": "checkpoint={}",
    "export": "checkpoint={}",
    "predict": "checkpoint=RUN input={}",
    "score": "predictions={} annotations=FILE",
    "report": "runs={}",
    "probe": "span_loss=giou",
}


def closest(name: str, command: str) -> str | None:
    """The setting or group of settings of a command whose name is closest; None where none is close.

    One with the same last part is closer than any other.

    >>> closest("data.rooot", "train"), closest("batch_size", "train"), closest("nothing", "train")
    ('data.root', 'data.batch_size', None)
    """
    names = _names(command)
    last = name.split(".")[-1]
    same = [known for known in names if known.split(".")[-1] == last]
    found = get_close_matches(name, same, 1, 0) or get_close_matches(name, names, 1, 0.65)
    return found[0] if found else None


def refuse_others(arguments: Sequence[str], command: str) -> None:
    """Refuse arguments that are neither a setting nor an option of Hydra's, in one line.

    Raises:
        ValueError: There is such an argument; it says how settings are written.
    """
    parser: ArgumentParser = get_args_parser()

    def refuse(message: str) -> None:
        raise ValueError(message)

    # argparse's own prints its usage, in nine lines, and exits; the parser is made by Hydra.
    parser.error = refuse  # type: ignore[method-assign, assignment]
    options, unknown = parser.parse_known_args(arguments)
    dashed = [argument for argument in unknown if argument.startswith("-")]
    if dashed:
        raise ValueError(
            f"settings are written without dashes: {_without_dashes(arguments, dashed)}"
        )
    for argument in [*options.overrides, *unknown]:
        # A setting is taken away by ~NAME.
        if "=" not in argument and not argument.startswith("~"):
            there = argument if _exists(argument) else "FOLDER"
            like = " ".join(shlex.quote(part.format(there)) for part in _FIRST[command].split())
            raise ValueError(f"{argument} is no setting; settings are NAME=VALUE: {like}")


def _without_dashes(arguments: Sequence[str], dashed: Sequence[str]) -> str:
    found = []
    for argument, following in zip(arguments, [*arguments[1:], "-"], strict=True):
        if argument in dashed:
            name = argument.lstrip("-")
            value = "VALUE" if "=" in following or following.startswith("-") else following
            found.append(shlex.quote(name if "=" in name else f"{name}={value}"))
    return " ".join(found)


def _exists(name: str) -> bool:
    with suppress(OSError, ValueError):  # too long for a name, or a NUL
        return Path(name).exists()
    return False


def _names(command: str) -> list[str]:
    """All groups and settings of a command, in any of its choices."""
    configs = files("spanloc.configs")
    content = _content(configs / f"{command}.yaml")
    if command == "tune":
        content = {**_content(configs / "train.yaml"), **content}
    named = (*content.pop("defaults", ()),)
    hydra = content.pop("hydra", {})
    found = [f"hydra.{part}.dir" for part in ("run", "sweep") if part in hydra]
    found += [name for name, _ in leaves(content)]
    found += ["resume"] if command in ("train", "tune") else []
    groups = [str(group) for choice in named if isinstance(choice, dict) for group in choice]
    for group in groups:
        if (folder := configs / group).is_dir():
            found.append(group)
            for file in folder.iterdir():
                if file.name.endswith(".yaml"):
                    found += [name for name, _ in leaves(_content(file), f"{group}.")]
    return list(dict.fromkeys(found))


def _content(file: Any) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    # These set what belongs to other groups.
    return {} if text.startswith("# @package _global_") else yaml.safe_load(text) or {}
