"""The reliability of scores on the page and in scores.json."""

import dataclasses

from metric_rows import rows, tensors

from spanloc import plots, reports
from spanloc.metrics import diagnose, reliability
from spanloc.reports import ScoreResult

ROWS = tensors(*rows())
RESULT = ScoreResult(
    {"mAP": 0.5}, diagnose(*ROWS, ["a", "b", "c"]), 12, reliability=reliability(*ROWS)
)


def test_the_page_has_the_diagram_and_the_errors():
    page = reports.score_page(RESULT)
    assert page.count("<svg") == 5
    assert "Reliability of the scores" in page
    assert f"at tIoU 0.5: {RESULT.reliability.error:.4f} over all" in page
    without = reports.score_page(dataclasses.replace(RESULT, reliability=None))
    assert without.count("<svg") == 4
    assert "Reliability" not in without


def test_it_is_read_as_it_was_written(tmp_path):
    RESULT.write(tmp_path / "scores.json")
    read = ScoreResult.read(tmp_path / "scores.json").reliability
    assert read.counts == RESULT.reliability.counts
    assert read.error == RESULT.reliability.error


def test_a_result_from_before_has_none(tmp_path):
    dataclasses.replace(RESULT, reliability=None).write(tmp_path / "scores.json")
    text = (tmp_path / "scores.json").read_text().replace('"reliability": null', '"x": null')
    (tmp_path / "scores.json").write_text(text.replace(',\n  "x": null', ""))
    assert ScoreResult.read(tmp_path / "scores.json").reliability is None


def test_the_figure_shows_each_bin_that_is_not_empty():
    found = RESULT.reliability
    figure = plots.reliability(found.counts, found.scores, found.shares)
    upper, _ = figure.axes
    (line,) = [line for line in upper.lines if line.get_marker() == "o"]
    assert len(line.get_xdata()) == sum(count > 0 for count in found.counts)
    assert plots.reliability([0, 0], [], []) is None
