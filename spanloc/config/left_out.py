"""Losses of a checkpoint that need not be built: a model predicts without them."""

from collections.abc import Collection, Mapping
from typing import Any, NoReturn

#: The target in the place of such a loss.
LEFT_OUT = "spanloc.config.left_out.loss_left_out"


def stand_ins(config: Any, roots: Collection[str], place: str = "criterion") -> Any:
    """A copy of the config of a criterion, with :func:`loss_left_out` for each part from another package.

    ``roots`` are the packages that may be built from. The criterion itself is not replaced.
    """
    if isinstance(config, Mapping):
        target = config.get("_target_")
        if "." in place and isinstance(target, str) and target.split(".")[0] not in roots:
            return {"_target_": LEFT_OUT, "_partial_": True, "place": place, "target": target}
        return {key: stand_ins(part, roots, f"{place}.{key}") for key, part in config.items()}
    if isinstance(config, list):
        return [stand_ins(part, roots, f"{place}[{i}]") for i, part in enumerate(config)]
    return config


def loss_left_out(*_: Any, place: str, target: str) -> NoReturn:
    """Stand-in for a loss, or another part of a criterion, that was not allowed: whoever calls it needs it."""
    raise ValueError(
        f"{place} of this model is {target!r}, which was left out when the model was loaded; "
        f"{how_to_allow(target)}"
    )


def how_to_allow(target: str) -> str:
    """The remedy where a target lies in a package that is not allowed, for an error."""
    package = target.split(".")[0] if target.isprintable() else "PACKAGE"
    return f"if you trust it, allow its package: allow=[{package}]"
