"""The logs of a run, joined by step."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spanloc.files import read_bytes
from spanloc.reports.content import measured, reason

if TYPE_CHECKING:
    from pandas import DataFrame

_MOST_BYTES = 100_000_000
# What a float counts one by one.
_MOST_STEPS = 2**53


def joined_logs(folder: Path, problems: list[str]) -> dict[str, np.ndarray]:
    """The columns of all logs of a run folder, one value a step; ``step`` is one of them."""
    import pandas as pd

    joined = pd.DataFrame()
    for path in log_files(folder):
        try:
            new = _rows(path)
        except OSError as error:
            problems.append(f"{path.relative_to(folder)} cannot be read: {error.strerror}")
        except (ValueError, csv.Error) as error:
            problems.append(reason(path, error))
        else:
            # Each log goes on from a checkpoint: it replaces what the one before did after that step.
            before = joined[joined.index < new.index.min()] if len(new) else joined
            joined = pd.concat([before, new])
    columns = joined.sort_index().rename_axis("step").reset_index() if len(joined) else joined
    return {name: measured(columns[name].to_numpy(np.float64)) for name in columns}


def log_files(folder: Path) -> Sequence[Path]:
    """The logs of a run folder, the oldest first."""
    found = folder.glob("csv/version_*/metrics.csv")
    return sorted(found, key=lambda path: (len(path.parent.name), path.parent.name))


def _rows(path: Path) -> "DataFrame":
    """One row a step, which is the index: of each column the last value."""
    import pandas as pd

    text = read_bytes(path, most=_MOST_BYTES).decode("utf-8", errors="replace")
    # A last line without its end may hold half a number.
    lines = text[: text.rfind("\n") + 1].replace("\0", "").splitlines()
    # The reader of pandas would take a column without a name for an index. Here it holds what a row has
    # beyond the header.
    cells = pd.DataFrame(csv.DictReader(lines))
    cells = cells.loc[:, cells.columns.notna()]
    columns = cells.columns.union(["step"])
    values = cells.apply(pd.to_numeric, errors="coerce").reindex(columns=columns)
    values = values[values["step"].between(0, _MOST_STEPS, inclusive="left")]
    if "epoch" in values:
        values["epoch"] = values["epoch"].where(values["epoch"].between(0, _MOST_STEPS))
    return values.groupby(values.pop("step").astype(np.int64)).last()
