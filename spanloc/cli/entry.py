"""What all commands share: Hydra around a function, and one line for a user's mistake."""

import logging
import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from spanloc.cli.resume import with_saved_settings
from spanloc.files import replacing

# As a shell has them: 128 and the number of the signal.
_CODES = {"interrupted": 130, "terminated": 143}
_MISTAKES = (
    ValueError,
    OSError,
    FloatingPointError,
    HydraException,
    OmegaConfBaseException,
)


def command(name: str) -> Callable[[], None]:
    """The command ``spanloc-<name>``: ``run`` of ``spanloc.cli.<name>`` on its config.

    That module is imported when it runs, so that help and mistakes in settings come at once.

    A mistake of the user ends in one line on stderr and exit code 1; with ``HYDRA_FULL_ERROR=1``
    it ends in a traceback.
    """

    def main() -> None:
        _quieten()
        # A loss of the user's own may lie where the command is run.
        sys.path.append(str(Path.cwd()))
        OmegaConf.register_new_resolver("folder", _folder, replace=True)
        debug = os.environ.get("HYDRA_FULL_ERROR") == "1"

        @contextmanager
        def one_line() -> Iterator[None]:
            try:
                yield
            except (KeyboardInterrupt, SystemExit) as stop:
                word = _stopped(stop)
                if word is None:
                    raise
                print(f"spanloc-{name}: {word}", file=sys.stderr)
                sys.exit(_CODES[word])
            except Exception as error:
                if debug or not _is_mistake(error):
                    raise
                sys.exit(f"spanloc-{name}: error: {_line(error)}")

        def job(config: DictConfig) -> None:
            # In a sweep Hydra notes the failure and goes on with the other runs.
            sweep = HydraConfig.get().mode == RunMode.MULTIRUN
            with nullcontext() if sweep else one_line(), _marking_failure():
                _refuse_several(config)
                module = import_module(f"spanloc.cli.{name}")
                _quieten()  # again: Lightning sets its level when it is imported
                module.run(config)

        # Without this Hydra prints errors by itself, in several lines, and exits.
        os.environ["HYDRA_FULL_ERROR"] = "1"
        try:
            with one_line():
                sys.argv[1:] = with_saved_settings(sys.argv[1:])
                hydra.main("pkg://spanloc.configs", name, version_base="1.3")(job)()
        finally:
            if not debug:
                del os.environ["HYDRA_FULL_ERROR"]

    return main


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
def _marking_failure() -> Iterator[None]:
    # What fails before it has written anything leaves no folder that looks like a run, and an earlier
    # run there as it was; what fails later says why.
    begin, mark = time.time(), run_folder() / "error.txt"
    before = mark.read_text(encoding="utf-8") if mark.is_file() else None
    mark.unlink(missing_ok=True)
    try:
        yield
    except BaseException as error:
        folder = run_folder()
        files = [path for path in folder.rglob("*") if path.is_file()]
        results = [
            path
            for path in files
            if folder / ".hydra" not in path.parents
            and not (path.suffix == ".log" and not path.stat().st_size)
        ]
        logs = [path for path in results if path.suffix == ".log"]
        # Clocks of file systems are coarser than ours.
        written = [p for p in results if p not in logs and p.stat().st_mtime > begin - 0.1]
        if not results:
            logging.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
        elif written or before is not None:
            text = _stopped(error) or _line(error) or type(error).__name__
            with replacing(mark) as path:
                path.write_text(f"{text}\n" if written else str(before), encoding="utf-8")
        raise


def _is_mistake(error: Exception) -> bool:
    # Lightning's own, by its name: it need not be imported to have failed elsewhere.
    return isinstance(error, _MISTAKES) or type(error).__name__ == "MisconfigurationException"


def _stopped(error: BaseException) -> str | None:
    # Lightning makes a SystemExit of Ctrl-C, and one of its own of SIGTERM, which would exit with 0.
    if type(error).__name__ == "SIGTERMException":
        return "terminated"
    interrupted = isinstance(error, KeyboardInterrupt) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)
    )
    return "interrupted" if interrupted else None


def _line(error: BaseException) -> str:
    text = str(error)
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown:
        # Hydra's own words advise to add the key with a "+", which is not what a typo wants.
        return (
            f"there is no setting {unknown[1]!r}; --help names the often used, --cfg job lists all"
        )
    if isinstance(error, MissingMandatoryValue):
        key = error.full_key
        return f"{key} is not set; add {key}=... to the command"
    return re.sub(r"\s+", " ", text.split("\nConfig search path")[0]).strip()


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
    for part in ("pytorch_lightning", "lightning.fabric", "lightning.pytorch"):
        logging.getLogger(part).setLevel(logging.WARNING)
