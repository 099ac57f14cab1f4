"""Contents of the files of a run folder, whatever they are."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from spanloc.files import read_bytes, read_json, shown

# Bytes. A config has some thousands; YAML takes seconds for as many as this.
_MOST_YAML, _MOST_JSON, _MOST_TEXT = 500_000, 50_000_000, 1_000_000
# Of a number: what is larger overflows in a variance, what is smaller on a log axis.
_LARGEST, _SMALLEST = 1e100, 1e-100


def read_values(path: Path, kind: type = dict) -> Any:
    """Read a file of JSON or YAML as names or a list, with values that are safe to work with.

    Text can be written, and a number is at most 1e100, or infinite; one below 1e-100 is zero.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no regular file, too large, or holds something else; the message names the file.
    """
    try:
        if path.suffix == ".yaml":
            found = yaml.safe_load(read_bytes(path, most=_MOST_YAML).decode("utf-8-sig"))
        else:
            found = read_json(path, most=_MOST_JSON)
        if isinstance(found, kind):
            return _plain(found)
        why = f"it holds no {'names' if kind is dict else 'list'}"
    except RecursionError:
        why = "it is nested too deeply"
    except (ValueError, yaml.YAMLError) as error:
        why = str(error).removeprefix(f"{path}: ")
    raise ValueError(f"{path}: {why}")


def content(path: Path, problems: list[str], kind: type = dict) -> Any:
    """As :func:`read_values`; None where there is no such file, and with a problem where it is of no use."""
    try:
        return read_values(path, kind)
    except FileNotFoundError:
        if path.is_symlink():
            problems.append(f"{path.name} cannot be read: it is a link to nothing")
    except OSError as error:
        problems.append(f"{path.name} cannot be read: {error.strerror}")
    except ValueError as error:
        problems.append(reason(path, error))
    return None


def reason(path: Path, error: Exception) -> str:
    """Why a file cannot be used, in one line."""
    return one_line(f"{path.name} cannot be used: {str(error).removeprefix(f'{path}: ')}")


def first_line(path: Path) -> str:
    """The first line of a text; what keeps it from being read, if something does."""
    try:
        text = read_bytes(path, most=_MOST_TEXT).decode("utf-8", errors="replace")
    except OSError:
        return f"{path.name} cannot be read"
    except ValueError as error:
        return reason(path, error)
    return one_line(text.split("\n")[0]) or f"{path.name} is empty"


def one_line(text: str, most: int = 300) -> str:
    """A text without line breaks and what else a terminal acts on, cut where it is long.

    >>> one_line("too many  words", 9)
    'too many…'
    """
    text = " ".join(text[: 2 * most].split())
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def measured(values: np.ndarray) -> np.ndarray:
    """Measurements as they can be drawn: NaN where absurdly large, 0 where absurdly small."""
    size = np.abs(values)
    return np.where(size > _LARGEST, np.nan, np.where(size < _SMALLEST, 0.0, values))


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {_plain(str(key)): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if isinstance(node, int | float):
        if _LARGEST < abs(node) < math.inf:
            raise ValueError(f"it holds {shown(node)}; a number is at most {_LARGEST:g}")
        return 0.0 if 0 < abs(node) < _SMALLEST else node
    # YAML may hold half a surrogate pair, which cannot be written.
    return None if node is None else str(node).encode(errors="replace").decode()
