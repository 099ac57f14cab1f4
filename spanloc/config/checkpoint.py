"""Checkpoint files: a model from one, its content checked, and other settings of its decoding."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from spanloc.config.build import build, resolve, targets
from spanloc.config.checks import check
from spanloc.config.left_out import LEFT_OUT, how_to_allow, stand_ins
from spanloc.decode import Decode
from spanloc.facts import DataFacts, InputFacts
from spanloc.files import one_line, record
from spanloc.structures import Output
from spanloc.training.checkpoint_io import AtomicCheckpointIO, require_intact
from spanloc.training.task import SpanLocalizer

# The parts of spanloc that a model is made of, and that do nothing but compute.
_TRUSTED = tuple(
    f"spanloc.{part}"
    for part in (
        "criterion",
        "decode",
        "losses",
        "matching",
        "metrics",
        "models",
        "ops",
        "training.task",
        "config.left_out",
    )
)

# Of a config; that of a model has a few hundred values, less than ten deep.
_MOST_VALUES, _DEEPEST = 100_000, 50


def load(
    path: str | Path, *, allow: Iterable[str] = (), map_location: str | torch.device = "cpu"
) -> SpanLocalizer:
    """A trained model, in evaluation mode, rebuilt from its checkpoint alone.

    The file cannot run code: it is read with ``weights_only=True``, and what its config names must
    lie in spanloc or in a package of ``allow``. A loss from elsewhere is left out, as prediction does not
    need it: the model cannot be trained then.

    Args:
        path: A ``best.ckpt`` or ``last.ckpt`` of ``spanloc-train``, or a run folder with the first.
        allow: Names of further packages that may be built from, such as ``"theirs"``.
        map_location: Where the weights go.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not such a checkpoint, or names something that is not allowed.
    """
    checkpoint = read(path, map_location=map_location)
    ours, weights = checkpoint["spanloc"], checkpoint["state_dict"]
    task_config = dict(ours["config"]["module"])
    # What trains is no part of the model, and need not be in a package that is trusted.
    task_config.pop("optimizer", None)
    task_config.pop("scheduler", None)
    trusted = (*_TRUSTED, *([allow] if isinstance(allow, str) else allow))
    roots = {module.split(".")[0] for module in trusted}
    if "criterion" in task_config:
        task_config["criterion"] = stand_ins(task_config["criterion"], roots)
    trust(path, task_config, trusted)
    try:
        check({"module": task_config})
        with _no_larger_than(file_of(path).stat().st_size):
            # First without memory: sizes in the file may be anything.
            with suppress(NotImplementedError), torch.device("meta"):
                _built(path, task_config, ours)
            task = _built(path, task_config, ours)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        text = one_line(str(error).removeprefix(f"{path}: "), 400)
        raise ValueError(f"{path}: its model cannot be built: {text}") from None
    task.config = ours["config"]
    nodes = targets(task_config)
    left_out = tuple(f"{place}." for place, node in nodes if node["_target_"] == LEFT_OUT)
    weights = {name: value for name, value in weights.items() if not name.startswith(left_out)}
    try:
        task.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        # torch lists every weight, a line each.
        text = one_line(str(error), 400)
        raise ValueError(f"{path}: the weights do not fit the config: {text}") from None
    _try_decode(path, task)
    return task.to(map_location).eval()


def _built(path: str | Path, config: Mapping[str, Any], ours: Mapping[str, Any]) -> SpanLocalizer:
    task = build(config)
    if not isinstance(task, SpanLocalizer):
        raise ValueError(f"{path}: its config describes {type(task).__name__}, not a model")
    task.window = record(int | None, ours.get("window"), "window")
    if task.window is not None and task.window < 1:
        raise ValueError(f"window is {task.window}; wanted a number of steps, at least 1")
    task.input = record(InputFacts | None, ours.get("input"), "input")
    task.build(record(DataFacts | None, ours.get("facts") or None, "facts"))
    return task


def _try_decode(path: str | Path, task: SpanLocalizer) -> None:
    if not isinstance(task.decode, Decode):
        raise ValueError(f"{path}: its decode is not a spanloc.decode.Decode")
    if type(task.decode) is not Decode:
        return  # theirs, and trusted: it may need more of an output than there is here
    logits = torch.zeros(1, 2, len(task.classes or ("",)))
    spans, there = torch.tensor([[[0.0, 4.0], [1.0, 6.0]]]), torch.ones(1, 2, dtype=torch.bool)
    try:
        found = task.decode.candidates(Output(spans, logits, None, there), 0)
        task.decode.select(*found, 8, seconds_per_step=1.0)
    except Exception as error:  # options may be anything, and raise whatever they like
        raise ValueError(
            f"{path}: its decode cannot be used: {one_line(str(error), 400)}"
        ) from None


@contextmanager
def _no_larger_than(num_bytes: int) -> Iterator[None]:
    """Refuse a model inside as soon as it has more weights than a file of that size can hold."""
    size = 0

    def count(module: Any, name: str, parameter: torch.Tensor | None) -> None:
        nonlocal size
        size += 1 if parameter is None else parameter.numel() + 1
        # Four bytes a weight; it is built twice, and a module may make a weight that it replaces.
        if size > num_bytes:
            raise ValueError("it would have more weights than the file holds")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def file_of(path: str | Path) -> Path:
    """The checkpoint of a path: the best one of a run folder, or the file itself."""
    return Path(path) / "best.ckpt" if Path(path).is_dir() else Path(path)


def _missing(path: Path) -> str:
    folder = path.parent
    if path.name != "best.ckpt" or not folder.is_dir():
        return f"{path}: no such checkpoint file"
    if (last := folder / "last.ckpt").is_file():
        return f"{folder}: it has no best.ckpt; its last checkpoint is {last}"
    # A deep tree of other files is not searched.
    found = chain(*(folder.glob(f"{'*/' * depth}best.ckpt") for depth in range(1, 4)))
    runs = [str(file.parent) for file in islice(found, 4)]
    below = f"; run folders below it: {', '.join(runs[:3])}{' and more' * (len(runs) > 3)}"
    return f"{folder}: not a run folder, it has no best.ckpt{below if runs else ''}"


def read(path: str | Path, *, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """The content of a checkpoint with a config, checked; errors as in :func:`load`."""
    path = file_of(path)
    if not path.is_file():
        raise FileNotFoundError(_missing(path))
    require_intact(path)
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
    if config is None:
        raise ValueError(
            f"{path}: this model was built in plain Python, so there is no config to rebuild it "
            "from; build it again and call SpanLocalizer.load_from_checkpoint(path, localizer=..., "
            "criterion=..., decode=...)"
        )
    _require_plain(path, config, "config", [_MOST_VALUES])
    module = config.get("module") if isinstance(config, dict) else None
    if not isinstance(module, dict) or "_target_" not in module:
        raise ValueError(f"{path}: its config describes no model")
    weights = checkpoint.get("state_dict")
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise ValueError(f"{path}: it holds no weights: state_dict is {type(weights).__name__}")
    return checkpoint


def store_decode(
    path: str | Path, settings: Mapping[str, Any], to: str | Path, *, off: Iterable[str] = ()
) -> None:
    """Write a checkpoint with other settings of the decoding, atomically; the rest stays as it is.

    Args:
        path: Of the checkpoint, as in :func:`load`.
        settings: Plain values of ``decode``, such as ``settings`` of a :class:`~spanloc.decode.Fitted`.
        to: The file to write, which may be ``path``.
        off: Settings that are removed first, so that they have their defaults.

    Raises:
        FileNotFoundError, ValueError: As in :func:`load`; or ``decode`` has no such setting.
        OSError: Writing failed; a file that was there stays.
    """
    checkpoint = read(path)
    config = checkpoint["spanloc"]["config"]
    node = dict(config["module"].get("decode") or {"_target_": "spanloc.decode.Decode"})
    for name in off:
        node.pop(name, None)
    node |= settings
    check({"decode": node})
    config["module"]["decode"] = node
    if "decode" in config:
        config["decode"] = node
    AtomicCheckpointIO().save_checkpoint(checkpoint, to)


def _require_plain(path: Path, value: Any, where: str, left: list[int]) -> None:
    # A list may stand in many places of itself: what is looked at is counted.
    left[0] -= 1
    if left[0] < 0 or where.count(".") + where.count("[") > _DEEPEST:
        raise ValueError(f"{path}: its config is larger or deeper than that of any model")
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{path}: {where} has the key {key!r:.60}; wanted text")
            _require_plain(path, part, f"{where}.{key}", left)
    elif isinstance(value, list):
        for i, part in enumerate(value):
            _require_plain(path, part, f"{where}[{i}]", left)
    elif value == "???" or "${" in str(value) or not isinstance(value, str | int | float | None):
        raise ValueError(f"{path}: {where} is {value!r:.60}; wanted a plain value")


def trust(path: str | Path, config: Any, modules: Sequence[str]) -> None:
    """Raise a ``ValueError`` where a config from a file names an object outside these modules.

    Nothing is imported from elsewhere, and a name that a module merely imported is refused too.
    """
    roots = {module.split(".")[0] for module in modules}
    for where, node in targets(config):
        target = str(node["_target_"])
        if target.split(".")[0] in roots:
            try:
                found = resolve(where, target)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            origin = str(getattr(found, "__module__", ""))
            # A class is built and a function bound, to be called with what it is meant for. A call
            # with arguments from the file could reach compiled loops, which check no bounds.
            inert = isinstance(found, type) or bool(node.get("_partial_"))
            public = not any(part.startswith("_") for part in target.split("."))
            inside = any(f"{origin}.".startswith(f"{module}.") for module in modules)
            if inside and public and (inert or not origin.startswith("spanloc.")):
                continue
        raise ValueError(
            f"{path}: {where} would build {target!r}, which is not a part of a spanloc model; "
            f"{how_to_allow(target)}"
        )
