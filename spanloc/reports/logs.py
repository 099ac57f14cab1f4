"""The logs of a run, joined by step."""

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spanloc.files import read_bytes
from spanloc.reports.content import measured, reason

_MOST_BYTES, _MOST_COLUMNS, _LONGEST_LINE = 100_000_000, 10_000, 1_000_000
# What a float counts one by one.
_MOST_STEPS = 2**53


def joined_logs(folder: Path, problems: list[str]) -> dict[str, np.ndarray]:
    """The columns of all logs of a run folder, one value a step; ``step`` is one of them."""
    # Each log goes on from a checkpoint: it replaces what the one before did after that step.
    rows: dict[int, dict[str, float]] = {}
    for path in log_files(folder):
        try:
            new = _rows(path)
        except OSError as error:
            problems.append(f"{path.relative_to(folder)} cannot be read: {error.strerror}")
            continue
        except (ValueError, csv.Error) as error:
            problems.append(reason(path, error))
            continue
        first = min(new, default=math.inf)
        rows = {step: row for step, row in rows.items() if step < first} | new
    order = sorted(rows)
    names = sorted({name for row in rows.values() for name in row})
    columns = ([rows[step].get(name, math.nan) for step in order] for name in names)
    curves = {n: measured(np.array(c)) for n, c in zip(names, columns, strict=True)}
    return curves | {"step": np.array(order)} if rows else {}


def log_files(folder: Path) -> Sequence[Path]:
    """The logs of a run folder, the oldest first."""
    return sorted(folder.glob("csv/version_*/metrics.csv"), key=_version)


def _rows(path: Path) -> dict[int, dict[str, float]]:
    text = read_bytes(path, most=_MOST_BYTES).decode("utf-8", errors="replace")
    # A last line without its end may hold half a number.
    lines = text[: text.rfind("\n") + 1].replace("\0", "").splitlines()
    if max(map(len, lines), default=0) > _LONGEST_LINE:
        raise ValueError(f"a line has more than {_LONGEST_LINE:,} characters")
    if lines and lines[0].count(",") >= _MOST_COLUMNS:
        raise ValueError(f"it has more than {_MOST_COLUMNS:,} columns")
    rows: dict[int, dict[str, float]] = {}
    for cells in csv.DictReader(lines):
        row = {}
        for name, cell in cells.items():
            try:
                row[str(name)] = float(cell)
            except (TypeError, ValueError):
                continue
        step = row.pop("step", math.nan)
        if 0 <= step < _MOST_STEPS:
            if not 0 <= row.get("epoch", 0) < _MOST_STEPS:
                del row["epoch"]
            rows.setdefault(int(step), {}).update(row)
    return rows


def _version(path: Path) -> int:
    number = re.search(r"\d+$", path.parent.name)
    return int(number[0][:18]) if number else -1
