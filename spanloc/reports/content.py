"""Contents of the files of a run folder, whatever they are."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spanloc.files import one_line, read_bytes, read_json


def content(path: Path, problems: list[str], kind: type = dict) -> Any:
    """The names or the list in a file of JSON or YAML, with text that can be written.

    None where there is no such file, and with a problem where it is of no use. A number above 1e100 in size is
    NaN, unless it is infinite.
    """
    try:
        if path.suffix == ".yaml":
            found = yaml.safe_load(read_bytes(path).decode("utf-8-sig"))
        else:
            found = read_json(path)
        if isinstance(found, kind):
            return _plain(found)
        what = "names" if kind is dict else "list"
        problems.append(f"{path.name} cannot be used: it holds no {what}")
    except FileNotFoundError:
        pass
    except OSError as error:
        problems.append(f"{path.name} cannot be read: {error.strerror}")
    except (ValueError, yaml.YAMLError) as error:
        problems.append(reason(path, error))
    return None


def reason(path: Path, error: Exception) -> str:
    """Why a file cannot be used, in one line."""
    return one_line(f"{path.name} cannot be used: {str(error).removeprefix(f'{path}: ')}")


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
