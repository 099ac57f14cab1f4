"""Run folders of ``spanloc-train``: found, and read as far as they got."""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from spanloc.convergence.result import ConvergenceResult
from spanloc.files import one_line, read_bytes, record
from spanloc.reports.content import content, reason
from spanloc.reports.logs import joined_logs, log_files
from spanloc.reports.result import ScoreResult

#: A run without a result is taken to be going while its newest file is younger than this.
GOING_SECONDS = 600
# A result is of an earlier attempt if training wrote to the folder later, by more than it takes to
# copy a folder.
_STALE_SECONDS = 60
# What Ctrl-C, SIGTERM, SIGHUP and a search leave in error.txt: no failure of the run.
_STOPPED_BY = ("interrupted", "terminated", "hung up", "killed", "pruned")
_METRICS = ("test/tiou", "test/mAP", "val/tiou", "val/mAP")
_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Run:
    """Contents of a run folder. What is missing or cut off is empty, and named in ``problems``.

    ``state`` is ``finished``; ``failed``, with its line in ``error``; ``going``: its newest file is
    younger than :data:`GOING_SECONDS`; ``stopped``, neither finished nor written to any more, with
    the word of a signal, such as ``terminated``, in ``error`` if one ended it; or ``unreadable``.
    """

    folder: Path
    name: str
    state: str
    written: float  # seconds since 1970
    error: str = ""
    problems: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    #: What the command line set, by name; None if it is not known.
    overrides: Mapping[str, str] | None = None
    #: NaN where the file has no number.
    metrics: Mapping[str, float] = field(default_factory=dict)
    convergence: ConvergenceResult | None = None
    scores: ScoreResult | None = None
    #: Columns of the log, one value a step, NaN where nothing was logged; ``step`` is one of them.
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def seed(self) -> int | None:
        """The seed; None if the config has none."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def draw(self) -> str | None:
        """What was drawn: the seed, and the split seed and fold where they are set; None if there is no seed.

        Such as ``"0"``, or ``"0, fold 2"``.
        """
        split = _get(self.config, "data", "split_seed")
        fold = _get(self.config, "data", "fold")
        more = f", split {split}" if split else ""
        more += f", fold {fold}" if fold is not None else ""
        return None if self.seed is None else f"{self.seed}{more}"

    @property
    def span_loss(self) -> str | None:
        """Name of the trained loss, such as ``giou``; None if the config has none."""
        target = _get(self.config, "span_loss", "_target_")
        if not isinstance(target, str):
            return None
        return (self.overrides or {}).get("span_loss", target.split(".")[-1].removesuffix("_loss"))

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
        steps = self.curves.get("step", np.zeros(0))
        epochs = self.curves.get("epoch", np.full(len(steps), np.nan))
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
        """Epochs wanted; None if the config sets no limit."""
        most = _get(self.config, "trainer", "max_epochs")
        return most if isinstance(most, int) and most > 0 else None

    @property
    def remarks(self) -> list[str]:
        """Problems: why it ended, and what could not be read."""
        return [*filter(None, [self.error]), *self.problems]


def find_runs(places: Sequence[str | Path], *, now: float) -> list[Run]:
    """All runs in these folders and below them, in the order of their paths.

    A run is a folder that holds a ``config.yaml``, or, if it ended earlier, a ``train.log``. Links to folders are followed; a run that is
    reached twice counts once. A folder that cannot be looked into is listed as ``unreadable``.

    Args:
        places: Folders; each may be a run itself.
        now: Seconds since 1970, by which a run is going or stopped.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There is no run in it.
    """
    found: dict[Path, Run] = {}
    for place in map(Path, places):
        if not place.is_dir():
            raise FileNotFoundError(f"{place}: no such folder (runs)")
        folders = _run_folders(place)
        if all(folders.values()):
            closed = "".join(f"; {folder} {why}" for folder, why in folders.items())
            raise ValueError(
                f"{place}: no run in this folder or below it (runs); wanted a config.yaml, "
                f"as spanloc-train writes it{closed}"
            )
        for folder, why in folders.items():
            if folder.resolve() in found:
                continue
            # As short as tells them apart; a name need not be text that can be shown.
            short = len(places) == 1 and folder != place
            path = os.fsencode(folder.relative_to(place) if short else folder)
            name = one_line(path.decode(errors="replace"), most=len(path))
            unreadable = Run(folder, name, "unreadable", written=0.0, problems=(why,))
            found[folder.resolve()] = unreadable if why else read_run(folder, name, now=now)
    return [found[folder] for folder in sorted(found)]


def _run_folders(place: Path) -> dict[Path, str]:
    """The folders with a run, and those that cannot be looked into, with the reason."""
    found: dict[Path, str] = {}

    def close(error: OSError) -> None:
        found[Path(error.filename)] = f"the folder cannot be read: {error.strerror}"

    been: set[str] = set()
    for folder, inside, files in os.walk(place, onerror=close, followlinks=True):
        real = os.path.realpath(folder)
        if real in been:  # a link may lead back to a folder above
            inside.clear()
            continue
        been.add(real)
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        # Also where it is none that can be read: that is said then.
        if {"config.yaml", "train.log"} & {*files, *inside}:
            found[Path(folder)] = ""
    return found


def read_run(folder: Path, name: str, *, now: float) -> Run:
    """Read one run, whatever state its files are in, and give it a name."""
    try:
        return _read(folder, name, now)
    except Exception as error:  # of whatever kind: the other runs are reported all the same
        why = one_line(f"{type(error).__name__}: {error}")
        return Run(folder, name, "unreadable", 0.0, problems=(f"cannot be read: {why}",))


def _read(folder: Path, name: str, now: float) -> Run:
    problems: list[str] = []
    # Where training did not begin there is only what Hydra has written.
    began = (folder / "config.yaml").exists()
    settings = folder if began else folder / ".hydra"
    config = content(settings / "config.yaml", problems) or {}
    given = content(settings / "overrides.yaml", problems, list)
    metrics = content(folder / "metrics.json", problems) or {}
    convergence = _record(folder / "convergence.json", ConvergenceResult.of, problems)
    scores = _record(folder / "scores.json", partial(record, ScoreResult), problems)
    curves = joined_logs(folder, problems)
    trained_at = max(map(_written, log_files(folder)), default=0.0)
    newest = max(map(_written, _live_files(folder)), default=0.0)

    def current(file: str) -> bool:
        written = _written(folder / file)
        return written > 0 and written >= trained_at - _STALE_SECONDS

    error = ""
    if current("error.txt"):
        text = read_bytes(folder / "error.txt").decode("utf-8", errors="replace")
        error = one_line(text.split("\n")[0]) or "error.txt is empty"
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
        overrides=None if given is None else _by_name(given),
        metrics={name: _number(value) for name, value in metrics.items()},
        convergence=convergence,
        scores=scores,
        curves=curves,
    )


def _by_name(overrides: Sequence[Any]) -> dict[str, str]:
    pairs = [str(text).lstrip("+~").partition("=") for text in overrides]
    return {name: value for name, _, value in pairs}


def _live_files(folder: Path) -> Iterator[Path]:
    for pattern in ("*", "csv/**/*", "tensorboard/**/*"):
        for path in folder.glob(pattern):
            # A report may be written into the folder of a run.
            if path.is_file() and not path.name.startswith("report."):
                yield path


def _complete(config: Mapping[str, Any], metrics: Mapping[str, Any], folder: Path) -> bool:
    # metrics.json grows: when training ends, after the measurement, after the test. Without a
    # checkpoint there is nothing to test.
    tested = any(name.startswith("test/") for name in metrics)
    measured = any(name.startswith("convergence/") for name in metrics)
    measures = _get(config, "callbacks", "convergence") is not None
    no_test = config.get("test") is False or not any(folder.glob("*.ckpt"))
    return tested or (no_test and (measured or not measures))


def _record(
    path: Path, of: Callable[[Mapping[str, Any]], _Record], problems: list[str]
) -> _Record | None:
    found = content(path, problems)
    try:
        return None if found is None else of(found)
    except ValueError as error:
        problems.append(reason(path, error))
        return None


def _number(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else math.nan


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _get(tree: Any, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree
