"""The number that a training run returns, for whoever searches its settings."""

from collections.abc import Mapping
from typing import Any

from spanloc.metrics.metric import SpanMetric
from spanloc.training.task import SpanLocalizer


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


def check_objective(config: Mapping[str, Any], task: SpanLocalizer) -> None:
    """Refuse an objective that ``metrics.json`` will not have, as far as that is known before training."""
    name = objective_name(config)
    known = ["step", "time/train", "data/train_sequences"]
    known += [monitor] if (monitor := _monitor(config)) else []
    open_to = []
    if (config.get("callbacks") or {}).get("convergence"):
        open_to.append("convergence/")
    if config.get("test"):
        tested = _tested(task)
        known += tested or []
        open_to += [] if tested else ["test/"]
    if name is not None and name not in known and not name.startswith(tuple(open_to)):
        raise _unknown(name, [*known, *(f"{prefix}..." for prefix in open_to)])


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


def _tested(task: SpanLocalizer) -> list[str] | None:
    # None where a metric, such as a user's own, has no names before it has seen anything.
    names: list[str] = []
    for metric in task.test_metrics.values():
        if not isinstance(metric, SpanMetric):
            return None
        try:
            names += metric.values(*metric.rows())
        except Exception:  # whatever it may raise
            return None
    return [f"test/{name}" for name in names]


def _unknown(name: str, known: Any) -> ValueError:
    return ValueError(f"objective is {name!r}; metrics.json has {', '.join(known)}")
