"""Lines below the table of results: what the metrics mean, what they are of, and the residual gradient."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from spanloc.cli.frame.show import log_to_file
from spanloc.data import SyntheticData
from spanloc.data.held_out import named
from spanloc.files import counted
from spanloc.reports.score_tables import metric_notes
from spanloc.training.callbacks import Convergence
from spanloc.training.callbacks.summary import summary


def meanings(metrics: Iterable[str]) -> list[str]:
    """The meanings of the metrics with these names, the main ones alone."""
    names = dict.fromkeys(name.rpartition("/")[2] for name in metrics)
    thresholds = [name[4:] for name in names if re.fullmatch(r"mAP@\d\.\d+", name)]
    lines = []
    if thresholds:
        tiou = "0.50" if "0.50" in thresholds else thresholds[0]
        also = ""
        if len(thresholds) > 1 and "mAP" in names:
            also = f" mAP is the mean over tIoU {thresholds[0]} to {thresholds[-1]}."
        lines.append(
            f"mAP@{tiou}: average precision, mean over the labels. A prediction is right if it has the right "
            f"label and overlaps the true span enough (tIoU of {tiou} or more). 1 is perfect.{also}"
        )
    if "tiou" in names:
        lines.append(
            "tiou: overlap of the predicted and the true span, divided by all that the two cover; the mean. "
            "1 is perfect."
        )
    recalls = [name for name in names if re.fullmatch(r"R1@\d\.\d+", name)]
    if recalls:
        lines.append(
            f"{recalls[0]}: share of the sequences whose best-scored span has a tIoU of {recalls[0][3:]} or more."
        )
    return [*lines, *metric_notes(names)]


def evaluated_on(samples: Any, word: str, datamodule: Any) -> str:
    """A line that names the recordings of a test or validation set; ``word`` is such as ``"Tested"``."""
    records = getattr(samples, "records", None)
    others = getattr(datamodule, "subsets", {}).get("training", ())
    return f"{word} on: {named(records, others) if records else counted(len(samples), 'sequence')}."


def gradient_lines(callbacks: Sequence[Any], datamodule: Any) -> list[str]:
    """Lines of the measurement at convergence: all for made-up data, one for others.

    All of them go to the log file of the run.
    """
    found = next((callback for callback in callbacks if isinstance(callback, Convergence)), None)
    if found is None or found.result is None:
        return []
    made_up = isinstance(datamodule, SyntheticData)
    samples = "training samples" if made_up else "pieces of the training recordings"
    lines = summary(found.result, found.when, found.folder, samples=samples)
    for line in lines:
        log_to_file(line)
    if made_up or found.folder is None:
        return lines if made_up else []
    path = Path(found.folder) / "convergence.json"
    return [f"Residual gradient (for the study of losses): {path}"]
