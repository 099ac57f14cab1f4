"""The frame of all commands: Hydra around a function, and one line for a user's mistake."""

import gc
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from spanloc.cli.frame.arguments import num_runs, refuse_others, with_short_names
from spanloc.cli.frame.folder import marking_failure, naming_the_folder, run_folder
from spanloc.cli.frame.machine import limit_threads
from spanloc.cli.frame.mistakes import is_mistake, line_of
from spanloc.cli.frame.ranks import leave_to_first, leaving_no_group, refuse_started, without_kill
from spanloc.cli.frame.stopping import code_of, is_child, when_stopped
from spanloc.cli.run.launchers import LAUNCHERS
from spanloc.cli.run.resume import for_hydra, how_to_resume
from spanloc.cli.run.sweeps import FailedRunError, how_to_go_on, noted, outcome


def run(name: str) -> None:
    """Run the command ``spanloc-<name>``: ``run`` of ``spanloc.cli.<name>`` on its config.

    That module is imported when it runs, so that help and mistakes in settings come at once. A mistake of
    the user ends in one line on stderr and exit code 1; with ``HYDRA_FULL_ERROR=1`` it ends in a traceback.
    """
    begin = time.time()
    _quieten()
    # A loss of the user's own may lie where the command is run.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    register()
    outcome.begin()
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

    # Of the sweep; counted here, as the arguments of a process of SLURM are its own.
    started, runs = False, None

    def once(config: DictConfig, sweep: bool) -> Any:
        group = leaving_no_group() if sweep else nullcontext()
        with group, marking_failure(begin, debug, sweep):
            _refuse_several(config)
            _require_checkpoints(config)
            module = _imported(name, config)
            limit_threads()
            shorten_lines()
            _quieten()  # again: Lightning sets its level when it is imported
            mark = run_folder() / "error.txt"
            if name == "train" and sweep:
                number = HydraConfig.get().job.num + 1
                waiting = (runs or number) - number
                when_stopped(partial(how_to_go_on, [mark.parent], waiting))
            elif name in ("train", "tune"):
                when_stopped(partial(how_to_resume, name, mark.parent))
            with (
                without_kill(mark, lambda text: print(line(text), file=sys.stderr), sweep),
                _full_errors(debug),
            ):
                # A sweeper goes by the values that runs return.
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
        runs = num_runs(sys.argv[1:])
        try:
            with naming_the_folder(begin, lambda: started):
                hydra.main("pkg://spanloc.configs", name, version_base="1.3")(job)()
        except FailedRunError:
            if not outcome.failed:  # of a launcher that is not ours
                raise
    if name == "train" and (text := outcome.comparison()):
        print(text)
    if text := outcome.message():
        sys.exit(line(text))


def _require_checkpoints(config: DictConfig) -> None:
    # A wrong path is said at once, before torch is imported to read it.
    for path in _texts(config, "checkpoint"):
        if not Path(path).exists():
            raise FileNotFoundError(f"{path}: no such file or folder (checkpoint)")


def _texts(config: DictConfig, place: str) -> list[str]:
    """The text or texts of a setting; none where it is not set."""
    value = OmegaConf.select(config, place, throw_on_missing=False)
    values = value if isinstance(value, ListConfig) else [value]
    return [text for text in values if isinstance(text, str)]


def _imported(name: str, config: DictConfig) -> Any:
    module = f"spanloc.cli.{name}"
    if module in sys.modules:
        return import_module(module)
    if not is_child():
        # The imports that follow take seconds.
        places = ("input", "checkpoint", "predictions", "runs", "data.root")
        found = next(filter(None, (_texts(config, place) for place in places)), [])
        doing = f"reading {', '.join(found)}" if found else "starting"
        print(f"spanloc-{name}: {doing}", flush=True)
    # What is imported stays: to look through it for garbage, again and again, is a third of the time of a
    # short command.
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.freeze()
        gc.enable()


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


def register() -> None:
    """Register the resolver and the launchers that the configs name."""
    OmegaConf.register_new_resolver("folder", _folder, replace=True)
    # Hydra takes plugins of this namespace only, and finds no package there that is installed as editable.
    known = Plugins.instance().class_name_to_class
    known |= {f"hydra_plugins.spanloc.{kind.__name__}": kind for kind in LAUNCHERS}


def _folder(overrides: str) -> str:
    # Hydra refuses a path with "=" or "," as the value of an override.
    return re.sub(r"[^\w.+-]+", "-", overrides.replace(",", "_"))[:120] or "run"


def shorten_lines() -> None:
    """Leave out Hydra's milliseconds and module on a terminal, where they fill most of a line; the log file keeps them."""
    for handler in logging.root.handlers:
        if type(handler) is logging.StreamHandler and type(handler.formatter) is logging.Formatter:
            form = "[%(asctime)s][%(levelname)s] %(message)s"
            handler.setFormatter(logging.Formatter(form, "%Y-%m-%d %H:%M:%S"))


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
