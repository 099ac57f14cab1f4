"""``spanloc-probe``: a span loss at its minimum."""

import logging
import math
import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text
from torch import Tensor

from spanloc.cli import probe_files, probe_tables
from spanloc.cli.frame.folder import run_folder
from spanloc.cli.frame.show import plain_console
from spanloc.config.build import build
from spanloc.config.checks import check
from spanloc.convergence import (
    Descent,
    DescentResult,
    Forum,
    ProbeResult,
    Trajectories,
    anatomy,
    checked,
    descend,
    forum_cases,
    random_starts,
    second_attempt,
    section,
)
from spanloc.convergence.anatomy import LENGTHS
from spanloc.files import record, require_whole
from spanloc.losses import SpanLoss

log = logging.getLogger(__name__)
Rule = Callable[..., Descent]
_QUICK = 5.0  # seconds that need no word
_MOST_SPREAD = 1e6  # in target lengths
# A pair takes some 60 kB of memory, a step at least some 50 us.
_MOST_PAIRS, _MOST_STEPS, _MOST_LENGTHS = 50_000, 10_000_000, 1000


def run(config: DictConfig) -> None:
    """Run ``spanloc-probe``."""
    begin = time.perf_counter()
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    _check(plain)
    span_loss = build(plain["span_loss"])
    if not callable(span_loss):
        raise ValueError("span_loss is not a function but its result; add span_loss._partial_=true")
    span_loss = checked(span_loss)
    settings = plain["descent"]
    target = torch.tensor(settings["target"], dtype=torch.float64)
    if (given := settings["starts"]) is not None:
        starts = torch.tensor(given, dtype=torch.float64)
    else:
        some, spread = settings["num_pairs"], float(settings["spread"])
        starts = random_starts(target, some, spread=spread, seed=plain["seed"])
    rules = _rules(settings, span_loss, starts, target)

    console, sweep = plain_console(), HydraConfig.get().mode == RunMode.MULTIRUN
    name, precision = _name(), str(span_loss.precision).removeprefix("torch.")
    anatomies = [anatomy(span_loss, float(length)) for length in plain["lengths"]]
    probe_tables.show_match(name, anatomies, precision, span_loss.reason, console)
    descents = _descents(rules, starts, target, console)
    descent = DescentResult.of(descents, starts, target, settings["last"])
    probe_tables.show_descent(name, descent, anatomies, console)
    page = "docs/why-gradients-are-not-zero.md"
    console.print(f"Why a loss of zero may have a gradient: {page}")
    result = ProbeResult(
        span_loss=name,
        precision=precision,
        why_not_float64=span_loss.reason or None,
        config=plain,
        versions={
            "spanloc": version("spanloc"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        forum=Forum(forum_cases(), second_attempt()),
        anatomy=anatomies,
        descent=descent,
    )
    folder = run_folder()
    across = section(span_loss, float(target[1] - target[0]))
    trajectories = Trajectories.of(starts, target, across, descents)
    probe_files.write(folder, result, trajectories, descents)
    console.print(f"Everything is in {folder}")
    if sweep:
        probe_files.write_joint(folder.parent)
        console.print(f"All losses so far are in {folder.parent}")
    log.info("took %.1f s", time.perf_counter() - begin)


def _descents(
    rules: Mapping[str, Rule], starts: Tensor, target: Tensor, console: Console
) -> dict[str, Descent]:
    """The descents under each rule, with a line for each where they take long."""
    found: dict[str, Descent] = {}
    begin = time.perf_counter()
    for number, (name, rule) in enumerate(rules.items(), 1):
        text = f"descent {number} of {len(rules)}: {name}"
        if not console.is_terminal and (number == 1 or time.perf_counter() - begin > _QUICK):
            console.print(text)
        with console.status(Text(text)):
            found[name] = rule(starts, target.expand_as(starts))
    return found


def _check(plain: dict[str, Any]) -> None:
    check(plain)
    settings = plain["descent"]
    require_whole("seed", plain["seed"], 0, 2**32 - 1)
    require_whole("descent.num_pairs", settings["num_pairs"], 1, _MOST_PAIRS)
    require_whole("descent.num_steps", settings["num_steps"], 1, _MOST_STEPS)
    require_whole("descent.last", settings["last"], 1, _MOST_STEPS)
    within = f"above {LENGTHS[0]:g} and up to {LENGTHS[1]:g}"
    lengths = record(list[float], plain["lengths"], "lengths")
    spread = record(float, settings["spread"], "descent.spread")
    target = record(list[float], settings["target"], "descent.target")
    starts = record(list[list[float]] | None, settings["starts"], "descent.starts")
    for name, value, good, wanted in (
        ("lengths", lengths, lengths and all(map(_is_length, lengths)), f"numbers {within}"),
        ("descent.spread", spread, 0 < spread <= _MOST_SPREAD, f"a number above 0 and up to {_MOST_SPREAD:g}"),
        ("descent.target", target, _is_span(target) and _is_length(target[1] - target[0]),
         f"[start, end], start before end, of a length {within}"),
        ("descent.starts", starts, starts is None or (starts and all(map(_is_span, starts))),
         "null or a list of [start, end]"),
    ):  # fmt: skip
        if not good:
            raise ValueError(f"{name} is {value!r}; wanted {wanted}")
    require_whole("number of lengths", len(lengths), 1, _MOST_LENGTHS)
    require_whole("number of descent.starts", len(starts or ()), 0, _MOST_PAIRS)
    rules = settings["rules"]
    if not isinstance(rules, dict) or not any(rules.values()):
        raise ValueError("descent.rules is empty; wanted at least one rule")


def _is_length(value: float) -> bool:
    return LENGTHS[0] < value <= LENGTHS[1]


def _is_span(value: list[float]) -> bool:
    return len(value) == 2 and all(map(math.isfinite, value))


def _rules(
    settings: dict[str, Any], span_loss: SpanLoss, starts: Tensor, target: Tensor
) -> dict[str, Rule]:
    rules: dict[str, Rule] = {}
    for name, parts in settings["rules"].items():
        if parts is None:
            continue
        where = f"descent.rules.{name}"
        if not isinstance(parts, dict) or not parts.get("optimizer"):
            raise ValueError(f"{where} has no optimizer; add +optimizer@{where}.optimizer=sgd")
        unknown = set(parts) - {"optimizer", "scheduler", "num_steps"}
        if unknown:
            raise ValueError(
                f"{where} has no option {sorted(unknown)[0]!r}; it has optimizer, scheduler, num_steps"
            )
        num_steps = parts.get("num_steps", settings["num_steps"])
        require_whole(f"{where}.num_steps", num_steps, 1, _MOST_STEPS)
        if settings["last"] > num_steps:
            raise ValueError(f"descent.last is {settings['last']}, more than the steps of {where}")
        rule = partial(
            descend,
            span_loss,
            optimizer=build(parts["optimizer"]),
            scheduler=build(parts.get("scheduler")),
        )
        _try(where, rule, starts, target)
        rules[name] = partial(rule, num_steps=num_steps, last=settings["last"])
    return rules


def _try(where: str, rule: Rule, starts: Tensor, target: Tensor) -> None:
    # Three steps from a few starts, and from the first of them alone: before all else begins.
    few = starts[:3]
    try:
        together, alone = (
            rule(some, target.expand_as(some), num_steps=3, last=1) for some in (few, few[:1])
        )
    except Exception as error:  # whatever an optimizer that is not made for this may raise
        raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
    if not torch.allclose(together.error[:, :1], alone.error, equal_nan=True):
        raise ValueError(f"{where}: the steps of one pair depend on the other pairs")


def _name() -> str:
    # The choice in the group, or the user's own function, and what was set of its options.
    hydra = HydraConfig.get()
    name, options = hydra.runtime.choices["span_loss"], []
    for override in hydra.overrides.task:
        key, _, value = override.lstrip("+").partition("=")
        if key == "span_loss._target_":
            name = value.rsplit(".")[-1]
        elif key.startswith("span_loss."):
            options.append(f"{key.removeprefix('span_loss.')}={value}")
    return " ".join([name, *options])
