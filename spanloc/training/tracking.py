"""A run in an experiment tracker, which no failure of the tracker can end."""

import logging
import ssl
import urllib.error
import urllib.request
from abc import abstractmethod
from collections.abc import Callable, Mapping
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from lightning_utilities.core.rank_zero import rank_zero_only

from spanloc.files import one_line, pip_install
from spanloc.lightning import Logger, isolate_rng

log = logging.getLogger(__name__)
#: Runs that were started, and have not ended.
open_runs: list["Tracker"] = []
_WAIT_SECONDS = 5.0
_LONGEST_NAME = 128


class Tracker(Logger):
    """A run in an experiment tracker, as a logger of Lightning.

    Unlike Lightning's own loggers it lasts beyond ``Trainer.fit``, until :func:`end_runs`: what is
    measured after training belongs to the run as well. What fails before training is an error; later,
    the tracker is left out after one warning, and the training goes on. Of several processes the first
    one writes.

    Args:
        project: That the run belongs to.
        group: Of runs in it.
        folder: Of the run.
        run: Its name; None: the group and the name of the folder.
        options: For the call of the package that starts a run.
    """

    name = save_dir = ""
    key: ClassVar[str]  # name of the choice, and of the extra
    module: ClassVar[str]

    def __init__(
        self, project: str, group: str, folder: str, *, run: str | None = None, **options: Any
    ) -> None:
        super().__init__()
        self.project, self.group, self.options = project, group, options
        self.folder = Path(folder).absolute()
        self.name, self.save_dir = project, str(self.folder)
        # W&B takes no longer ones.
        self.run = (run or f"{group}/{self.folder.name}")[:_LONGEST_NAME]
        self.id = ""
        self._live = False

    @property
    def version(self) -> str:
        """The id that the tracker gave the run; empty before it began."""
        return self.id

    def start(self, config: Mapping[str, Any], resumed: str | None = None) -> None:
        """Begin the run, or go on with it.

        Args:
            config: The hyper-parameters, nested.
            resumed: The id of the run to go on with.

        Raises:
            ValueError: The package is missing, or the run cannot be begun.
        """
        if getattr(rank_zero_only, "rank", 0):
            return
        try:
            # Random numbers of the training are not used up.
            with isolate_rng():
                self._package: Any = import_module(self.module)
                if url := self._server():
                    check_reachable(url)
                self.id = self._start({**config, "folder": str(self.folder)}, resumed)
        except ModuleNotFoundError as error:
            name = (error.name or self.module).split(".")[0]
            text = f"needs the package {name}: {pip_install(self.key)}"
            raise ValueError(f"logger={self.key} {text}") from None
        except Exception as error:  # whatever the package or its server fails with
            raise ValueError(
                f"logger={self.key}: {one_line(str(error) or type(error).__name__)}"
            ) from error
        self._live = True
        open_runs.append(self)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: :meth:`start` has them all."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers by their names, at an optimizer step."""
        self._try(self._log, {name: float(v) for name, v in metrics.items()}, step or 0)

    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        """Log plots under a name: paths of PNG files."""
        for path in images:
            self._try(self._image, key, Path(path), step or 0)

    def end(self, status: str) -> None:
        """End the run as ``finished``, ``failed`` or ``killed``."""
        self._try(self._end, status)
        self._live = False

    def _try(self, action: Callable[..., None], *values: Any) -> None:
        if not self._live:
            return
        try:
            action(*values)
        except Exception as error:  # whatever the package or its server fails with
            self._live = False
            why = one_line(str(error) or type(error).__name__)
            log.warning("logger=%s is left out from here on: %s", self.key, why)

    def _server(self) -> str | None:
        """Address of the server, where the run needs one."""
        return None

    @abstractmethod
    def _start(self, config: dict[str, Any], resumed: str | None) -> str: ...

    @abstractmethod
    def _log(self, metrics: dict[str, float], step: int) -> None: ...

    @abstractmethod
    def _image(self, name: str, path: Path, step: int) -> None: ...

    @abstractmethod
    def _end(self, status: str) -> None: ...


def end_runs(status: str) -> None:
    """End all runs that were started, as ``finished``, ``failed`` or ``killed``."""
    while open_runs:
        open_runs.pop().end(status)


def check_reachable(url: str) -> None:
    """Ask a server for anything; a ``ValueError`` where it does not answer within five seconds."""
    try:
        urllib.request.urlopen(url, timeout=_WAIT_SECONDS).close()
    except (urllib.error.HTTPError, HTTPException):
        return
    except OSError as error:
        reason = getattr(error, "reason", error)
        # The package may know certificates that we do not.
        if not isinstance(reason, ssl.SSLError):
            why = getattr(reason, "strerror", None) or reason
            raise ValueError(f"{url} cannot be reached: {why}") from None
