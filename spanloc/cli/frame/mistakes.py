"""Errors that are the user's, the one line that each ends in, and the setting that was likely meant."""

import re
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from spanloc.data.quotes import in_quotes
from spanloc.files import leaves

_MISTAKES = (
    ValueError,
    OSError,
    FloatingPointError,
    MemoryError,
    HydraException,
    OmegaConfBaseException,
)


def is_mistake(error: BaseException) -> bool:
    """True for an error of the user's, which ends in one line."""
    # Lightning's own, by its name: it need not be imported to have failed elsewhere.
    return isinstance(error, _MISTAKES) or type(error).__name__ == "MisconfigurationException"


def line_of(error: BaseException, command: str = "train") -> str:
    """The line for an error of ``spanloc-<command>``.

    >>> error = HydraException("Error merging override hydra.run.dir=null")
    >>> error.__cause__ = ValueError("field 'hydra.run.dir' is not Optional")
    >>> line_of(error)
    "hydra.run.dir=null: field 'hydra.run.dir' is not Optional"
    """
    text = str(error) or type(error).__name__
    if "iter(combined_loader)" in text and error.__context__ is not None:
        # Lightning's own, as it cleans up after loaders that failed to start.
        return line_of(error.__context__)
    if text.startswith("Caught ") and " in DataLoader worker" in text:
        # The traceback of a worker, whose last line is the error.
        text = re.split(r"\n(?:\w+\.)*\w+: ", text)[-1]
    if isinstance(error, OSError) and error.strerror:
        file = _file_of(error)
        text = f"{file}: {error.strerror}" if file else error.strerror
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown:
        # Hydra's own words advise to add the key with a "+", which is not what a typo wants.
        inside = [name for name in _names(command) if name.startswith(f"{unknown[1]}.")]
        key = re.search(r"full_key: ([\w.]+)", str(error.__cause__))
        if inside and key:
            return (
                f"there is no setting {key[1]!r}; under {unknown[1]} there are {', '.join(inside)}"
            )
        near = closest(unknown[1], command)
        if near == unknown[1]:
            instead = f"'{near}=\"{{...}}\"', with both quotes"
            return (
                f"{near} is no setting of the choices made here (those of your data need data.root=FOLDER), or a file of "
                f"settings has a mapping {near}; to replace it, write {instead}"
            )
        meant = f" did you mean {near}?" if near else ""
        others = "--help lists the common settings, --cfg job all of them"
        parent = unknown[1].rpartition(".")[0]
        # Such as an argument of a loss of one's own.
        plus = f" A further argument takes a plus: +{unknown[1]}=VALUE;" * (
            parent not in ("", "data")
        )
        return f"there is no setting {unknown[1]!r};{meant}{plus} {others}"
    choice = re.search(r"Could not find '(.+)/(.+?)'\s+Available options in .+?:\s(.+)", text, re.S)
    if choice:
        there = choice[3].split("\nConfig search path")[0].split()
        likely = get_close_matches(choice[2], there, 1)
        meant = f"did you mean {likely[0]}? There" if likely else "there"
        return f"there is no {choice[1]}={choice[2]}; {meant} are {', '.join(there)}"
    if isinstance(error, OverrideParseException):
        name, _, value = str(error.override).partition("=")
        return (
            f"{error.override} cannot be read, because of its brackets, commas or other signs; write it so: "
            f"'{name}={in_quotes(value)}'"
        )
    merged = re.match(r"Error merging override (.+)", text)
    if merged and error.__cause__ is not None:
        return f"{merged[1]}: {str(error.__cause__).splitlines()[0]}"
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is not set; add {error.full_key}=... to the command"
    return re.sub(r"\s+", " ", text.split("\nConfig search path")[0]).strip()


def _file_of(error: BaseException | None) -> str | None:
    # Loggers give none, also where they fail again while another failure is cleaned up.
    while error is not None:
        if file := getattr(error, "filename", None):
            return str(file)
        error = error.__context__
    return str(HydraConfig.get().runtime.output_dir) if HydraConfig.initialized() else None


def closest(name: str, command: str) -> str | None:
    """The setting or group of settings of a command whose name is closest; None where none is close.

    One that ends with the same word or words is closer than any other.

    >>> closest("data.rooot", "train"), closest("batch_size", "train"), closest("loss", "train")
    ('data.root', 'data.batch_size', 'span_loss')
    """
    names = _names(command)
    last = name.split(".")[-1]
    same = [known for known in names if f".{known}".endswith((f".{last}", f"_{last}"))]
    found = get_close_matches(name, same, 1, 0) or get_close_matches(name, names, 1, 0.65)
    return found[0] if found else None


def _names(command: str) -> list[str]:
    """All groups and settings of a command, in any of its choices."""
    configs = files("spanloc.configs")
    content = _content(configs / f"{command}.yaml")
    if command == "tune":
        content = {**_content(configs / "train.yaml"), **content}
    groups = [
        g for choice in content.pop("defaults", ()) if isinstance(choice, dict) for g in choice
    ]
    hydra = content.pop("hydra", {})
    found = [f"hydra.{part}.dir" for part in ("run", "sweep") if part in hydra]
    found += [name for name, _ in leaves(content)]
    found += ["resume"] if command in ("train", "tune") else []
    for group in groups:
        if (folder := configs / str(group)).is_dir():
            found.append(group)
            for file in folder.iterdir():
                if file.name.endswith(".yaml"):
                    found += [name for name, _ in leaves(_content(file), f"{group}.")]
    return list(dict.fromkeys(found))


def _content(file: Any) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    # These set what belongs to other groups.
    return {} if text.startswith("# @package _global_") else yaml.safe_load(text) or {}
