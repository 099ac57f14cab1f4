"""Differences between the settings of a run that is resumed and those it had."""

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any, NamedTuple

from spanloc.config.build import resolve
from spanloc.data.sound import AS_THEY_ARE

# Where a run writes.
_NO_SETTINGS = ("ckpt_path", "name")
_FOLDERS = ("dirpath", "folder", "save_dir")
# Copies of other settings under another name.
_COPIES = {"module.metrics": "metric.metrics", "callbacks.best.monitor": "metric.monitor"}
# Where null is the same as a word.
_NULL = {"data.features": AS_THEY_ARE}
# What changes neither the training nor its result.
_HARMLESS = (
    "test",
    "logger",
    "objective",
    "decode",
    "callbacks.progress",
    "callbacks.gradients",
    "callbacks.convergence",
    "callbacks.last.every_minutes",
    "trainer.enable_",
    "trainer.log_every_n_steps",
    "trainer.num_sanity_val_steps",
    "trainer.plugins",
    "trainer.profiler",
    "data.num_workers",
    "localizer.checkpointing",
)


class Difference(NamedTuple):
    """A setting that differs: its place in the config, and its values now and before."""

    place: str
    now: Any
    before: Any

    def __str__(self) -> str:
        return f"{self.place} is {self.now!r:.80}, was {self.before!r:.80}"

    @property
    def harmless(self) -> bool:
        """True if the training goes on as it would have without it."""
        return self.is_of(_HARMLESS)

    def is_of(self, groups: tuple[str, ...]) -> bool:
        """True if the setting is one of these, below one of them, or begins with one that ends in ``_``."""
        place = f"{self.place}."
        return any(place.startswith(n if n.endswith("_") else f"{n}.") for n in groups)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """The settings that differ, each once, though a resolved config holds many in several places.

    >>> differences({"a": {"b": 1}, "copy": {"a": {"b": 1}}}, {"a": {"b": 2}, "copy": {"a": {"b": 2}}})
    [Difference(place='a.b', now=2, before=1)]
    """
    found = [d for d in _differences(before, now, "") if not _is_place(d)]
    places = {d.place for d in found}

    def is_copy(d: Difference) -> bool:
        for copy, original in _COPIES.items():
            if d.is_of((copy,)):
                return d.place.replace(copy, original, 1) in places
        parts = d.place.split(".")
        return any(".".join(parts[i:]) in places for i in range(1, len(parts)))

    return [d for d in found if not is_copy(d)]


def _differences(before: Any, now: Any, place: str) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        same = before.get("_target_") == now.get("_target_")
        for key in {**before, **now}:
            # A run may be older than an option: it had what is the default.
            old = before.get(key, _default(now, key) if same else None)
            yield from _differences(old, now.get(key), f"{place}.{key}" if place else str(key))
    elif (
        before is None
        and isinstance(now, Mapping)
        and {*now.values()} == {now.get("_target_"), None}
    ):
        return  # A part of which nothing is set does nothing.
    elif _said(place, before) != _said(place, now):
        yield Difference(place, now, before)


def _said(place: str, value: Any) -> Any:
    return _NULL.get(place) if value is None else value


def _default(node: Mapping[str, Any], option: str) -> Any:
    if "_target_" not in node:
        return None
    parameter = signature(resolve("config", node["_target_"])).parameters.get(option)
    return None if parameter is None or parameter.default is parameter.empty else parameter.default


def _is_place(d: Difference) -> bool:
    parts = d.place.split(".")
    folder = parts[0] in ("callbacks", "logger") and parts[-1] in _FOLDERS
    return folder or d.is_of(_NO_SETTINGS)
