"""The runs of a sweep: one that fails does not end the others, and all that failed are named at the end."""

import logging
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn

from spanloc.cli.mistakes import is_mistake, line_of
from spanloc.files import counted

log = logging.getLogger(__name__)
_CORE = "hydra._internal.core_plugins."


class FailedRunError(ValueError):
    """A run of a sweep failed.

    Args:
        folder: Of the run.
        line: Why, as in its ``error.txt``.
    """

    def __init__(self, folder: str, line: str) -> None:
        super().__init__(folder, line)  # both, so that it comes out of another process as it was
        self.folder, self.line = folder, line

    def __str__(self) -> str:
        return f"{self.folder}: {self.line}"


class Outcome:
    """How the runs of a sweep ended, wherever they ran."""

    def __init__(self) -> None:
        self.count = 0
        self.folder = ""  # of the sweep
        self.failed: list[FailedRunError] = []

    def add(self, result: JobReturn) -> FailedRunError | None:
        """Count a run that ended in another process; its failure, if it is one."""
        self.count += 1
        value = result._return_value
        if not isinstance(value, FailedRunError):
            return None
        self.failed.append(value)
        return value

    def comparison(self) -> str | None:
        """The command that compares the runs; None where there are not two of a sweep that ended well."""
        if self.count - len(self.failed) < 2:
            return None
        return f"To compare these runs: spanloc-report {shlex.quote(f'runs={self.folder}')}"

    def message(self) -> str | None:
        """Which runs failed and why: a line each, or one where they share the reason. None: all is well."""
        if not self.failed:
            return None
        lines = {failed.line for failed in self.failed}
        if len(self.failed) == self.count > 1 and len(lines) == 1:
            return f"all {self.count} runs failed: {lines.pop()}"
        head = f"{len(self.failed)} of {counted(self.count, 'run')} failed:"
        if len(self.failed) == 1:
            return f"{head} {self.failed[0]}"
        return "\n".join([head, *(f"  {failed}" for failed in self.failed)])


_outcome = Outcome()


def begin_sweep() -> Outcome:
    """The outcome of what this process is about to run."""
    global _outcome
    _outcome = Outcome()
    return _outcome


def outcome() -> Outcome:
    """The outcome of what this process has run."""
    return _outcome


def noted(run: Callable[[], Any], debug: bool) -> Any:
    """Call a run of a sweep; where it fails, note that, so that the others go on.

    Args:
        run: What it is; an exception is its failure.
        debug: The traceback of a user's mistake is logged too.

    Returns:
        What the run returns, or its failure.

    Raises:
        FailedRunError: It failed, and the sweeper goes by what runs return.
    """
    hydra = HydraConfig.get()
    ours = str(hydra.launcher["_target_"]).startswith("hydra_plugins.spanloc.")
    _outcome.folder = shown(hydra.sweep.dir)
    if not ours:  # ours count when a run is back from where it was carried out
        _outcome.count += 1
    try:
        return run()
    except Exception as error:  # whatever one run fails with, the others go on
        folder, line = shown(hydra.runtime.output_dir), line_of(error) or type(error).__name__
        failed = FailedRunError(folder, line)
        traceback = debug or not is_mistake(error)
        log.log(logging.ERROR, "the run failed: %s", line, exc_info=traceback)
        if not ours:
            _outcome.failed.append(failed)
        # Hydra's own sweeper would say the first failure in words of its own, and has no use for it. Other
        # launchers do not bring home what was noted.
        launcher, sweeper = (str(part["_target_"]) for part in (hydra.launcher, hydra.sweeper))
        if sweeper.startswith(_CORE) and (ours or launcher.startswith(_CORE)):
            return failed
        raise failed from error


def shown(folder: str) -> str:
    """A folder as it was given, where it lies below the place of the command."""
    path, here = Path(folder), Path.cwd()
    return str(path.relative_to(here) if here in path.parents else path)


def with_short_names(arguments: Sequence[str]) -> list[str]:
    """The arguments, with what they give one value left out of the names of a sweep's folders.

    >>> with_short_names(["-m", "seed=0,1", "data.root=a"])[3]
    "hydra.job.config.override_dirname.exclude_keys=['data.root']"
    """
    settings = get_args_parser().parse_known_args(arguments)[0].overrides
    given = OverridesParser.create().parse_overrides(settings)
    names = [text.key_or_group for text in given if not text.is_sweep_override()]
    if len(names) == len(given):
        return list(arguments)
    return [*arguments, f"hydra.job.config.override_dirname.exclude_keys={names}"]
