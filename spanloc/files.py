"""Files: atomic writes, and plain values for records."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict


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


def write_json(path: str | Path, content: Any, *, indent: int | None = 2) -> None:
    """Write plain values or a record as JSON, atomically; a number that is not finite becomes null."""
    with replacing(path) as file:
        text = json.dumps(_finite(plain(content)), indent=indent, allow_nan=False)
        file.write_text(f"{text}\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """Dataclasses and named tuples as dictionaries, tuples as lists, at any depth; other values as they are."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def record(kind: Any, value: Any, where: str = "") -> Any:
    """Plain values as the record that :func:`plain` or :func:`write_json` got.

    Args:
        kind: A dataclass, named tuple or typed dictionary, ``dict[str, X]``, ``list[X]``,
            ``tuple[X, Y]``, ``X | None``, ``float``, ``int``, ``bool``, ``str`` or ``Any``. A float may
            be null, which is NaN, or the text ``inf`` or ``-inf``.
        value: As JSON has it.
        where: Place of the value, for errors.

    Raises:
        ValueError: A field is missing, unknown or of another type; it is named.

    >>> record(dict[str, float], {"a": 1, "b": "inf"})
    {'a': 1.0, 'b': inf}
    """
    if kind is Any:
        return value
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if value is None else record(parts[0], value, where)
    if is_dataclass(kind) or is_typeddict(kind) or hasattr(kind, "_fields"):
        wanted = get_type_hints(kind)
        found = record(dict[str, Any], value, where)
        for names, what in (
            (wanted.keys() - found, "is missing"),
            (found.keys() - wanted, "is unknown"),
        ):
            if names:
                raise ValueError(f"{_place(where, min(names))} {what}")
        return kind(**{n: record(wanted[n], v, _place(where, n)) for n, v in found.items()})
    if origin is dict and isinstance(value, Mapping):
        return {str(n): record(parts[1], v, _place(where, n)) for n, v in value.items()}
    if origin is list and isinstance(value, list | tuple):
        return [record(parts[0], v, f"{where}[{i}]") for i, v in enumerate(value)]
    if origin is tuple and isinstance(value, list | tuple) and len(value) == len(parts):
        return tuple(record(k, v, where) for k, v in zip(parts, value, strict=True))
    if kind is float and value in (None, "inf", "-inf"):
        return math.nan if value is None else float(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (int, bool, str) and type(value) is kind:
        return value
    raise ValueError(f"{where or 'it'} is {value!r:.60}; wanted {getattr(kind, '__name__', kind)}")


def _place(where: str, name: Any) -> str:
    return f"{where}.{name}" if where else str(name)


def _finite(value: Any) -> Any:
    # JSON has no NaN.
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
