"""Run folders of ``spanloc-train``, read as far as they got."""

import csv
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

from spanloc.convergence.result import ConvergenceResult
from spanloc.reports.result import ScoreResult

#: A run without a result is taken to be going while its newest file is younger than this.
GOING_SECONDS = 600
# A result is of an earlier attempt if training wrote to the folder later, by more than it takes to
# copy a folder.
_STALE_SECONDS = 60
# What Ctrl-C and SIGTERM leave in error.txt: no failure of the run.
_STOPPED_BY = ("interrupted", "terminated")
# A config is less than ten deep.
_DEEPEST = 50
_METRICS = ("test/tiou", "test/mAP", "val/tiou", "val/mAP")
_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Run:
    """What a run folder holds. What is missing or cut off is empty, and said in ``problems``.

    ``state`` is ``finished``; ``failed``, with its line in ``error``; ``going``: its newest file is
    younger than :data:`GOING_SECONDS`; ``stopped``, neither finished nor written to any more, with
    ``interrupted`` or ``terminated`` in ``error`` if it was told to; or ``unreadable``.
    """

    folder: Path
    name: str
    state: str
    written: float  # seconds since 1970
    error: str = ""
    problems: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    #: NaN where the file has no number.
    metrics: Mapping[str, float] = field(default_factory=dict)
    convergence: ConvergenceResult | None = None
    scores: ScoreResult | None = None
    #: Columns of the log, one value a step, NaN where nothing was logged; ``step`` is one of them.
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def seed(self) -> int | None:
        """The seed; None if the config does not tell."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def span_loss(self) -> str | None:
        """Name of the trained loss, such as ``giou``; None if the config does not tell."""
        target = _get(self.config, "span_loss", "_target_")
        return target.split(".")[-1].removesuffix("_loss") if isinstance(target, str) else None

    @property
    def metric(self) -> str | None:
        """Name of the metric that the run is judged by: of the test set if it has one."""
        known = [name for name, value in self.metrics.items() if math.isfinite(value)]
        others = sorted(name for name in known if name.startswith(("test/", "val/")))
        return next((name for name in (*_METRICS, *others) if name in known), None)

    @property
    def steps(self) -> int:
        """Optimizer steps that were logged."""
        steps = self.curves.get("step", np.zeros(0))
        return int(steps[-1]) + 1 if len(steps) else 0

    @property
    def epochs(self) -> int:
        """Whole epochs that were logged."""
        epochs = self.curves.get("epoch", np.zeros(0))
        known = np.isfinite(epochs)
        validated = [np.isfinite(v) for k, v in self.curves.items() if k.startswith("val/")]
        ends = epochs[known & np.any(validated, axis=0)] if validated else np.zeros(0)
        # Validation ends an epoch; without it an epoch is known to be over when the next begins.
        return int(max(epochs[known].max(initial=0), ends.max(initial=-1) + 1))

    @property
    def last_loss(self) -> float:
        """Mean span loss of the last 20 mini-batches that were logged; NaN without any."""
        losses = self.curves.get("train/loss_span", np.zeros(0))
        losses = losses[np.isfinite(losses)][-20:]
        return float(losses.mean()) if len(losses) else math.nan

    @property
    def max_epochs(self) -> int | None:
        """Epochs wanted; None if the config does not tell, or sets no limit."""
        most = _get(self.config, "trainer", "max_epochs")
        return most if isinstance(most, int) and most > 0 else None

    @property
    def remarks(self) -> list[str]:
        """What is wrong with it: why it ended, and what could not be read."""
        return [*filter(None, [self.error]), *self.problems]


def read_run(folder: Path, name: str, *, now: float) -> Run:
    """One run, whatever state its files are in. ``name`` is what to call it."""
    try:
        return _read(folder, name, now)
    except Exception as error:  # of whatever kind: the other runs are to be told of all the same
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return Run(folder, name, "unreadable", 0.0, problems=(f"cannot be read: {why}",))


def _read(folder: Path, name: str, now: float) -> Run:
    problems: list[str] = []
    config = _content(folder / "config.yaml", yaml.safe_load, problems) or {}
    metrics = _content(folder / "metrics.json", json.loads, problems) or {}
    convergence = _record(folder / "convergence.json", ConvergenceResult.of, problems)
    scores = _record(folder / "scores.json", ScoreResult.of, problems)
    logs = sorted(folder.glob("csv/version_*/metrics.csv"), key=_version)
    trained_at = max(map(_written, logs), default=0.0)
    newest = max(map(_written, _live_files(folder)), default=0.0)

    def current(file: str) -> bool:
        written = _written(folder / file)
        return written > 0 and written >= trained_at - _STALE_SECONDS

    error = _first_line(folder / "error.txt") if current("error.txt") else ""
    if error:
        state = "stopped" if error in _STOPPED_BY else "failed"
    elif metrics and current("metrics.json") and _complete(config, metrics, folder):
        state = "finished"
    else:
        state = "going" if now - newest < GOING_SECONDS else "stopped"
    return Run(
        folder=folder,
        name=name,
        state=state,
        written=newest,
        error=error,
        problems=tuple(problems),
        config=config,
        metrics={name: _number(value) for name, value in metrics.items()},
        convergence=convergence,
        scores=scores,
        curves=_join(logs),
    )


def _live_files(folder: Path) -> Iterator[Path]:
    for pattern in ("*", "csv/**/*", "tensorboard/**/*"):
        for path in folder.glob(pattern):
            # A report may be written into the folder of a run.
            if path.is_file() and not path.name.startswith("report."):
                yield path


def _complete(config: Mapping[str, Any], metrics: Mapping[str, Any], folder: Path) -> bool:
    # metrics.json is written once before the test, and again after it; without a checkpoint there
    # is nothing to test.
    tested = any(name.startswith("test/") for name in metrics)
    return tested or config.get("test") is False or not any(folder.glob("*.ckpt"))


def _content(path: Path, parse: Callable[[str], Any], problems: list[str]) -> dict[str, Any] | None:
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        content = None
    if not isinstance(content, dict):
        problems.append(f"{path.name} cannot be read")
        return None
    try:
        return _plain(content)
    except ValueError as error:
        problems.append(f"{path.name} cannot be used: {error}")
        return None


def _record(
    path: Path, of: Callable[[Mapping[str, Any]], _Record], problems: list[str]
) -> _Record | None:
    content = _content(path, json.loads, problems)
    try:
        return None if content is None else of(content)
    except ValueError as error:
        problems.append(f"{path.name} cannot be used: {error}")
        return None


def _plain(node: Any, most: int = _DEEPEST) -> Any:
    """A copy with text as keys, which ends, and can be written."""
    if not most:
        raise ValueError(f"it is nested more than {_DEEPEST} deep, or holds itself")
    if isinstance(node, Mapping):
        return {_plain(str(key)): _plain(value, most - 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value, most - 1) for value in node]
    if isinstance(node, str):
        return node.encode(errors="replace").decode()  # JSON may hold half a surrogate pair
    if isinstance(node, int) and abs(node) > sys.float_info.max:
        raise ValueError("it holds a whole number of more than 308 digits")
    return node


def _number(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else math.nan


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "error.txt cannot be read"
    return lines[0].strip() or "error.txt is empty"


def _join(logs: Sequence[Path]) -> dict[str, np.ndarray]:
    # Each log goes on from a checkpoint: it replaces what the one before did after that step.
    rows: dict[int, dict[str, float]] = {}
    for path in logs:
        new = _rows(path)
        first = min(new, default=math.inf)
        rows = {step: row for step, row in rows.items() if step < first} | new
    order = sorted(rows)
    names = sorted({name for row in rows.values() for name in row})
    columns = {name: np.array([rows[s].get(name, math.nan) for s in order]) for name in names}
    return columns | {"step": np.array(order)} if rows else {}


def _rows(path: Path) -> dict[int, dict[str, float]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    rows: dict[int, dict[str, float]] = {}
    # A last line without its end may hold half a number.
    whole = text[: text.rfind("\n") + 1].replace("\0", "")
    for cells in csv.DictReader(whole.splitlines()):
        row = {}
        for name, cell in cells.items():
            try:
                row[str(name)] = float(cell)
            except (TypeError, ValueError):
                continue
        step = row.pop("step", math.nan)
        if math.isfinite(step):
            rows.setdefault(int(step), {}).update(row)
    return rows


def _version(path: Path) -> int:
    number = re.search(r"\d+$", path.parent.name)
    return int(number[0]) if number else -1


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _get(tree: Any, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree
