"""Checks of a config before anything is built."""

import inspect
from typing import Any, get_args

import torch

from spanloc.config.build import resolve, targets


def check(config: Any) -> None:
    """Raise a ``ValueError`` where a config names an object or an option that does not exist.

    Nothing is built. Text where an option takes numbers only is refused too.
    """
    for where, node in targets(config):
        target = resolve(where, node["_target_"])
        try:
            parameters = inspect.signature(target).parameters
        except (ValueError, TypeError):  # a few built-in types do not say
            continue
        for name, value in node.items():
            if name.startswith("_") and name.endswith("_"):
                continue
            if name not in parameters:
                if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                    continue
                raise ValueError(
                    f"{where}: {node['_target_']} has no option {name!r}; it has "
                    f"{', '.join(p for p in parameters if p != 'self') or 'none'}"
                )
            numbers = _numbers(parameters[name].annotation)
            if numbers and isinstance(value, str):
                raise ValueError(f"{where}.{name} is {value!r}; wanted a number")
            if numbers == {int} and isinstance(value, float):
                raise ValueError(f"{where}.{name} is {value!r}; wanted a whole number")


def _numbers(annotation: Any) -> set[type]:
    # The types of numbers that an option takes; none if it takes text, lists or objects too.
    members = list(get_args(annotation)) or [annotation]
    if any(member not in (int, float, bool, type(None), torch.Tensor) for member in members):
        return set()
    return {int, float} & set(members)
