"""A user's mistake ends in one line that names it, and the setting that was likely meant."""

import errno
import logging
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import CONFIGS, SMALL

from spanloc.cli.frame.mistakes import line_of
from spanloc.training.callbacks import Convergence


def test_what_fails_at_once_leaves_no_folder_that_was_made_for_it(cli, tmp_path):
    def fail(*words):
        line = cli("train", *SMALL, "backbone.width=0", *words, folder=tmp_path)
        assert isinstance(line, str)

    fail()
    assert not (tmp_path / "runs").exists()
    (tmp_path / "runs").mkdir()
    time.sleep(0.05)
    fail()
    assert list(tmp_path.rglob("*")) == [tmp_path / "runs"]
    for place in ("runs/default", "mine"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "notes.txt").touch()
    fail()
    fail("hydra.run.dir=mine")
    assert len(list(tmp_path.rglob("notes.txt"))) == 2


def test_a_run_folder_that_cannot_be_written_is_named(cli, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    line = cli("probe", "hydra.run.dir=file", folder=tmp_path)
    start = "spanloc-probe: error: the run folder"
    assert line == f"{start} {tmp_path / 'file'} cannot be written: File exists"
    assert (tmp_path / "file").read_text() == "mine"
    line = cli("probe", "hydra.run.dir=file/run", folder=tmp_path)
    assert line == f"{start} {tmp_path / 'file' / 'run'} cannot be written: Not a directory"

    line = cli("probe", "-m", "seed=0,1", "hydra.sweep.dir=file/sweep", folder=tmp_path)
    assert line == f"{start} {tmp_path / 'file' / 'sweep'} cannot be written: Not a directory"

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    # Hydra hides what it met when it opened the log.
    monkeypatch.setattr(logging.FileHandler, "_open", full)
    line = cli("probe", "hydra.run.dir=run", folder=tmp_path)
    assert line == f"{start} {tmp_path / 'run'} cannot be written: No space left on device"
    assert not (tmp_path / "run").exists()


def test_a_choice_of_a_sweep_that_does_not_exist_is_named_and_leaves_no_folder(cli, tmp_path):
    line = cli("probe", "-m", "span_loss=giou,gio", folder=tmp_path)
    assert line.startswith("spanloc-probe: error: there is no span_loss=gio; did you mean giou?")
    assert not list(tmp_path.iterdir())


def test_an_error_that_cannot_be_noted_is_still_said(cli, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise ValueError("the cause")

    usual = Path.open

    def full(path, *args, **kwargs):
        if path.name == "error.txt":
            raise OSError(errno.ENOSPC, "No space left on device")
        return usual(path, *args, **kwargs)

    monkeypatch.setattr(Convergence, "_measure", fail)
    monkeypatch.setattr(Path, "open", full)
    line = cli("train", *SMALL, "hydra.run.dir=run", folder=tmp_path)
    assert line == "spanloc-train: error: the cause"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.lenght=3"], "there is no setting 'data.lenght'"),
        (["modle=points"], "there is no setting 'modle'; --help lists"),
        (["criterion={weight: 1}"], "there is no setting 'criterion.weight'; under criterion there"),
        (["scheduler=cosin"], "there is no scheduler=cosin; did you mean cosine? There are constant, c"),
        (["experiment=mine"], "there is no experiment=mine; there are actionformer, birdsong, "),
        (["data=annotations", "data.root=nowhere", "budget=fast"], "budget is 'fast'; wanted one of"),
        (["data=annotations"], "data.root is not set; add data.root=... to the command"),
        (["data=annotations", "data.root=nowhere"], "nowhere: no such folder (data.root)"),
        (["data.span_length=[9,999]"], "spans may be 999 steps long"),
        (["ckpt_path=none.ckpt"], "none.ckpt: no such checkpoint"),
        (["criterion.quality=iou"], "quality"),
        (["span_loss=[giou,l1]"], "span_loss is [giou,l1]; wanted one choice; -m span_loss=giou,l1"),
        (["span_loss._target_=math.isqrt"], "span_loss: TypeError: math.isqrt() takes exactly one"),
        (["data.batch_size=x"], "data.batch_size is 'x'; wanted a number"),
        (["trainer.accelerator=magic"], "magic"),
        (["trainer.max_epochs=-1"], "set trainer.max_epochs or trainer.max_steps"),
        (["trainer.precision=bf16-true"], "trainer.precision is bf16-true; it may be 32-true"),
        (["trainer.precision=7"], "Precision 7 is invalid"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(refused, arguments, message):
    small = () if "data=annotations" in arguments else (*SMALL, "task=single")
    assert message in refused("train", *small, "hydra.run.dir=run", *arguments)


def test_a_mistake_in_a_folder_is_one_line(refused, annotated):
    np.save(annotated / "data" / "s3.npy", np.zeros((75,), np.float32))
    line = refused("train", "data=annotations", f"data.root={annotated}", "hydra.run.dir=run")
    assert "s3.npy: has 1 channel without names" in line


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "checkpoint is not set; add checkpoint=... to the command"),
        (["subset=train"], "subset is 'train'; it may be test, val or all"),
        (["subset=all"], "subset=all is for a folder; the model was trained on spanloc.data.Synth"),
        (["subset=all", "fit_decode=true"], "subset=all holds nothing out for fit_decode"),
        (["data.root=."], "data.root: the model was trained on spanloc.data.SyntheticData, without"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_evaluation_is_one_line(refused, trained, settings, message):
    checkpoint = [f"checkpoint={trained['detection'] / 'best.ckpt'}"] if settings else []
    assert refused("evaluate", *checkpoint, *settings).startswith(message)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", "spanloc-train data.root=FOLDER span_loss: smooth_giou annotations.json"),
        (
            "predict",
            "checkpoint= input= labelstudio resume=true view=true channels= on_rate= decode.",
        ),
    ],
)
def test_help_names_what_there_is(cli, capsys, command, words):
    cli(command, "--help")
    helped = capsys.readouterr().out
    assert [word for word in words.split() if word not in helped] == []


def test_train_and_check_name_the_same_settings_of_data(cli, capsys):
    blocks = []
    for command in ("train", "check"):
        cli(command, "--help")
        blocks += re.findall(
            r"(?s)Settings of your own data.*?fills missing", capsys.readouterr().out
        )
    assert len(blocks) == 2
    assert blocks[0] == blocks[1]
    known = yaml.safe_load((CONFIGS / "data" / "annotations.yaml").read_text())
    names = re.findall(r"data\.(\w+)=", blocks[0])
    assert len(names) == 10
    assert known.keys() >= {*names}


def test_the_cause_speaks_where_only_the_cleaning_up_has_failed():
    error = RuntimeError("Please call `iter(combined_loader)` first.")
    error.__context__ = ValueError("loaders cannot be started here")
    assert line_of(error) == "loaders cannot be started here"


def test_an_error_in_a_process_that_reads_is_its_last_line():
    trace = 'Original Traceback (most recent call last):\n  File "x.py", line 3\n    cut(x)\n'
    text = (
        f"Caught ValueError in DataLoader worker process 0.\n{trace}ValueError: a.npy: row 2: no\n"
    )
    assert line_of(ValueError(text)) == "a.npy: row 2: no"


def test_a_value_that_hydra_cannot_read_wants_quotes(cli):
    line = cli("predict", "out=epoch=1.json", "checkpoint=x", "input=x")
    assert "out=epoch=1.json cannot be read, " in line
    assert line.endswith("""'out="epoch=1.json"'""")


def test_a_checkpoint_needs_no_quotes(cli):
    # As Lightning names checkpoints.
    line = cli("predict", "checkpoint=epoch=1-step=2.ckpt", f"input={__file__}")
    assert "epoch=1-step=2.ckpt: no such file or folder (checkpoint)" in line


def test_a_run_is_not_trained_over(cli, trained, tmp_path):
    run = shutil.copytree(trained["single"], tmp_path / "run")
    before = (run / "last.ckpt").read_bytes()
    later = time.time() + 60  # as if it still went on
    os.utime(run / "last.ckpt", (later, later))
    line = cli("train", *SMALL, f"hydra.run.dir={run}")
    assert f"{run} holds a run already: resume='{run}' goes on with it" in line
    assert (run / "last.ckpt").read_bytes() == before
    assert not (run / "error.txt").exists()


@pytest.mark.parametrize(
    ("command", "argument", "near"),
    [
        ("train", "span_los=giou", "span_loss"),
        ("train", "data.rooot=x", "data.root"),  # of another choice than the usual one
        ("train", "optimizer.learning_rate=1", "optimizer.lr"),
        ("train", "batch_size=4", "data.batch_size"),
        ("train", "loss=giou", "span_loss"),
        ("tune", "num_trial=3", "num_trials"),
        ("predict", "checkpont=run", "checkpoint"),
    ],
)
def test_a_setting_that_does_not_exist_gets_the_closest_one(refused, command, argument, near):
    name = argument.partition("=")[0]
    line = refused(command, argument)
    assert line.startswith(f"there is no setting '{name}'; did you mean {near}? ")
    assert ("+optimizer.learning_rate=VALUE" in line) == (name == "optimizer.learning_rate")


def test_nothing_close_is_no_suggestion(refused):
    assert "'nothing'; --help lists" in refused("train", "nothing=3")


@pytest.mark.parametrize(
    ("command", "arguments", "line"),
    [
        ("train", ["m/ok"], "m/ok is no setting; settings are NAME=VALUE: data.root=m/ok"),
        ("train", ["m ok"], "m ok is no setting; settings are NAME=VALUE: 'data.root=m ok'"),
        ("train", ["gone"], "gone is no setting; settings are NAME=VALUE: data.root=FOLDER"),
        ("predict", ["m/ok"], "m/ok is no setting; settings are NAME=VALUE: checkpoint=RUN input=m/ok"),
        ("train", ["--configdir=m"], "there is no option --configdir; did you mean --config-dir?"),
        ("train", ["test=flase"], "test is 'flase'; wanted true or false"),
        ("predict", ["a.ckpt", "m/ok"], "a.ckpt is no setting; settings are NAME=VALUE: checkpoint=a.ckpt input=m/ok"),
        (
            "check",
            ["data.root=m", "data.columns={sequence:", "File,", "start:", "From}", "data.fps=5"],
            "a setting with spaces wants quotes: 'data.columns={sequence: File, start: From}'",
        ),
        (
            "check",
            ["data.root=m", "data.columns={time: Elapsed time [s], label: Event}"],
            "data.columns={time: Elapsed time [s], label: Event} cannot be read, because of its brackets, "
            "commas or other signs; write it so: 'data.columns={time: \"Elapsed time [s]\", label: Event}'",
        ),
        (
            "check",
            ["data.root=m", "data.columns=time"],
            "data.columns is 'time'; wanted {name: value}, in quotes: 'data.columns={...}'",
        ),
        ("report", ["m/ok"], "m/ok is no setting; settings are NAME=VALUE: runs=m/ok"),
        (
            "train",
            ["--budget", "quick", "--data.root=x", "--test"],
            "settings are written without dashes: budget=VALUE data.root=x test=VALUE",
        ),
        ("train", ["--config-dir"], "argument --config-dir/-cd: expected one argument"),
    ],
)  # fmt: skip
def test_an_argument_that_is_no_setting_is_one_line(refused, tmp_path, command, arguments, line):
    (tmp_path / "m" / "ok").mkdir(parents=True)
    (tmp_path / "m ok").mkdir()
    assert refused(command, *arguments, folder=tmp_path) == line
