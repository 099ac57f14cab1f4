"""The folder of a run: ``error.txt`` where it fails, and no folder of one that wrote nothing."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import walk_tb

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from spanloc.cli.frame import ranks
from spanloc.cli.frame.mistakes import line_of
from spanloc.cli.frame.stopping import code_of, is_child, stopped_by
from spanloc.files import write_text


def run_folder() -> Path:
    """The folder that the current run writes to."""
    return Path(HydraConfig.get().runtime.output_dir)


class FolderTakenError(ValueError):
    """The folder holds another run, which may still be going on: nothing is written to it."""


@contextmanager
def in_run(config: DictConfig) -> Iterator[None]:
    """Let Hydra's settings be those of a run with this config, inside."""
    instance = HydraConfig.instance()
    before = instance.cfg
    instance.set_config(config)
    try:
        yield
    finally:
        instance.cfg = before


@contextmanager
def marking_failure(begin: float, debug: bool = False, sweep: bool = False) -> Iterator[None]:
    """Write the cause to ``error.txt`` if the run inside fails.

    A run that fails before it has written anything leaves no folder that looks like a run, and an earlier
    run there unchanged; but in a ``sweep`` the folder shows which of the runs failed. ``begin`` is in seconds
    since 1970. With ``debug`` errors stay as they are.
    """
    mark, before = run_folder() / "error.txt", None
    if not is_child():
        before = mark.read_text(encoding="utf-8") if mark.is_file() else None
        mark.unlink(missing_ok=True)
    ranks.hush()
    try:
        yield
    except BaseException as error:
        text = stopped_by(error)
        lost = text is None and ranks.lost_another(error)
        if lost:
            text = ranks.cause_of_loss(mark)
        text = text or line_of(error) or type(error).__name__
        if stopped_by(error) is None:
            ranks.leave_to_first(mark)
        results, written = _left_behind(run_folder(), begin)
        other = None
        if isinstance(error, FolderTakenError):  # what is written there is not of this run
            written, sweep = [], False
        earlier = any(path.suffix != ".log" for path in results)
        if written or is_child() or (sweep and not earlier):
            other = ranks.claim(mark, text)
        elif not results:
            _remove(run_folder(), begin)
        elif before is not None:
            with suppress(OSError):
                write_text(mark, before)
        # Another process that knows the cause is about to print it.
        ranks.end_children(patience=5.0 if other else 0.0)
        if stopped_by(error) is None:
            text = other or text
        if code_of(text):
            raise KeyboardInterrupt(text) from error
        if debug:
            raise
        if other and not sweep:
            sys.exit(1)
        if lost or other:
            raise ValueError(text) from error
        raise


@contextmanager
def naming_the_folder(begin: float, started: Callable[[], bool]) -> Iterator[None]:
    """Name the run folder in the error if Hydra cannot write to it, and remove what is left of it."""
    try:
        yield
    except (OSError, ValueError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        folder = None if started() else _made_by_hydra(error)
        if folder is None or not isinstance(cause, OSError):
            raise
        if not _left_behind(folder, begin)[0]:
            _remove(folder, begin)
        if isinstance(error, HydraException):  # a choice that does not exist is an OSError to Hydra
            raise
        why = cause.strerror or cause
        raise OSError(f"the run folder {folder} cannot be written: {why}") from error


def _left_behind(folder: Path, begin: float) -> tuple[list[Path], list[Path]]:
    # All files of runs in the folder, and those that this run wrote; Hydra's own notes are no result.
    results, written = [], []
    for place, inside, names in os.walk(folder):
        links = [name for name in inside if os.path.islink(os.path.join(place, name))]
        for path in (Path(place) / name for name in (*names, *links)):
            with suppress(FileNotFoundError):  # another process may be at work
                state = path.lstat()
                log = path.suffix == ".log"
                note = path.parent.name == ".hydra" or path.name == "multirun.yaml"
                if not note and not (log and not state.st_size):
                    results.append(path)
                    # Clocks of file systems are coarser than ours.
                    if not log and state.st_mtime > begin - 0.1:
                        written.append(path)
    return results, written


def _made_by_hydra(error: BaseException) -> Path | None:
    # The folder of a run that failed while Hydra made it: a full disk gives an error without a path, and
    # what Hydra knew is gone by now.
    for frame, _ in walk_tb(error.__traceback__):
        for name in ("output_dir", "sweep_dir"):
            if name in frame.f_locals:
                return Path(str(frame.f_locals[name])).absolute()
    return None


def _remove(folder: Path, begin: float) -> None:
    # The folder, and those above it that were made for it, below where the command is run.
    for handler in list(logging.getLogger().handlers):
        # A log entry, as the interpreter ends, would open the file again.
        if isinstance(handler, logging.FileHandler):
            logging.getLogger().removeHandler(handler)
            handler.close()
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        for parent in folder.parents:
            if Path.cwd() not in parent.parents or parent.parent.stat().st_mtime < begin:
                break
            parent.rmdir()
