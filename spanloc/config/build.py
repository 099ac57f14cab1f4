"""From settings to plain values and objects, and from objects to the sizes that settings leave open."""

import copy
import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import ListConfig, OmegaConf

_SIZES = ("num_channels", "num_classes", "stride", "num_levels", "width")


def build(config: Any, **objects: Any) -> Any:
    """The object that a plain config node (with ``_target_``) describes; ``objects`` are added to it.

    Raises:
        ValueError: What it names refuses a value. :func:`check` finds more of what is wrong.
    """
    try:
        return instantiate(config, _convert_="all", **objects)
    except InstantiationException as error:
        cause = error.__cause__
        if cause is None:
            raise
        if isinstance(cause, ValueError | OSError):
            raise ValueError(str(cause)) from cause
        raise ValueError(f"{config['_target_']}: {cause}") from cause


def as_values(node: Any) -> Any:
    """A part of a config as plain values, its references resolved; any other value unchanged."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def as_names(value: Any) -> list[str]:
    """The names that a setting gives, one or a list of them, as text: a name may look like a number."""
    several = value if isinstance(value, ListConfig | list | tuple) else [value]
    return [str(part) for part in several]


def completed(config: Mapping[str, Any], part: Any) -> dict[str, Any]:
    """A config node whose open sizes are filled in from the attributes of the part that was built from it."""
    found: dict[str, Any] = copy.deepcopy(dict(config))
    parameters = inspect.signature(resolve("config", found["_target_"])).parameters
    for name in _SIZES:
        if name in parameters and found.get(name) is None and hasattr(part, name):
            found[name] = getattr(part, name)
    for name, node in found.items():
        if isinstance(node, Mapping) and "_target_" in node and hasattr(part, name):
            found[name] = completed(node, getattr(part, name))
    return found


def targets(config: Any, where: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every node of a plain config that names a ``_target_``, with its place in the config."""
    if isinstance(config, Mapping):
        if "_target_" in config:
            yield where or "config", config
        for key, value in config.items():
            yield from targets(value, f"{where}.{key}" if where else str(key))
    elif isinstance(config, list | tuple):
        for i, value in enumerate(config):
            yield from targets(value, f"{where}[{i}]")


def resolve(where: str, path: Any) -> Any:
    """The object that a path in a config names, or a ``ValueError``; ``where`` is its place there."""
    # Step by step as Hydra does, so that what is checked is what is built.
    found, done = None, ""
    for part in str(path).split("."):
        name = f"{done}.{part}" if done else part
        if found is not None and hasattr(found, part):
            found = getattr(found, part)
        else:
            try:
                found = import_module(name)
            except ModuleNotFoundError as error:
                # Only if it is this module that is missing, not one that it imports.
                if not f"{name}.".startswith(f"{error.name}."):
                    raise
                what = f"{done} has no {part!r}" if done else f"there is no module {part!r}"
                raise ValueError(f"{where}: _target_ is {path!r}; {what}") from None
        done = name
    return found
