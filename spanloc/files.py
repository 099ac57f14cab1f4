"""Files: atomic writes, strict reads, and plain values for records."""

import json
import math
import os
import re
import reprlib
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from inspect import signature
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path``, which takes its name when the block ends without an error.

    Until then, and after a crash or with a full disk, an earlier file of that name stays as it was. The
    suffix is kept, since writers of plots go by it. Missing folders are made.

    Raises:
        OSError: Writing failed; it names ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename replaces a file at once only within one file system.
    temporary = path.with_name(f".spanloc-{os.getpid()}-{path.name}")
    try:
        yield temporary
        # A rename may reach the disk before the content does.
        _flush_to_disk(temporary)
        os.replace(temporary, path)
        _flush_to_disk(path.parent)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    with replacing(path) as file:
        file.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any, *, indent: int | None = 2) -> None:
    """Write plain values or a record as JSON, atomically; a number that is not finite becomes null."""
    text = json.dumps(plain(content), indent=indent)
    if re.search("NaN|Infinity", text):  # JSON has neither; a text may have
        text = json.dumps(json.loads(text, parse_constant=lambda _: None), indent=indent)
    write_text(path, f"{text}\n")


def read_bytes(path: str | Path, *, most: int | None = None) -> bytes:
    """The content of a regular file; anything else, such as a pipe, may block for ever, and is refused.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no regular file, or has more than ``most`` bytes.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise ValueError(f"{path}: {kind}; wanted a file")
    with open(path, "rb") as file:
        content = file.read() if most is None else file.read(most + 1)
    if most is not None and len(content) > most:
        raise ValueError(f"{path}: the file is larger than {most / 1e6:g} MB")
    return content


def read_json(path: str | Path, *, most: int | None = None) -> Any:
    """The content of a JSON file; see :func:`parse_json` and :func:`read_bytes`, also for errors."""
    content = read_bytes(path, most=most)
    if not content.strip():
        raise ValueError(f"{path}: the file is empty; wanted JSON")
    try:
        return parse_json(content)
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from None


def read_record(path: str | Path, of: Callable[[Any], Any], what: str) -> Any:
    """The record in a JSON file, which ``of`` makes of plain values.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not ``what``; it names the file, and the field.
    """
    try:
        return of(read_json(path))
    except ValueError as error:
        why = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: not {what}: {why}") from None


def parse_json(content: bytes) -> Any:
    """The value of strict JSON: no name twice in an object, and no text that cannot be written again.

    ``NaN`` and ``Infinity``, which many programs write, are read as numbers, and so is a number too large
    for a float, as infinite: whoever knows the field refuses it.

    Raises:
        ValueError: It is not such JSON; the message is one line.

    >>> parse_json(b'{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    try:
        text = content.decode(json.detect_encoding(content))
        value = _DECODER.decode(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError as error:
        near = error.object[max(0, error.start - 20) : error.start + 20]
        raise ValueError(f"near {near!a} is half a surrogate pair, which is no character") from None
    return value


# Of a pair or without its other half; or no character at all, since a backslash may be escaped itself.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # The last one would win, and the others be lost without a word.
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"{shown(twice)} is there twice in one object")
    return found


def _whole(digits: str) -> int | float:
    # Python refuses to read more than 4300 digits, and has no float for more than 308.
    return int(digits) if len(digits) < 300 else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole)

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxlong, _SHORT.maxother = 3, 80, 40, 60


def shown(value: Any) -> str:
    """``repr`` for an error: on one line, and cut where it is long or deep.

    >>> shown(["x", 1e999, None])
    "['x', inf, None]"
    """
    return _SHORT.repr(value)


def one_line(text: str, most: int = 300) -> str:
    """A text without line breaks and what else a terminal acts on, cut where it is long.

    >>> one_line("too many  words", 9)
    'too many…'
    """
    text = " ".join(text[: 2 * most].split())
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def counted(count: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "span"), counted(2000, "span")
    ('1 span', '2,000 spans')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def time_text(seconds: float) -> str:
    """A length of time with its units; from an hour on without seconds.

    >>> time_text(1.284), time_text(754), time_text(164000)
    ('1.28 s', '12 min 34 s', '45 h 33 min')
    """
    if round(seconds) < 60:
        return f"{seconds:.3g} s"
    many, few, size = ("min", "s", 1) if round(seconds) < 3600 else ("h", "min", 60)
    whole, rest = divmod(round(seconds / size), 60)
    return f"{whole} {many} {rest} {few}" if rest else f"{whole} {many}"


def pip_install(extra: str) -> str:
    """The command that installs an extra, for an error.

    >>> print(pip_install("wandb"))
    pip install 'spanloc[wandb]' (in a clone: '.[wandb]')
    """
    return f"pip install 'spanloc[{extra}]' (in a clone: '.[{extra}]')"


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a nested mapping, each with its dotted name.

    >>> [*leaves({"a": {"b": 1}, "c": [2]})]
    [('a.b', 1), ('c', [2])]
    """
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


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
    """The record of plain values, as :func:`plain` and :func:`write_json` make them.

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
        if missing := wanted.keys() - _defaults(kind) - found.keys():
            raise ValueError(f"{_place(where, min(missing))} is missing")
        if unknown := found.keys() - wanted:
            raise ValueError(f"{_place(where, min(unknown))} is unknown")
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
    wanted = _WORDS.get(origin or kind, getattr(kind, "__name__", kind))
    raise ValueError(f"{where or 'it'} is {value!r:.60}; wanted {wanted}")


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_WORDS |= {list: "a list", tuple: "a list", dict: "names with values"}


def _defaults(kind: Any) -> set[str]:
    if is_typeddict(kind):
        return {*kind.__optional_keys__}
    return {p.name for p in signature(kind).parameters.values() if p.default is not p.empty}


def _place(where: str, name: Any) -> str:
    return f"{where}.{name}" if where else str(name)


def require_whole(name: str, value: Any, least: int, most: float = math.inf) -> None:
    """Raise a ``ValueError`` where a setting is no whole number, or out of range."""
    if type(value) is not int or not least <= value <= most:
        limit = f" and at most {most}" if most < math.inf else ""
        raise ValueError(f"{name} is {value!r}; wanted a whole number, at least {least}{limit}")
