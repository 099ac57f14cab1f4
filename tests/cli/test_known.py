"""Arguments that are no settings, and settings that do not exist: one line with what was likely meant."""

import pytest


@pytest.mark.parametrize(
    ("command", "argument", "near"),
    [
        ("train", "span_los=giou", "span_loss"),
        ("train", "data.rooot=x", "data.root"),  # of another choice than the usual one
        ("train", "optimizer.learning_rate=1", "optimizer.lr"),
        ("train", "batch_size=4", "data.batch_size"),
        ("tune", "num_trial=3", "num_trials"),
        ("predict", "checkpont=run", "checkpoint"),
    ],
)
def test_a_setting_that_does_not_exist_gets_the_closest_one(refused, command, argument, near):
    name = argument.partition("=")[0]
    line = refused(command, argument)
    assert line.startswith(f"there is no setting '{name}'; did you mean {near}? --help names")


def test_nothing_close_is_no_suggestion(refused):
    assert "'nothing'; --help names" in refused("train", "nothing=3")


@pytest.mark.parametrize(
    ("command", "arguments", "line"),
    [
        ("train", ["m/ok"], "m/ok is no setting; settings are NAME=VALUE: data.root=m/ok"),
        ("train", ["m ok"], "m ok is no setting; settings are NAME=VALUE: 'data.root=m ok'"),
        ("train", ["gone"], "gone is no setting; settings are NAME=VALUE: data.root=FOLDER"),
        ("report", ["m/ok"], "m/ok is no setting; settings are NAME=VALUE: runs=m/ok"),
        (
            "train",
            ["--budget", "quick", "--data.root=x", "--test"],
            "settings are written without dashes: budget=quick data.root=x test=VALUE",
        ),
        ("train", ["--config-dir"], "argument --config-dir/-cd: expected one argument"),
    ],
)
def test_an_argument_that_is_no_setting_is_one_line(refused, tmp_path, command, arguments, line):
    (tmp_path / "m" / "ok").mkdir(parents=True)
    (tmp_path / "m ok").mkdir()
    assert refused(command, *arguments, folder=tmp_path) == line
