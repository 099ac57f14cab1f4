"""Runs of training in experiment trackers: their begin, their results, and their end."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger

from spanloc.cli.stopping import is_child, stopped_by
from spanloc.files import read_json, write_json
from spanloc.training.tracking import Tracker, end_runs

log = logging.getLogger(__name__)
# In the run folder: the ids that the trackers gave the run.
_FILE = "trackers.json"
_FINAL = ("test/", "time/", "data/")


@contextmanager
def tracked() -> Iterator[None]:
    """Runs of trackers that are begun inside end with it: finished, failed, or killed."""
    try:
        yield
    except BaseException as error:
        # A trial of a search that was pruned is stopped, too.
        stopped = stopped_by(error) is not None or type(error).__name__ == "TrialPruned"
        end_runs("killed" if stopped else "failed")
        raise
    end_runs("finished")


def begin(loggers: list[Any], config: Mapping[str, Any], folder: Path) -> None:
    """Begin the run in every tracker; a training that goes on in its folder goes on with its runs.

    Args:
        loggers: Of the trainer.
        config: The resolved one.
        folder: Of the run.

    Raises:
        ValueError: A tracker cannot be used.
    """
    trackers = [logger for logger in loggers if isinstance(logger, Tracker)]
    if not trackers or is_child():
        return
    ids: dict[str, Any] = {}
    resumed = config.get("ckpt_path")
    if resumed is not None and Path(resumed).parent.resolve() == folder.resolve():
        with suppress(OSError, ValueError):
            found = read_json(folder / _FILE)
            ids = found if isinstance(found, dict) else {}
    for tracker in trackers:
        tracker.start(config, ids.get(tracker.key))
        ids[tracker.key] = tracker.id
    write_json(folder / _FILE, ids)


def report(loggers: list[Any], metrics: Mapping[str, float], step: int, folder: Path) -> None:
    """Give the final metrics to the trackers, and the figures to all loggers that take images.

    Args:
        loggers: Of the trainer.
        metrics: As in ``metrics.json``.
        step: The last one.
        folder: Of the run, with ``figures/``.
    """
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
