"""The number that a training run returns, for whoever searches its settings."""

from collections.abc import Mapping
from typing import Any


def objective_name(config: Mapping[str, Any]) -> str | None:
    """The name of the objective in ``metrics.json``: the setting ``objective``, or the monitor of the best checkpoint.

    None where there is neither.
    """
    name = config.get("objective")
    if name is None:
        return _monitor(config)
    if not isinstance(name, str) or not name:
        raise ValueError(f"objective is {name!r}; wanted a name in metrics.json, or null")
    return name


def check_objective(config: Mapping[str, Any]) -> None:
    """Refuse an objective that ``metrics.json`` will not have, as far as that is known before training."""
    name, monitor = objective_name(config), _monitor(config)
    known = ["step", "time/train", "data/train_sequences", *([monitor] if monitor else [])]
    parts = {"convergence/": (config.get("callbacks") or {}).get("convergence")}
    parts["test/"] = config.get("test")
    measured = tuple(part for part, there in parts.items() if there)
    if name is not None and name not in known and not name.startswith(measured):
        raise _unknown(name, [*known, *(f"{part}..." for part in measured)])


def objective_value(config: Mapping[str, Any], metrics: Mapping[str, float]) -> float | None:
    """The objective among the metrics of a run; None where there is none to choose by."""
    name = objective_name(config)
    if name is not None and name not in metrics and config.get("objective") is not None:
        raise _unknown(name, metrics)
    return None if name is None else metrics.get(name)


def _monitor(config: Mapping[str, Any]) -> str | None:
    best = (config.get("callbacks") or {}).get("best") or {}
    monitor: str | None = best.get("monitor")
    return monitor


def _unknown(name: str, known: Any) -> ValueError:
    return ValueError(f"objective is {name!r}; metrics.json has {', '.join(known)}")
