"""The loggers of a training, which it does not depend on; the begin, results and end of its runs in trackers."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from spanloc.cli.frame.stopping import is_child, stopped_by
from spanloc.cli.run.resume import stored
from spanloc.files import shown, write_json
from spanloc.training.tracking import Tracker, end_runs

log = logging.getLogger(__name__)
# In the run folder: the ids that the trackers gave the run.
_FILE = "trackers.json"
_FINAL = ("test/", "time/", "data/")
# Of a logger, those that may fail without ending the training.
_CALLS = (
    *("log_metrics", "log_hyperparams", "log_graph"),
    *("save", "finalize", "after_save_checkpoint"),
)


def dispensable(logger: Any) -> Any:
    """The logger, left out from its first error on, such as a server that is gone.

    Trackers see to that themselves. Loggers that write to the run folder stay as they are: where they fail,
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


@contextmanager
def tracked() -> Iterator[None]:
    """End the runs of trackers that are begun inside as the block ends: finished, failed, or killed."""
    try:
        yield
    except BaseException as error:
        # A trial of a search that was pruned is stopped, too.
        stopped = stopped_by(error) is not None or type(error).__name__ == "TrialPruned"
        end_runs("killed" if stopped else "failed")
        raise
    end_runs("finished")


def begin(loggers: list[Any], config: Mapping[str, Any], folder: Path) -> None:
    """Begin the run in every tracker; a training that is resumed in its folder goes on with its runs."""
    trackers = [logger for logger in loggers if isinstance(logger, Tracker)]
    if not trackers or is_child():
        return
    ids: dict[str, Any] = {}
    resumed = config.get("ckpt_path")
    if resumed is not None and Path(resumed).parent.resolve() == folder.resolve():
        ids = stored(folder / _FILE)
    for tracker in trackers:
        tracker.start(config, ids.get(tracker.key))
        ids[tracker.key] = tracker.id
    write_json(folder / _FILE, ids)


def report(loggers: list[Any], metrics: Mapping[str, float], step: int, folder: Path) -> None:
    """Log the final metrics to the trackers, and the run's ``figures/`` to all loggers that take images."""
    figures = sorted((folder / "figures").glob("*.png"))
    for logger in loggers:
        try:
            if isinstance(logger, Tracker):
                # The others are logged while the model trains.
                final = {k: v for k, v in metrics.items() if k.startswith(_FINAL)}
                logger.log_metrics(final, step)
            if isinstance(logger, TensorBoardLogger):
                _draw(logger, figures, step)
            elif hasattr(logger, "log_image"):
                for path in figures:
                    logger.log_image(f"figures/{path.stem}", [str(path)], step)
        except Exception as error:  # the result is written, and no logger can take it away
            log.warning("%s did not take the results: %s", type(logger).__name__, error)


def _draw(logger: TensorBoardLogger, figures: list[Path], step: int) -> None:
    from matplotlib.image import imread

    for path in figures:
        logger.experiment.add_image(f"figures/{path.stem}", imread(path), step, dataformats="HWC")
    # Lightning has closed it when training ended.
    logger.experiment.close()
