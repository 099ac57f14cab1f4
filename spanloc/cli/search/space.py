"""The parameters of a search: ``hparams_search`` as Optuna's distributions, and their values as settings."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from spanloc.files import record

_KEYS = ("low", "high", "log", "step", "choices")
_WANTED = "wanted {low, high}, with log or step if need be, or {choices}"


class _Range(NamedTuple):
    low: float
    high: float
    step: float | None = None
    log: bool = False


def search_space(config: Mapping[str, Any] | None) -> dict[str, BaseDistribution]:
    """The distributions of a search, by the names of the settings.

    Args:
        config: As in ``configs/hparams_search``: ``{"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log":
            True}}``. Names may also be nested; null takes a parameter out; of one that comes twice the
            last holds.

    >>> search_space({"a": {"b": {"low": 1, "high": 4}}})
    {'a.b': IntDistribution(high=4, log=False, low=1, step=1)}
    """
    found: dict[str, dict[str, Any]] = {}
    for name, node in _flat(config or {}, ""):
        if node is None:
            found.pop(name, None)
        elif "choices" in node or {"low", "high"} <= node.keys():
            found[name] = dict(node)
        else:
            found[name] = {**found.get(name, {}), **node}
    return {name: _distribution(name, node) for name, node in found.items()}


def override(name: str, value: Any) -> str:
    """A setting of the command line; text is not quoted.

    >>> override("optimizer.lr", 1e-4), override("transforms", "[speed,jitter]"), override("x", None)
    ('optimizer.lr=0.0001', 'transforms=[speed,jitter]', 'x=null')
    """
    return f"{name}={_text(value)}"


def ends(space: Mapping[str, BaseDistribution]) -> Iterator[dict[str, Any]]:
    """A few combinations that hold every choice and both ends of every range."""
    values = {
        # search_space() gives no other kinds; the base class does not say that they have ends.
        name: kind.choices if isinstance(kind, CategoricalDistribution) else (kind.low, kind.high)  # type: ignore[attr-defined]
        for name, kind in space.items()
    }
    for i in range(max(map(len, values.values()), default=0)):
        yield {name: some[i % len(some)] for name, some in values.items()}


def _flat(node: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    for key, value in node.items():
        name = f"{place}.{key}" if place else str(key)
        if value is None or (isinstance(value, Mapping) and set(_KEYS) & value.keys()):
            yield name, value
        elif isinstance(value, Mapping) and value:
            yield from _flat(value, name)
        else:
            raise ValueError(f"hparams_search: {name} is {value!r}; {_WANTED}")


def _distribution(name: str, node: Mapping[str, Any]) -> BaseDistribution:
    where = f"hparams_search: {name}"
    if unknown := [key for key in node if key not in _KEYS]:
        raise ValueError(f"{where} has no {unknown[0]!r}; {_WANTED}")
    if "choices" in node:
        choices = record(list[Any], node["choices"], f"{where}.choices")
        if len(node) > 1 or not choices:
            raise ValueError(f"{where} is {dict(node)}; {_WANTED}")
        return CategoricalDistribution([_choice(where, value) for value in choices])
    low, high, step, log = record(_Range, node, where)
    try:
        if any(isinstance(value, float | str) for value in node.values()):
            return FloatDistribution(low, high, log, step)
        return IntDistribution(int(low), int(high), log, 1 if step is None else int(step))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _choice(where: str, value: Any) -> Any:
    # Optuna keeps plain values only; a list is what it is on the command line.
    if isinstance(value, Mapping):
        raise ValueError(f"{where}.choices has {value!r}; wanted numbers, names or lists of these")
    return _text(value) if isinstance(value, list) else value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
