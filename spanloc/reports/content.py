"""Contents of the files of a run folder, whatever they are."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spanloc.files import one_line, read_bytes, read_json


def read_values(path: Path, kind: type = dict) -> Any:
    """Read a file of JSON or YAML as names or a list, with text that can be written.

    A number above 1e100 in size is NaN, unless it is infinite.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no regular file, or holds something else; the message names the file.
    """
    try:
        if path.suffix == ".yaml":
            found = yaml.safe_load(read_bytes(path).decode("utf-8-sig"))
        else:
            found = read_json(path)
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
        text = read_bytes(path).decode("utf-8", errors="replace")
    except OSError:
        return f"{path.name} cannot be read"
    except ValueError as error:
        return reason(path, error)
    return one_line(text.split("\n")[0]) or f"{path.name} is empty"


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {_plain(str(key)): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if isinstance(node, int | float):
        # Its square would overflow.
        return math.nan if 1e100 < abs(node) < math.inf else node
    # YAML may hold half a surrogate pair, which cannot be written.
    return None if node is None else str(node).encode(errors="replace").decode()
