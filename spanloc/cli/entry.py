"""What all commands share: Hydra around a function, and one line for a user's mistake."""

import gc
import logging
import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from spanloc.cli.cores import limit_threads
from spanloc.cli.known import refuse_others
from spanloc.cli.launchers import LAUNCHERS
from spanloc.cli.mistakes import is_mistake, line_of
from spanloc.cli.ranks import (
    cause_of_loss,
    claim,
    end_children,
    hush,
    leave_to_first,
    leaving_no_group,
    lost_another,
    refuse_started,
    without_kill,
)
from spanloc.cli.resume import for_hydra, how_to_resume
from spanloc.cli.stopping import code_of, is_child, stopped_by, when_stopped
from spanloc.cli.sweeps import FailedRunError, begin_sweep, noted, with_short_names
from spanloc.files import replacing


def run(name: str) -> None:
    """Run the command ``spanloc-<name>``: ``run`` of ``spanloc.cli.<name>`` on its config.

    That module is imported when it runs, so that help and mistakes in settings come at once.

    A mistake of the user ends in one line on stderr and exit code 1; with ``HYDRA_FULL_ERROR=1``
    it ends in a traceback.
    """
    begin = time.time()
    _quieten()
    # A loss of the user's own may lie where the command is run.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    register()
    outcome = begin_sweep()
    debug = os.environ.get("HYDRA_FULL_ERROR") == "1"

    def line(text: str) -> str:
        return f"spanloc-{name}: {text if code_of(text) else f'error: {text}'}"

    @contextmanager
    def one_line() -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if debug or not is_mistake(error):
                raise
            if not started:
                leave_to_first()
            sys.exit(line(line_of(error, name)))

    started = False

    def once(config: DictConfig, sweep: bool) -> Any:
        group = leaving_no_group() if sweep else nullcontext()
        with group, marking_failure(begin, debug, sweep):
            _refuse_several(config)
            first = f"spanloc.cli.{name}" not in sys.modules
            with _without_collecting() if first else nullcontext():
                module = import_module(f"spanloc.cli.{name}")
            limit_threads()
            _quieten()  # again: Lightning sets its level when it is imported
            mark = run_folder() / "error.txt"
            if name in ("train", "tune") and not sweep:
                when_stopped(partial(how_to_resume, name, mark.parent))
            with (
                without_kill(mark, lambda text: print(line(text), file=sys.stderr), sweep),
                _full_errors(debug),
            ):
                # Whoever sweeps goes by what a run returns.
                return module.run(config)

    def job(config: DictConfig) -> Any:
        nonlocal started
        started = True
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return noted(lambda: once(config, True), debug)
        with one_line():
            return once(config, False)

    with one_line(), _full_errors(True):
        refuse_others(sys.argv[1:], name)
        sys.argv[1:] = with_short_names(for_hydra(sys.argv[1:], name))
        refuse_started(name, sys.argv[1:])
        try:
            hydra.main("pkg://spanloc.configs", name, version_base="1.3")(job)()
        except FailedRunError:
            if not outcome.failed:  # of a launcher that is not ours
                raise
        except (OSError, ValueError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            folder = None if started else _made_by_hydra(error)
            if folder is None or not isinstance(cause, OSError):
                raise
            if not _left_behind(folder, begin)[0]:
                _remove(folder, begin)
            why = cause.strerror or cause
            raise OSError(f"the run folder {folder} cannot be written: {why}") from error
    if name == "train" and (text := outcome.comparison()):
        print(text)
    if text := outcome.message():
        sys.exit(line(text))


@contextmanager
def _without_collecting() -> Iterator[None]:
    # What is imported stays: to look through it for garbage, again and again, is a third of the time of a
    # short command.
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.freeze()
            gc.enable()


def run_folder() -> Path:
    """The folder that the current run writes to."""
    return Path(HydraConfig.get().runtime.output_dir)


def _refuse_several(config: DictConfig) -> None:
    # Of a list, Hydra would lay one choice over the other and keep a mix of both.
    for override in HydraConfig.get().overrides.task:
        name, _, value = override.lstrip("+").partition("=")
        group = config.get(name) if "." not in name else None
        if value.startswith("[") and isinstance(group, DictConfig) and "_target_" in group:
            several = f"; -m {name}={value.strip('[]')} runs one after the other"
            both = " and span_loss=giou_l1 adds up several" if name == "span_loss" else ""
            raise ValueError(f"{name} is {value}; wanted one choice{several}{both and ',' + both}")


@contextmanager
def _full_errors(wanted: bool) -> Iterator[None]:
    # Without this Hydra prints errors by itself, in several lines, and exits. Further processes of the
    # run must find it as the user has set it.
    before = os.environ.pop("HYDRA_FULL_ERROR", None)
    if wanted:
        os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


@contextmanager
def marking_failure(begin: float, debug: bool = False, sweep: bool = False) -> Iterator[None]:
    """A run inside that fails says why in ``error.txt``.

    What fails before it has written anything leaves no folder that looks like a run, and an earlier run
    there as it was.

    Args:
        begin: When the run began, in seconds since 1970.
        debug: Errors stay as they are.
        sweep: It is one of several, whose folder stays, to say which of them failed.
    """
    mark, before = run_folder() / "error.txt", None
    if not is_child():
        before = mark.read_text(encoding="utf-8") if mark.is_file() else None
        mark.unlink(missing_ok=True)
    hush()
    try:
        yield
    except BaseException as error:
        text = stopped_by(error)
        lost = text is None and lost_another(error)
        if lost:
            text = cause_of_loss(mark)
        text = text or line_of(error) or type(error).__name__
        if stopped_by(error) is None:
            leave_to_first(mark)
        results, written = _left_behind(run_folder(), begin)
        other = None
        earlier = any(path.suffix != ".log" for path in results)
        if written or is_child() or (sweep and not earlier):
            other = claim(mark, text)
        elif not results:
            _remove(run_folder(), begin)
        elif before is not None:
            with suppress(OSError), replacing(mark) as path:
                path.write_text(before, encoding="utf-8")
        # Another process that knows the cause is about to say it.
        end_children(patience=5.0 if other else 0.0)
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


def _left_behind(folder: Path, begin: float) -> tuple[list[Path], list[Path]]:
    # All files that a run writes, and those of this one; not what Hydra notes of every run.
    results, written = [], []
    for place, _, names in os.walk(folder):
        for path in (Path(place) / name for name in names):
            with suppress(FileNotFoundError):  # another process may be at work
                state = path.stat()
                log = path.suffix == ".log"
                if path.parent.name != ".hydra" and not (log and not state.st_size):
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
        # Whoever logged on, as the interpreter ends, would open the file again.
        if isinstance(handler, logging.FileHandler):
            logging.getLogger().removeHandler(handler)
            handler.close()
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        for parent in folder.parents:
            if Path.cwd() not in parent.parents or parent.parent.stat().st_mtime < begin:
                break
            parent.rmdir()


def register() -> None:
    """Make known to Hydra what the configs name: a resolver, and the launchers."""
    OmegaConf.register_new_resolver("folder", _folder, replace=True)
    # Hydra takes plugins of this namespace only, and finds no package there that is installed as editable.
    known = Plugins.instance().class_name_to_class
    known |= {f"hydra_plugins.spanloc.{kind.__name__}": kind for kind in LAUNCHERS}


def _folder(overrides: str) -> str:
    # Hydra refuses a path with "=" or "," as the value of an override.
    return re.sub(r"[^\w.+-]+", "-", overrides.replace(",", "_"))[:120] or "run"


def _quieten() -> None:
    # Hints of Lightning's that are no news to a user of a command, one by one.
    for hint in (
        "does not have many workers",
        "Using `DistributedSampler`",  # ours repeats nothing, and metrics refuse what is repeated
        "LeafSpec",
        "Checkpoint directory .* exists",
        "dirpath has changed",
    ):
        warnings.filterwarnings("ignore", f".*{hint}.*")
    for part in ("pytorch_lightning", "lightning_fabric", "lightning.fabric", "lightning.pytorch"):
        logging.getLogger(part).setLevel(logging.WARNING)
