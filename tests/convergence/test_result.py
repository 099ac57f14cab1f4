"""The record of what was measured at convergence, and the history of a run."""

import json
import math

import pytest
import torch
from made_runs import convergence

from spanloc.convergence import ConvergenceResult, GradientHistory


def test_a_result_is_read_as_it_was_written(tmp_path):
    found = ConvergenceResult.of(convergence())
    found.write(tmp_path / "convergence.json")
    assert ConvergenceResult.read(tmp_path / "convergence.json") == found
    assert found.own.relative_gradient.mean == 1.36
    assert found.metrics()["convergence/relative_gradient"] == 1.36
    assert found.metrics()["convergence/exponent_low"] == -0.03


def test_what_is_undetermined_is_null_in_the_file_and_nan_here(tmp_path):
    content = convergence(tiou=None, exponent__slope=None, exponent__reason="too few")
    found = ConvergenceResult.of(content)
    assert math.isnan(found.tiou)
    assert math.isnan(found.exponent.slope)
    assert "convergence/exponent" not in found.metrics()
    found.write(tmp_path / "convergence.json")
    assert '"tiou": null' in (tmp_path / "convergence.json").read_text()


@pytest.mark.parametrize(
    "change", [{"trained": "other"}, {"losses": 3}, {"extra": 1}, {"minibatch": None}]
)
def test_a_file_that_is_no_result_is_one_error(tmp_path, change):
    path = tmp_path / "convergence.json"
    path.write_text(json.dumps(convergence() | change))
    with pytest.raises(ValueError, match=r"convergence.json: not a result of convergence: "):
        ConvergenceResult.read(path)


def test_a_history_joins_rows_by_column_and_survives_a_checkpoint():
    history = GradientHistory.empty().joined(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]))
    history = history.joined(torch.tensor([[2.0, 6.0, 7.0, 8.0, 9.0]]))
    assert [*history.state()] == ["step", "span", "score", "grad_params", "grad_spans"]
    assert history.span.tolist() == [2, 6]
    assert history.grad_params.tolist() == [4, 8]
    again = GradientHistory(**history.state())
    assert again.grad_spans.tolist() == [5, 9]
    assert history[history.step > 1].score.tolist() == [7]
