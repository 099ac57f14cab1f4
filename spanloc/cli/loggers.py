"""Loggers that a training does not depend on."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from spanloc.files import shown
from spanloc.training.tracking import Tracker

log = logging.getLogger(__name__)
_CALLS = (
    *("log_metrics", "log_hyperparams", "log_graph"),
    *("save", "finalize", "after_save_checkpoint"),
)


def dispensable(logger: Any) -> Any:
    """The logger, which is left out from the first error of its own on, such as a server that is gone.

    Trackers see to that themselves. Those that write to the run folder stay as they are: where they fail,
    checkpoints would too.
    """
    if isinstance(logger, CSVLogger | TensorBoardLogger | Tracker):
        return logger
    failed = False

    def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal failed
            if failed:
                return None
            try:
                return call(*args, **kwargs)
            except Exception as error:  # whatever its library raises
                failed = True
                name, kind = type(logger).__name__, type(error).__name__
                text = " ".join(str(error).split()) or shown(error)
                log.warning("%s: %s: %.200s; the run goes on without it", name, kind, text)
                return None

        return wrapper

    for name in _CALLS:
        if callable(call := getattr(logger, name, None)):
            setattr(logger, name, guarded(call))
    return logger
