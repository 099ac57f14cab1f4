"""spanloc-tune: trials in one process, their results, what is wrong in one line."""

import json
import re
import shlex
import sys

import optuna
import pytest
from tuning_runs import QUICK, STUDY, trials_of

from spanloc.cli import train
from spanloc.cli.search import trial as tune_trial
from spanloc.cli.search.space import search_space


@pytest.fixture(scope="module")
def study(cli):
    folder = cli("tune", *STUDY)
    assert not isinstance(folder, str | int), folder
    return folder / "study"


def test_the_best_trial_is_what_its_command_trains(cli, study, tmp_path):
    result = json.loads((study / "study.json").read_text())
    assert [t["state"] for t in result["trials"]] == ["finished"] * 3
    values = [t["value"] for t in result["trials"]]
    assert result["best"] == values.index(max(values))
    assert result["objective"] == "val/tiou"
    program, *arguments = shlex.split(result["command"])
    assert program == "spanloc-train"
    assert not [a for a in arguments if a.startswith(("num_trials", "hparams", "test"))]
    cli("train", *arguments, "hydra.run.dir=run", folder=tmp_path)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["val/tiou"] == max(values)
    assert "test/tiou" in metrics


def test_a_trial_has_what_a_run_has_but_no_test(study):
    for trial in trials_of(study):
        folder = study / "trials" / f"{trial['number']:04}"
        assert {"best.ckpt", "last.ckpt", "config.yaml", "overrides.yaml", "train.log"} <= {
            path.name for path in folder.iterdir()
        }
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["val/tiou"] == trial["value"]
        assert not [name for name in metrics if name.startswith("test/")]
        assert trial["seconds"] > 0
        assert sorted(trial["params"]) == sorted(
            ["criterion.span_weight", "optimizer.lr", "optimizer.weight_decay", "scheduler"]
        )


def test_the_page_names_the_trials_the_parameters_and_the_command(study):
    page = (study / "study.html").read_text()
    assert "3 trials: 3 finished. The best is trial" in page
    assert "spanloc-train data.num_train=16" in page
    assert page.count("<svg role") == 5  # no importances of three trials
    assert "0002" in page


def test_the_command_of_the_best_trial_names_the_folder_of_own_settings(cli, tmp_path, monkeypatch):
    (tmp_path / "own" / "hparams_search").mkdir(parents=True)
    (tmp_path / "own" / "hparams_search" / "mine.yaml").write_text("optimizer.lr: {choices: [1]}\n")
    monkeypatch.setattr(train, "run", lambda config, callbacks: config.optimizer.lr)
    words = (*QUICK, "hparams_search=mine", "num_trials=1", "hydra.run.dir=study")
    cli("tune", "--config-dir=own", *words, folder=tmp_path)
    command = json.loads((tmp_path / "study" / "study.json").read_text())["command"]
    assert command.startswith(f"spanloc-train --config-dir={tmp_path / 'own'} data.num_train=16 ")


def test_a_study_that_is_done_trains_nothing_more(cli, study, monkeypatch):
    monkeypatch.setattr(train, "run", None)
    before = (study / "study.json").read_text()
    assert not isinstance(cli("tune", f"resume={study}"), str | int)
    assert (study / "study.json").read_text() == before
    line = cli("tune", f"resume={study}", "optimizer.lr=1e-3")
    assert "a study with other settings is here" in line
    assert "optimizer.lr=1e-3" in line
    line = cli("tune", f"resume={study / 'trials'}")
    assert "resume names the folder of a study" in line


def test_a_trial_that_fails_does_not_stop_the_others_and_more_may_be_added(
    cli, tmp_path, monkeypatch, capfd
):
    rates = []

    def run(config, callbacks):
        rates.append(config.optimizer.lr)
        if len(rates) == 2:
            raise FloatingPointError("the loss is NaN")
        return rates[-1]

    monkeypatch.setattr(train, "run", run)
    line = cli("tune", *STUDY, folder=tmp_path)
    assert line == "spanloc-tune: error: 1 trial failed: trial 1: the loss is NaN"
    # On the terminal; the log file has the module too.
    printed = capfd.readouterr().out
    assert "[INFO] trial 2: " in printed
    assert "][INFO] - " not in printed
    trials = trials_of(tmp_path / "study")
    assert [t["state"] for t in trials] == ["finished", "failed", "finished"]
    assert trials[1]["error"] == "the loss is NaN"
    page = (tmp_path / "study" / "study.html").read_text()
    assert "Importance of the parameters" not in page  # of two trials
    # It is not tried again.
    assert cli("tune", f"resume={tmp_path / 'study'}", "num_trials=5") == line
    assert [t["params"]["optimizer.lr"] for t in trials_of(tmp_path / "study")] == rates
    assert len(set(rates)) == 5
    page = (tmp_path / "study" / "study.html").read_text()
    assert "Importance of the parameters" in page


def test_a_study_that_is_interrupted_tries_the_trial_again(cli, tmp_path, monkeypatch):
    def run(config, callbacks):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train, "run", run)
        assert cli("tune", *STUDY, "num_trials=1", folder=tmp_path) == 130
    monkeypatch.setattr(train, "run", lambda config, callbacks: config.optimizer.lr)
    assert not isinstance(cli("tune", f"resume={tmp_path / 'study'}"), str | int)
    trials = trials_of(tmp_path / "study")
    assert [t["state"] for t in trials] == ["killed", "finished"]
    assert trials[1]["params"] == trials[0]["params"]
    assert not (tmp_path / "study" / "error.txt").exists()


def test_a_bad_trial_is_pruned_at_a_validation(cli, tmp_path, capsys):
    pruner = ("pruner._target_=optuna.pruners.ThresholdPruner", "+pruner.lower=2")
    cli("tune", *STUDY, *pruner, "num_trials=1", folder=tmp_path)
    (trial,) = trials_of(tmp_path / "study")
    assert trial["state"] == "pruned"
    assert (tmp_path / "study" / "trials" / "0000" / "error.txt").read_text() == "pruned\n"
    study = optuna.load_study(
        study_name="study",
        storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(tmp_path / "study" / "journal.log"))
        ),
    )
    (stored,) = study.trials
    assert list(stored.intermediate_values) == [1, 2]
    assert "1 trial: 1 pruned." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"low": 1, "high": 0.5}, "x: `low <= high` must hold, but got (low=1.0, high=0.5)"),
        ({"low": 1, "hihg": 2}, "x has no 'hihg'; wanted {low, high}"),
        ({"low": 0.0, "high": 2, "log": True}, "x: `low > 0` must hold"),
        ({"choices": []}, "x is {'choices': []}; wanted {low, high}, with"),
        (3, "x is 3; wanted {low, high}"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(parameter, message):
    with pytest.raises(ValueError, match=re.escape(f"hparams_search: {message}")):
        search_space({"x": parameter})


def test_a_parameter_is_replaced_changed_or_taken_out():
    space = {"a.b": {"low": 1, "high": 4}, "c": {"choices": ["x", [1, None]]}}
    assert search_space(space)["c"].choices == ("x", "[1,null]")
    assert search_space({**space, "a": {"b": {"high": 9}}})["a.b"].high == 9
    assert search_space({**space, "a": {"b": {"choices": [3]}}})["a.b"].choices == (3,)
    assert list(search_space({**space, "a": {"b": None}})) == ["c"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["hparams_search=detector"], "there is no setting 'matcher.radius' in a run with these"),
        (["hparams_search.scheduler={choices: [cosine, cosin]}"], "did you mean cosine?"),
        (["sampler._target_=optuna.samplers.Nothing"], "optuna.samplers has no 'Nothing'"),
        (["objective=step"], "direction is not set; objective=step wants maximize or minimize"),
        (["trainer.devices=2"], "trainer.devices is 2; a trial trains in one process"),
    ],
)
def test_what_cannot_be_searched_is_one_line_before_anything_is_written(
    refused, tmp_path, settings, message
):
    assert message in refused("tune", *STUDY, *settings, folder=tmp_path)
    assert not (tmp_path / "study").exists()


def test_without_optuna_it_says_what_to_install(cli, tmp_path, monkeypatch):
    for name in [n for n in sys.modules if re.match(r"optuna|spanloc\.cli\.tune", n)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    line = cli("tune", *QUICK, folder=tmp_path)
    assert line.endswith("needs optuna: pip install 'spanloc[tune]' (in a clone: '.[tune]')")
    assert tune_trial.optuna is optuna
