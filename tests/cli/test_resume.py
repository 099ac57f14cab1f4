"""``resume=FOLDER``: a run goes on with its settings, and finishes what it had not done."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from conftest import BARE, SMALL
from hostile import results, same_results
from hydra.core.override_parser.overrides_parser import OverridesParser

from spanloc.cli import train
from spanloc.cli.run.resume import for_hydra, with_saved_settings
from spanloc.training.callbacks import Convergence


@pytest.fixture(scope="module")
def whole(cli):
    return cli("train", *SMALL, "span_loss=smooth_giou", "hydra.run.dir=run") / "run"


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Convergence, "_measure"),
        pytest.param(train, "write_evaluation", marks=pytest.mark.slow),  # 4 s
    ],
)
def test_a_run_killed_after_its_last_epoch_finishes_as_if_it_had_not_been(
    cli, whole, monkeypatch, tmp_path, owner, name
):
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        code = cli("train", *SMALL, "span_loss=smooth_giou", "hydra.run.dir=run", folder=tmp_path)
    assert code == 130
    assert (tmp_path / "run" / "error.txt").read_text() == "interrupted\n"
    cli("train", f"resume={tmp_path / 'run'}")
    same_results(tmp_path / "run", results(whole))
    assert not (tmp_path / "run" / "error.txt").exists()


@pytest.mark.slow  # 5 s
def test_a_copy_of_a_run_is_complete_where_the_run_is(cli, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run", copy_function=shutil.copyfile)
    assert isinstance(cli("train", f"resume={tmp_path / 'run'}"), Path)
    assert "nothing to do" in (tmp_path / "run" / "train.log").read_text().splitlines()[-1]
    cli("train", f"resume={tmp_path / 'run'}", "trainer.max_epochs=3", "test=false")
    shutil.copytree(tmp_path / "run", tmp_path / "copy", copy_function=shutil.copyfile)
    old = (tmp_path / "copy" / "scores.json").stat().st_mtime_ns
    # Its figures and scores are those of two epochs: the test is still to be done.
    assert isinstance(cli("train", f"resume={tmp_path / 'copy'}", "test=true"), Path)
    assert (tmp_path / "copy" / "scores.json").stat().st_mtime_ns > old
    metrics = json.loads((tmp_path / "copy" / "metrics.json").read_text())
    assert metrics["step"] == 18
    assert metrics["time/train"] > 0
    before = (tmp_path / "copy" / "metrics.json").stat().st_mtime_ns
    assert isinstance(cli("train", f"resume={tmp_path / 'copy'}", "test=true"), Path)
    assert (tmp_path / "copy" / "metrics.json").stat().st_mtime_ns == before


def test_a_run_goes_on_in_its_folder_with_its_settings(cli, whole, tmp_path, capsys):
    cli("train", *BARE, "span_loss=smooth_giou", "trainer.max_epochs=1", "scheduler=constant",
        "hydra.run.dir=run", folder=tmp_path)  # fmt: skip
    path = tmp_path / "run" / "last.ckpt"
    saved = torch.load(path, weights_only=True)
    assert 0 < saved["callbacks"]["_Results"]["seconds"] < 1000
    saved["callbacks"]["_Results"]["seconds"] = 1000.0
    torch.save(saved, path)
    assert "Chosen for these data" in capsys.readouterr().out
    code = cli("train", f"resume={tmp_path / 'run'}", "trainer.max_epochs=3")
    assert not isinstance(code, str), code
    assert "Chosen for these data" not in capsys.readouterr().out
    log = (tmp_path / "run" / "train.log").read_text()
    assert f"resuming from {tmp_path / 'run' / 'last.ckpt'}: after epoch 1, step 6\n" in log
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 3
    assert config["span_loss"]["_target_"] == "spanloc.losses.smooth_giou_loss"
    saved = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 2
    # Of all its parts.
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["time/train"] > 1000
    # The settings of the last command stay; a script may resume until all is done.
    assert isinstance(cli("train", f"resume={tmp_path / 'run'}"), Path)
    line = (tmp_path / "run" / "train.log").read_text().splitlines()[-1]
    assert "has done 3 epochs, and trainer.max_epochs is 3: there is nothing to do" in line


def test_the_arguments_are_those_of_the_run_and_the_new_ones(tmp_path):
    folder = tmp_path / "it's, a=b"
    folder.mkdir()
    (folder / "last.ckpt").touch()
    (folder / "overrides.yaml").write_text("- --config-dir=c\n- seed=3\n- +a.b=1\n- task=single\n")
    quoted = str(folder).replace("'", "\\'")
    saved = ["seed=3", f"hydra.run.dir='{quoted}'", f"ckpt_path='{quoted}/last.ckpt'"]
    found = with_saved_settings([f"resume={folder}", "task=detection", "a.b=2", "name=x"])
    assert found == ["--config-dir=c", *saved, "task=detection", "+a.b=2", "name=x"]
    found = with_saved_settings(
        [f"resume={folder / 'last.ckpt'}", "--config-dir=d", "-v", "+a.b=2", "task=single"]
    )
    assert found == ["--config-dir=d", "-v", *saved, "+a.b=2", "task=single"]
    assert with_saved_settings(["seed=1"]) == ["seed=1"]
    # Hydra reads its own options only before or after the settings.
    found = with_saved_settings(["experiment=zero_loss", "-m", "seed=1,2", "--config-dir", "a=b"])
    assert found == ["-m", "--config-dir", "a=b", "experiment=zero_loss", "seed=1,2"]


def arguments(folder, saved, *given):
    """What a resumed run adds to the settings of the run and of its place, and is given."""
    folder.mkdir(exist_ok=True)
    (folder / "last.ckpt").touch()
    (folder / "overrides.yaml").write_text(yaml.safe_dump(saved))
    found = with_saved_settings([f"resume={folder}", *given])
    return [a for a in found if not a.startswith(("hydra.run.dir=", "ckpt_path="))]


@pytest.mark.parametrize(
    ("saved", "given", "wanted"),
    [
        (["seed=1"], ["~callbacks.anneal", "--config-dir=d"], ["--config-dir=d", "seed=1", "~callbacks.anneal"]),
        # What the run had added cannot be taken away where it is not added.
        (["+a.b=1", "seed=1"], ["~a.b"], ["seed=1"]),
        (["~logger.csv", "seed=1"], ["~logger.csv"], ["seed=1", "~logger.csv"]),
        # The value of an option is no setting.
        (["--config-dir=c", "seed=1"], ["--config-dir", "a=b", "x=1"], ["--config-dir", "a=b", "seed=1", "x=1"]),
        # Another choice does not have the options of the old one.
        (["a=b", "a.c=1", "seed=1"], ["a=d"], ["seed=1", "a=d"]),
    ],
)  # fmt: skip
def test_what_is_given_beside_resume_is_laid_over_the_settings(tmp_path, saved, given, wanted):
    assert arguments(tmp_path / "run", saved, *given) == wanted


@pytest.mark.parametrize("name", ["a\\b", "a\\'b", "a\\", "a\\\\'b", "it's, a=b"])
def test_hydra_reads_the_folder_as_it_is_named(tmp_path, name):
    folder = tmp_path / name
    arguments(folder, [])
    found = with_saved_settings([f"resume={folder}"])
    read = OverridesParser.create().parse_overrides(found)
    assert [o.value() for o in read] == [str(folder), str(folder / "last.ckpt")]


def test_a_relative_folder_of_data_is_where_it_was(cli, annotated, tmp_path):
    settings = ("task=detection", "data=annotations", "backbone.width=8", "test=false", "fit_decode=false",
                "callbacks.convergence=null", "data.crops_per_epoch=8", "data.num_workers=0")  # fmt: skip
    place = tmp_path / "here"
    place.mkdir()
    (place / "data").symlink_to(annotated)
    first = ("data.root=data", "trainer.max_epochs=1", "hydra.run.dir=run")
    cli("train", *settings, *first, folder=place)
    # From another folder, and again, though the first time ends at once.
    assert "is of another model" in cli("train", f"resume={place / 'run'}", "backbone.width=4")
    said = cli("train", f"resume={place / 'run'}", "data.folds=2", "data.fold=0")
    assert "was trained with other recordings held out: data.fold" in said
    assert isinstance(cli("train", f"resume={place / 'run'}", "trainer.max_epochs=2"), Path)
    config = yaml.safe_load((place / "run" / "config.yaml").read_text())
    assert config["data"]["root"] == str(place / "data")


def test_unfinished_files_of_processes_that_are_gone_are_removed(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "run" / "figures").mkdir(parents=True)
    left = [
        f"figures/.spanloc-{gone.pid}-curves.png",
        f".spanloc-{os.getpid()}-last.ckpt",
        f".spanloc-{10**30}-best.ckpt",
    ]
    kept = [f".{os.getppid()}-metrics.json", ".hidden-file", "figures/1-2.png"]
    for name in left + kept:
        (tmp_path / "run" / name).touch()
    arguments(tmp_path / "run", [])
    assert [name for name in left + kept if (tmp_path / "run" / name).exists()] == kept


def test_a_refused_resume_leaves_the_run_as_it_was(cli, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")

    def files():
        folder = tmp_path / "run"
        return {p: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.suffix != ".log"}

    for path in (tmp_path / "run").rglob("*"):
        os.utime(path, (0, 0))  # what is younger than the command was written by it
    before = files()
    for refused in ("backbone.width=8", "data.num_train=0"):
        line = cli("train", f"resume={tmp_path / 'run'}", refused, "trainer.max_epochs=3")
        assert line.startswith("spanloc-train: error: ")
    assert files() == before
    more = ("trainer.max_epochs=3", "test=false", "fit_decode=false")
    assert not isinstance(cli("train", f"resume={tmp_path / 'run'}", *more), str)


def test_a_run_that_goes_on_for_longer_has_the_rate_of_its_new_schedule(cli, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    more = ("trainer.max_epochs=4", "test=false", "fit_decode=false")
    cli("train", f"resume={tmp_path / 'run'}", *more)
    rows = (tmp_path / "run" / "csv" / "version_1" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("lr")
    rates = [float(row.split(",")[column]) for row in rows[1:] if row.split(",")[column]]
    assert len(rates) == 12
    assert rates[0] > 1e-3  # about half of the highest, 2e-3
    assert rates == sorted(rates, reverse=True)


def test_a_folder_that_is_no_run_is_one_line(cli, whole, tmp_path):
    line = cli("train", f"resume={tmp_path}")
    assert line.startswith("spanloc-train: error: ")
    assert "overrides.yaml: no such file; resume names the folder of a run" in line
    line = cli("train", f"resume={tmp_path / 'none'}")
    assert line == f"spanloc-train: error: {tmp_path / 'none'}: no such folder (resume)"
    line = cli("train", "-m", f"resume={whole}")
    assert "it cannot be part of a sweep" in line
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "overrides.yaml").write_text("{a: 1}")
    assert "wanted a list of settings" in cli("train", f"resume={tmp_path / 'run'}")
    (tmp_path / "run" / "last.ckpt").unlink()
    line = cli("train", f"resume={tmp_path / 'run'}")
    assert "stopped before its first epoch ended" in line


@pytest.mark.parametrize("name", ["SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"])
def test_a_command_that_is_started_again_goes_on(trained, monkeypatch, name):
    command = [f"hydra.run.dir={trained['single']}"]
    for count, again in ((None, False), ("0", False), ("1", True), ("10", True)):
        if count is not None:
            monkeypatch.setenv(name, count)
        found = for_hydra(command, "train")
        assert any(text.startswith("ckpt_path=") for text in found) == again
