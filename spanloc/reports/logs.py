"""The logs of a run, joined by step."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spanloc.files import read_bytes
from spanloc.reports.content import reason

if TYPE_CHECKING:
    from pandas import DataFrame


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
    return {name: columns[name].to_numpy(np.float64) for name in columns}


def log_files(folder: Path) -> Sequence[Path]:
    """The logs of a run folder, the oldest first."""
    found = folder.glob("csv/version_*/metrics.csv")
    return sorted(found, key=lambda path: (len(path.parent.name), path.parent.name))


def _rows(path: Path) -> "DataFrame":
    """One row a step, which is the index: of each column the last value."""
    import pandas as pd

    text = read_bytes(path).decode("utf-8", errors="replace")
    # A last line without its end may hold half a number.
    lines = text[: text.rfind("\n") + 1].replace("\0", "").splitlines()
    # The reader of pandas would take a column without a name for an index. Here it holds what a row has
    # beyond the header.
    cells = pd.DataFrame(csv.DictReader(lines))
    cells = cells.loc[:, cells.columns.notna()]
    columns = cells.columns.union(["step"])
    values = cells.apply(pd.to_numeric, errors="coerce").reindex(columns=columns)
    # What a logarithmic axis can show, and what a float counts one by one.
    values = values.where((values == 0) | ((values.abs() > 1e-100) & (values.abs() < 1e100)))
    values = values[values["step"].between(0, 2**53, inclusive="left")]
    return values.groupby(values.pop("step").astype(np.int64)).last()
