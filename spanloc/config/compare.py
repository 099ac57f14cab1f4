"""How the settings of a run that is resumed differ from those it had."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# Where a run writes.
_NO_SETTINGS = ("ckpt_path", "name")
_FOLDERS = ("dirpath", "folder", "save_dir")
# Copies of other settings under another name.
_COPIES = {"module.metrics": "metric.metrics", "callbacks.best.monitor": "metric.monitor"}
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
)


class Difference(NamedTuple):
    """One setting that differs: its place in the config, and its values now and before."""

    place: str
    now: Any
    before: Any

    def __str__(self) -> str:
        return f"{self.place} is {self.now!r:.80}, was {self.before!r:.80}"

    @property
    def harmless(self) -> bool:
        """Whether the training goes on as it would have."""
        return self.is_of(_HARMLESS)

    def is_of(self, groups: tuple[str, ...]) -> bool:
        """Whether the setting is one of these, or below one of them."""
        return _below(self.place, groups)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """The settings that differ, each once, though a resolved config holds many in several places.

    >>> differences({"a": {"b": 1}, "copy": {"a": {"b": 1}}}, {"a": {"b": 2}, "copy": {"a": {"b": 2}}})
    [Difference(place='a.b', now=2, before=1)]
    """
    found = [d for d in _differences(before, now, "") if not _below(d.place, _NO_SETTINGS)]
    found = [d for d in found if not _is_folder(d.place)]
    places = {d.place for d in found}

    def is_copy(place: str) -> bool:
        for copy, original in _COPIES.items():
            if _below(place, (copy,)):
                return place.replace(copy, original, 1) in places
        parts = place.split(".")
        return any(".".join(parts[i:]) in places for i in range(1, len(parts)))

    return [d for d in found if not is_copy(d.place)]


def _differences(before: Any, now: Any, place: str) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in {**before, **now}:
            yield from _differences(
                before.get(key), now.get(key), f"{place}.{key}" if place else str(key)
            )
    elif before != now:
        yield Difference(place, now, before)


def _is_folder(place: str) -> bool:
    parts = place.split(".")
    return parts[0] in ("callbacks", "logger") and parts[-1] in _FOLDERS


def _below(place: str, names: tuple[str, ...]) -> bool:
    return any(f"{place}.".startswith(n if n.endswith("_") else f"{n}.") for n in names)
