"""Writing files whole or not at all."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path``, which takes its name when the block ends without an error.

    The suffix is kept, since writers of figures go by it. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, content: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Write plain values as JSON, whole or not at all; a number that is not finite becomes null."""
    with replacing(path) as file:
        text = json.dumps(_plain(content), indent=indent, allow_nan=False)
        file.write_text(f"{text}\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    # JSON has no NaN.
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
