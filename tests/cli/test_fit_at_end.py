"""What spanloc-train fits on the validation set when it has ended."""

import json
import re

import numpy as np
import pytest
from conftest import HINTS_OF_LIGHTNING, SMALL

import spanloc
from spanloc.reports.logs import joined_logs

pytestmark = HINTS_OF_LIGHTNING
# Scores of the focal loss are far from shares of right predictions, so that there is something to fit.
DETECTION = (
    *SMALL, "task=detection", "score_loss=focal", "data.num_val=48", "trainer.max_epochs=4", "test=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(cli):
    return cli("train", *DETECTION, "callbacks.convergence=null", "hydra.run.dir=run") / "run"


def test_the_best_checkpoint_is_calibrated_and_the_last_is_as_it_was(folder):
    task, last = spanloc.load(folder / "best.ckpt"), spanloc.load(folder / "last.ckpt")
    assert task.decode.calibration is not None
    assert task.decode.voting is None
    assert last.decode.calibration is None
    assert task.config["module"]["decode"]["calibration"]["temperature"]
    said = "calibrating the scores on 48 validation recordings: the new scores are kept, their Brier score is lower by [0-9.e-]+ .standard error [0-9.e-]+.\n"
    log = (folder / "train.log").read_text()
    assert re.search(said, log)
    scores = joined_logs(folder, [])["val/mAP"]
    scores = scores[~np.isnan(scores)]
    epoch, step, value = re.search(
        r"best\.ckpt is of epoch (\d) \(step (\d+)\): val/mAP (.+)\n", log
    ).groups()
    assert (float(value), scores[int(epoch) - 1]) == pytest.approx((scores.max(),) * 2, abs=1e-4)
    assert int(step) == 6 * int(epoch)


def test_a_resumed_run_goes_on_from_what_was_not_fitted(folder, cli):
    more = cli("train", f"resume={folder}", "trainer.max_epochs=5", "fit_decode=false")
    assert not isinstance(more, str), more
    assert json.loads((folder / "metrics.json").read_text())["step"] == 30
    assert spanloc.load(folder / "last.ckpt").decode.calibration is None


@pytest.mark.parametrize("value", ["nonsense", "[bias,nonsense]", "1"])
def test_what_cannot_be_fitted_is_said_before_the_training(cli, value):
    line = cli("train", *DETECTION, f"fit_decode={value}")
    assert line.startswith("spanloc-train: error: fit_decode is ")
    assert "wanted true, false or a list of bias, voting, calibration" in line


def test_the_scores_have_the_average_precision_of_each_label(folder, cli, capsys):
    run = cli("evaluate", f"checkpoint={folder}", "hydra.run.dir=scored") / "scored"
    found = json.loads((run / "scores.json").read_text())["metrics"]
    names = spanloc.load(folder).classes
    printed = capsys.readouterr().out
    for name in names:
        assert re.search(rf"│ {name} +│ {found[f'AP/{name}']:.4f} │", printed)
    assert "│ test/mAP " in printed
    assert "mAP@0.50: average precision, mean over the labels." in printed
    assert "\nEvaluated on: 8 sequences.\n" in printed
    assert {f"AP/{name}" for name in names} <= found.keys()
    of_labels = [found[f"AP/{name}"] for name in names if found[f"AP/{name}"] is not None]
    assert found["mAP"] == pytest.approx(sum(of_labels) / len(of_labels), abs=1e-6)
