"""Losses of a checkpoint that need not be built: a model predicts without them."""

from collections.abc import Collection, Mapping
from typing import Any, NoReturn

#: The target in the place of such a loss.
LEFT_OUT = "spanloc.config.left_out.loss_left_out"


def stand_ins(config: Any, roots: Collection[str], place: str = "criterion") -> Any:
    """The config of a criterion, with :func:`loss_left_out` for each part of it from another package.

    Args:
        config: Plain values, from a file. It stays as it is.
        roots: The packages that may be built from.
        place: Of the config, for errors. The criterion itself is not replaced.
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
    """Stand-in for a loss, or another part of a criterion, that was not allowed.

    Args:
        place: Of the part in the config.
        target: The name that the config has there.

    Raises:
        ValueError: Always: whoever calls it needs the part.
    """
    package = target.split(".")[0] if target.isprintable() else "PACKAGE"
    raise ValueError(
        f"{place} of this model is {target!r}, which was left out when the model was loaded; if you "
        f"trust it, allow its package: allow=[{package}]"
    )
