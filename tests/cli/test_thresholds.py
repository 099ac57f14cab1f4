"""Thresholds as they are written."""

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
