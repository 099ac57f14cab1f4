"""``spanloc-evaluate fit_decode=...``: what it writes, where, and that predictions follow."""

import json
import re
import shutil

import pytest
import torch
from conftest import HINTS_OF_LIGHTNING

import spanloc
from spanloc.cli.decoding import fit_checkpoint
from spanloc.config.build import build
from spanloc.config.checkpoint import read, store_decode
from spanloc.decode import Temperature

pytestmark = HINTS_OF_LIGHTNING
ALL = "[bias,voting,calibration,min_scores,exclusive,fill_gaps,min_length]"


@pytest.fixture
def run(trained, tmp_path):
    """A run of its own, to be written into."""
    shutil.copy(trained["detection"] / "best.ckpt", tmp_path / "best.ckpt")
    return tmp_path


@pytest.fixture
def data(run):
    datamodule = build(read(run)["spanloc"]["config"]["data"])
    datamodule.setup("fit")
    return datamodule


@pytest.fixture
def evaluate(cli):
    """Evaluates with some settings; gives the folder of the run, or the one line of an error."""

    def evaluated(*settings):
        found = cli("evaluate", *settings, "trainer.accelerator=cpu", "hydra.run.dir=run")
        return found if isinstance(found, str) else found / "run"

    return evaluated


def results_of(folder):
    return json.loads((folder / "predictions.json").read_text())["results"].values()


def same_but_for_decoding(path, other):
    a, b = (torch.load(p, weights_only=True) for p in (path, other))
    for saved in (a, b):
        saved["spanloc"]["config"].pop("decode")
        saved["spanloc"]["config"]["module"].pop("decode")
    return str(a) == str(b)


def test_what_is_fitted_is_in_a_new_file_beside_and_used_by_all_that_load_it(evaluate, run, capsys):
    before = (run / "best.ckpt").read_bytes()
    folder = evaluate(f"checkpoint={run}", "fit_decode=[calibration]")
    said = " ".join(capsys.readouterr().out.split())
    assert " F1 " not in said
    assert "Brier, ECE: errors of the scores, 0 is perfect." in said
    assert "│ newly fitted │" in said
    assert (run / "best.ckpt").read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == ["best.ckpt", "best.fitted.ckpt"]
    assert same_but_for_decoding(run / "best.ckpt", run / "best.fitted.ckpt")
    fit = json.loads((folder / "decode_fit.json").read_text())
    (tried,) = fit["validation"]["tried"]
    assert tried["option"] == "calibration"
    assert set(fit["test"]) == {"before", "after"}
    assert fit["test"]["before"]["mAP"] == pytest.approx(fit["test"]["after"]["mAP"], abs=1e-12)
    task = spanloc.load(run / "best.fitted.ckpt")
    assert (task.decode.calibration is not None) == tried["taken"]
    if tried["taken"]:
        node = fit["settings"]["calibration"]
        assert task.decode.calibration.temperature == node["temperature"]
    scores = json.loads((folder / "scores.json").read_text())
    # Without the overlaps that are not written.
    assert scores["reliability"]["error"] == pytest.approx(fit["test"]["after"]["ECE"], abs=0.05)


def test_the_stored_scores_are_the_calibrated_ones(evaluate, run, data):
    # A map that this model would hardly be given: whatever it is, it is applied.
    node = {"_target_": "spanloc.decode.Temperature", "temperature": [2.0] * 3, "offset": [0.5] * 3}
    store_decode(run, {"calibration": node}, run / "other.ckpt")
    plain, calibrated = spanloc.load(run), spanloc.load(run / "other.ckpt")
    batch = next(iter(data.val_dataloader()))
    with torch.no_grad():
        one, other = plain.predict_step(batch), calibrated.predict_step(batch)
    wanted = Temperature([2.0] * 3, [0.5] * 3)(one.scores, one.labels)
    torch.testing.assert_close(other.scores.sort().values, wanted.sort().values, rtol=1e-12, atol=0)
    folder = evaluate(f"checkpoint={run / 'other.ckpt'}", "subset=val")
    written = [row["score"] for rows in results_of(folder) for row in rows]
    assert min(written) == pytest.approx(float(other.scores.min()), rel=1e-6)
    assert max(written) == pytest.approx(float(other.scores.max()), rel=1e-6)


def test_a_checkpoint_is_rewritten_where_that_is_asked_for(evaluate, run, trained, capsys):
    folder = evaluate(f"checkpoint={run}", f"fit_decode={ALL}", f"fit_into={run}/best.ckpt")
    assert " F1 " in capsys.readouterr().out
    assert [path.name for path in run.iterdir()] == ["best.ckpt"]
    assert same_but_for_decoding(run / "best.ckpt", trained["detection"] / "best.ckpt")
    settings = json.loads((folder / "decode_fit.json").read_text())["settings"]
    decode = spanloc.load(run).decode
    for name, value in settings.items():
        if name != "calibration":
            assert getattr(decode, name) == value
    assert settings


def test_the_end_of_a_training_fits_in_one_call(run, data, caplog):
    before = read(run)
    fitted = fit_checkpoint(run, data, ["calibration"], to=run / "best.ckpt")
    again = fit_checkpoint(run, data, ["calibration"])
    assert again.settings == fitted.settings
    decode = read(run)["spanloc"]["config"]["module"]["decode"]
    assert decode == {**before["spanloc"]["config"]["module"]["decode"], **fitted.settings}
    data.val_set = [data.val_set[i] for i in range(2)]
    with caplog.at_level("INFO", "spanloc.cli.decoding"):
        (tried,) = fit_checkpoint(run, data, ["calibration"]).tried
    said = (
        "not used, "
        if not tried.taken
        else f"the new scores are kept, their Brier score is lower by {tried.gain:.2g} "
    )
    assert f"calibrating the scores on 2 validation recordings: {said}" in caplog.messages[-1]
    assert ("So a score of 0.5 need not" in caplog.messages[-1]) == (not tried.taken)
    data.val_set = []
    with pytest.raises(ValueError, match="cannot be fitted: there are no validation recordings"):
        fit_checkpoint(run, data)


def test_options_given_by_hand_are_used_and_stay_where_they_are_fitted_into_a_file(evaluate, run):
    few = ("decode.max_per_sequence=2", "decode.exclusive=true")
    assert max(map(len, results_of(evaluate(f"checkpoint={run}", *few)))) == 2
    assert [path.name for path in run.iterdir()] == ["best.ckpt"]
    fitted = ("fit_decode=[calibration,voting]", f"fit_into={run}/new.ckpt")
    evaluate(f"checkpoint={run}", "decode.voting=0.7", *fitted)
    assert spanloc.load(run / "new.ckpt").decode.voting == 0.7


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "fit_decode=[bias,votes]",
            r"fit_decode is \['bias', 'votes'\]; wanted true, false or a list",
        ),
        ("decode.voting=a", "decode.voting is 'a'; wanted a number"),
        ("+decode.votes=2", "spanloc.decode.Decode has no option 'votes'"),
    ],
)
def test_a_setting_that_is_none_is_one_line(evaluate, run, setting, message):
    line = evaluate(f"checkpoint={run}", setting)
    assert isinstance(line, str), line
    assert re.search(message, line), line


def test_a_checkpoint_that_holds_a_broken_map_is_one_error(run):
    checkpoint = read(run)
    node = {"_target_": "spanloc.decode.Temperature", "temperature": [0.0], "offset": [0.0]}
    checkpoint["spanloc"]["config"]["module"]["decode"]["calibration"] = node
    torch.save(checkpoint, run / "broken.ckpt")
    with pytest.raises(
        ValueError, match=r"broken.ckpt: its model cannot be built: temperature is \[0.0\]"
    ):
        spanloc.load(run / "broken.ckpt")
    with pytest.raises(ValueError, match="has no option 'votes'"):
        store_decode(run, {"votes": 1}, run / "new.ckpt")
    assert not (run / "new.ckpt").exists()


def test_values_by_label_are_there_when_the_checkpoint_is_loaded(run):
    classes = len(spanloc.load(run / "best.ckpt").classes)
    settings = {"min_scores": [0.2] * classes, "bias": [[0.5, -0.5]] * classes, "exclusive": True}
    store_decode(run / "best.ckpt", settings, run / "all.ckpt")
    decode = spanloc.load(run / "all.ckpt").decode
    assert decode.min_scores == settings["min_scores"]
    assert decode.bias == settings["bias"]
    assert decode.exclusive
