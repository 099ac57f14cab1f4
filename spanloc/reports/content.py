"""Contents of the files of a run folder, whatever they are: bounded in size, depth and time."""

import math
from collections.abc import Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from spanloc.files import read_bytes, read_json

# Bytes. A config has some thousands; YAML takes seconds for as many as this.
_MOST_YAML, _MOST_JSON, _MOST_TEXT = 500_000, 50_000_000, 1_000_000
# Values, with those that aliases repeat. A config has some hundreds.
_MOST_VALUES = {".yaml": 100_000, ".json": 3_000_000}
# A config is less than ten deep.
_DEEPEST = 50
# Of a measurement: what is larger overflows in a variance, what is smaller on a log axis.
_LARGEST, _SMALLEST = 1e100, 1e-100
_MOST_DIGITS = 308


class _Loader(yaml.SafeLoader):
    """YAML without what may take for ever: merge keys, which no config has, and endless numbers."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave merge keys as they are, which then are an error."""

    def construct_scalar(self, node: Any) -> Any:
        """The text of a scalar."""
        text = super().construct_scalar(node)
        if node.tag.endswith((":int", ":float")) and len(text) > _MOST_DIGITS:
            raise ValueError(f"it holds a number of more than {_MOST_DIGITS} digits")
        return text


def read_values(path: Path, kind: type = dict) -> Any:
    """Read a file of JSON or YAML as names or a list, with values that are safe to work with.

    Text can be written, nothing is deeper than 50, and a measurement in JSON is at most 1e100; one below
    1e-100 is zero.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no regular file, too large, or holds something else; the message names the file.
    """
    try:
        if path.suffix == ".yaml":
            text = read_bytes(path, most=_MOST_YAML).decode("utf-8-sig")
            content = yaml.load(text, _Loader)
        else:
            content = read_json(path, most=_MOST_JSON)
        if not isinstance(content, kind):
            raise ValueError(f"it holds no {'names' if kind is dict else 'list'}")  # noqa: TRY301 (worded as the others, below)
        most = _MOST_VALUES[path.suffix]
        return _plain(content, count(1), most, measured=path.suffix != ".yaml")
    except RecursionError:
        raise ValueError(f"{path}: it is nested too deeply") from None
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None


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


def _plain(node: Any, counted: "count[int]", most: int, *, measured: bool, deep: int = 0) -> Any:
    if next(counted) > most:
        raise ValueError(f"it holds more than {most:,} values, with those that aliases repeat")
    if deep == _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep, or holds itself")
    inner = partial(_plain, counted=counted, most=most, measured=measured, deep=deep + 1)
    if isinstance(node, Mapping):
        return {_text(key): inner(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [inner(value) for value in node]
    if isinstance(node, int | float):
        return _number(node) if measured else node
    return None if node is None else _text(node)


def _text(value: Any) -> str:
    # YAML may hold half a surrogate pair, which cannot be written.
    return str(value).encode(errors="replace").decode()


def _number(value: float) -> float:
    if _LARGEST < abs(value) < math.inf:
        raise ValueError(f"it holds {value:.3g}; a measurement is at most {_LARGEST:g}")
    return 0.0 if 0 < abs(value) < _SMALLEST else value
