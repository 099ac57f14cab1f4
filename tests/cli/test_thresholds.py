"""Thresholds of ``spanloc-score``: of the tIoU as they are written, and of the score."""

import pytest

from spanloc.cli.score import thresholds_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.3:0.7:0.1", [0.3, 0.4, 0.5, 0.6, 0.7]),
        ("0.5:0.95:0.05", [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
        ("0.5:0.72:0.1", [0.5, 0.6, 0.7]),
        (0.5, [0.5]),
        ([0.75, 0.5], [0.5, 0.75]),
    ],
)
def test_thresholds_are_decimals(text, expected):
    assert thresholds_of(text) == expected


@pytest.mark.parametrize(
    "text", ["0.5:0.3:0.1", "0.1:0.9:0", "0:1:0.5", "1.5", "a", [], "0.1:0.5", True, "nan"]
)
def test_what_is_no_threshold_is_refused(text):
    with pytest.raises(ValueError, match=r"tiou is .*; wanted a decimal in \(0, 1\]"):
        thresholds_of(text)


def test_a_metric_whose_min_score_leaves_out_most_predictions_says_so(tmp_path, cli, capsys):
    rows = ["sequence,start,end,score", *(f"r,1,5,{score}" for score in (0.5, 0.2, 0.1))]
    (tmp_path / "p.csv").write_text("\n".join(rows))
    (tmp_path / "a.csv").write_text("sequence,start,end\nr,1,5\n")
    given = (f"predictions={tmp_path / 'p.csv'}", f"annotations={tmp_path / 'a.csv'}")
    cli("score", *given, "metric=events", "metric.metrics.segments.min_score=0.2")
    printed = " ".join(capsys.readouterr().out.split())
    said = "only 1 of 3 predictions count, those with a score of 0.5 or more (metric.metrics.events.min_score)."
    assert f"Note: events: {said}" in printed
    assert "segments: only" not in printed
    assert "all predictions" not in printed.split("event_F1")[0]
    cli("score", *given)
    assert "Metrics (all predictions)" in " ".join(capsys.readouterr().out.split())
