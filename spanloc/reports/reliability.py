"""What scores are worth as probabilities: a part of the page of scores."""

from collections.abc import Iterator

from spanloc import plots
from spanloc.metrics.calibration import Reliability
from spanloc.reports.html import figures_section


def reliability_section(found: Reliability | None) -> Iterator[str]:
    """The reliability diagram and the expected calibration errors as HTML; nothing for None."""
    if found is None or not sum(found.counts):
        return
    tiou = f"{found.tiou:g}"
    yield "<section><h2>Reliability of the scores</h2>"
    yield (
        f"<p>Expected calibration error at tIoU {tiou}: {found.error:.4f} over all "
        f"{sum(found.counts):,} predictions, {found.error_from:.4f} over those with a score of at least "
        "0.1. It is the mean distance between the score and the share of predictions that are right: 0 "
        "where of the predictions with a score of 0.8 four fifths are. Low scores are many and nearly "
        "always wrong, which makes the first number small.</p>"
    )
    figure = plots.reliability(found.counts, found.scores, found.shares)
    caption = (
        f"The share of the predictions that are right (matched at tIoU {tiou}), by their score. Above the "
        "dashed line scores are too low, below it too high; grey: where two standard errors of chance "
        "reach. Below, how many predictions there are, on a logarithmic scale."
    )
    yield from figures_section([(figure, caption)], "reliability")
    yield "</section>"
