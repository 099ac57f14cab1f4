"""From a config to objects, from data to what a config leaves open, and from a file to a model."""

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from spanloc.data import SpanDataModule
from spanloc.task import SpanLocalizer

# The parts of spanloc that a model is made of, and that do nothing but compute.
_TRUSTED = tuple(
    f"spanloc.{part}"
    for part in (
        "assigners",
        "criterion",
        "decode",
        "losses",
        "metrics",
        "models",
        "ops",
        "task",
    )
)


def load(
    path: str | Path, *, allow: Iterable[str] = (), map_location: str | torch.device = "cpu"
) -> SpanLocalizer:
    """A trained model, in evaluation mode, rebuilt from its checkpoint alone.

    The file cannot run code: it is read with ``weights_only=True``, and what its config names must
    lie in spanloc or in a package of ``allow``.

    Args:
        path: A ``best.ckpt`` or ``last.ckpt`` of ``spanloc-train``.
        allow: Names of further packages that may be built from, such as ``"theirs"``.
        map_location: Where the weights go.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not such a checkpoint, or names something that is not allowed.
    """
    checkpoint = read(path, map_location=map_location)
    task_config = dict(checkpoint["spanloc"]["config"]["task"])
    # What trains is no part of the model, and need not be in a package that is trusted.
    task_config.pop("optimizer", None)
    task_config.pop("scheduler", None)
    trust(path, task_config, (*_TRUSTED, *([allow] if isinstance(allow, str) else allow)))
    check({"task": task_config})
    task = build(task_config)
    if not isinstance(task, SpanLocalizer):
        raise ValueError(f"{path}: its config describes {type(task).__name__}, not a model")
    task.config = checkpoint["spanloc"]["config"]
    try:
        task.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise ValueError(f"{path}: the weights do not fit the config: {error}") from None
    return task.to(map_location).eval()


def read(path: str | Path, *, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """The content of a checkpoint with a config, checked; errors as in :func:`load`."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file")
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception:  # torch raises whatever its unpickler met, and advises to load it unsafely
        raise ValueError(
            f"{path}: not a checkpoint, or one that holds more than tensors and plain values"
        ) from None
    ours = checkpoint.get("spanloc") if isinstance(checkpoint, dict) else None
    if not isinstance(ours, dict) or "config" not in ours:
        raise ValueError(f"{path}: not a checkpoint of spanloc")
    config = ours["config"]
    if config is not None and not (
        isinstance(config, dict)
        and isinstance(config.get("task"), dict)
        and "_target_" in config["task"]
    ):
        raise ValueError(f"{path}: its config describes no model")
    if config is None:
        raise ValueError(
            f"{path}: this model was built in plain Python, so there is no config to rebuild it "
            "from; build it again and call SpanLocalizer.load_from_checkpoint(path, localizer=..., "
            "criterion=...) or task.load_state_dict(torch.load(path)['state_dict'])"
        )
    return checkpoint


def build(config: Any, **objects: Any) -> Any:
    """The object that a plain config node (with ``_target_``) describes; ``objects`` are added to it.

    Raises:
        ValueError: What it names refuses a value. :func:`check` says more of what is wrong.
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


def check(config: Any) -> None:
    """Raise a ``ValueError`` where a config names what does not exist: a thing, an option.

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


def derive(datamodule: SpanDataModule) -> dict[str, int]:
    """What a model config leaves open, from the training data.

    ``num_channels`` and ``num_classes`` are the data's. ``stride`` gives the shortest spans (the
    5 % quantile) at least 12 cells of the finest level, and is a product of 2, 3 and 5, which a
    backbone can take in small strides; ``num_levels`` is the least with which the points of the
    coarsest level reach both ends of the longest span.
    """
    lengths = torch.cat(datamodule.span_lengths())
    if not len(lengths):
        raise ValueError("the training sequences have no spans at all")
    most = max(1, int(lengths.quantile(0.05) / 12))
    stride = max(n for n in range(1, most + 1) if pow(30, n, n) == 0)
    cells = float(lengths.max()) / 2 / (4 * stride)
    return {
        "num_channels": datamodule.num_channels,
        "num_classes": len(datamodule.classes),
        "stride": stride,
        "num_levels": 1 + max(0, math.ceil(math.log2(max(cells, 1)))),
    }


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
    """What a path in a config names; ``where`` is its place there, for errors.

    Raises:
        ValueError: There is no such thing.
    """
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


def trust(path: str | Path, config: Any, modules: Sequence[str]) -> None:
    """Raise a ``ValueError`` where a config from a file names a thing outside these modules.

    Nothing is imported from elsewhere, and a name that a module merely imported is refused too.
    """
    roots = {module.split(".")[0] for module in modules}
    for where, node in targets(config):
        target = str(node["_target_"])
        if target.split(".")[0] in roots:
            found = resolve(where, target)
            origin = str(getattr(found, "__module__", ""))
            # A class is built and a function bound, to be called with what it is meant for. A call
            # with arguments from the file could reach compiled loops, which check no bounds.
            inert = isinstance(found, type) or bool(node.get("_partial_"))
            public = not any(part.startswith("_") for part in target.split("."))
            inside = any(f"{origin}.".startswith(f"{module}.") for module in modules)
            if inside and public and (inert or not origin.startswith("spanloc.")):
                continue
        raise ValueError(
            f"{path}: {where} would build {target!r}, which is not a part of a spanloc model; if "
            f"you trust it, allow its package: allow=[{target.split('.')[0]}]"
        )
    if any("${" in text for text in _strings(config)):
        raise ValueError(f"{path}: its config holds an interpolation; a saved one has none")


def _numbers(annotation: Any) -> set[type]:
    # The types of numbers that an option takes; none if it takes text, lists or objects too.
    members = list(get_args(annotation)) or [annotation]
    if any(member not in (int, float, bool, type(None), torch.Tensor) for member in members):
        return set()
    return {int, float} & set(members)


def _strings(config: Any) -> Iterator[str]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from _strings(key)
            yield from _strings(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _strings(value)
    elif isinstance(config, str):
        yield config
