"""With what a run was trained is stored; one that goes on says what of its data has changed."""

import logging
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import annotated as annotated_data
from conftest import unchecked
from hostile import weights
from pytorch_lightning.loggers.logger import Logger

from spanloc.cli.run.environment import git_state, read_environment, write_start
from spanloc.data import AnnotatedData, SyntheticData
from spanloc.data.fingerprint import Fingerprint
from spanloc.training.task import SpanLocalizer

CPU = SimpleNamespace(
    strategy=SimpleNamespace(root_device=torch.device("cpu")), num_devices=1, is_global_zero=True
)
# Weights are averaged, and the loss is annealed; two epochs of three batches.
SETTINGS = (
    "task=detection", "callbacks=anneal", "span_loss=smooth_giou",
    "transforms=[jitter,time_warp,mix_background]", "data.crop_seconds=4",
    "data.crops_per_epoch=6", "data.batch_size=2", "backbone.width=8", "backbone.stride=1",
    "backbone.num_blocks=1", "neck.num_blocks=1", "neck.num_levels=2", "trainer.max_epochs=2",
    "trainer.accelerator=cpu", "test=false", "fit_decode=false", "callbacks.convergence=null",
    "callbacks.gradients=null", "logger.tensorboard=null", "hydra.run.dir=run",
)  # fmt: skip


def test_a_run_stores_with_what_it_was_trained(trained):
    found = read_environment(trained["single"])
    (start,) = found.starts
    assert found.data is None  # made from the settings
    assert start.packages["torch"] == torch.__version__
    assert start.packages["numpy"] == np.__version__
    assert not {"pytest", "ruff"} & set(start.packages)
    assert start.command.startswith("spanloc-train ")
    assert "task=single" in start.command
    assert start.devices == ["cpu"]
    assert start.threads == torch.get_num_threads()
    assert start.processor


def test_the_state_of_git_is_that_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() is None
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        assert git_state() is None
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    names = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q", "-b", "trunk"], ["add", "."], ["commit", "-q", "-m", "first"]):
        (tmp_path / "file").write_text("a")
        subprocess.run(["git", *names, *arguments], check=True)
    found = git_state()
    assert (len(found.commit), found.branch, found.dirty) == (40, "trunk", False)
    (tmp_path / "file").write_text("b")
    assert git_state() == replace(found, dirty=True)


def started(folder, data, resumed=None):
    datamodule = AnnotatedData(data)
    datamodule.setup()
    write_start(folder, CPU, datamodule, resumed)


def test_what_has_changed_in_the_data_is_one_warning(annotated, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    first, second = tmp_path / "first", tmp_path / "second"
    started(first, annotated)
    file = annotated / "annotations.json"
    file.write_text(file.read_text().replace("[4.0, 5.5]", "[4.0, 5.0]"))
    np.save(annotated / "data" / "s3.npy", np.zeros((75, 2)))
    started(second, annotated, first / "last.ckpt")
    (warning,) = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert warning == (
        "the data have changed since the run began: 1 annotation file changed: 'annotations.json'; "
        "1 signal file changed: 'data/s3.npy'"
    )
    starts = read_environment(second).starts
    assert [start.changes for start in starts] == [[], warning.split(": ", 1)[1].split("; ")]
    caplog.clear()
    # The same data as the time before.
    started(second, annotated, second / "last.ckpt")
    assert not caplog.records
    assert len(read_environment(second).starts) == 3


def test_a_copy_of_the_data_is_the_same_data(annotated, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    started(tmp_path / "run", annotated)
    shutil.copytree(annotated / "data", tmp_path / "copy" / "data", copy_function=shutil.copyfile)
    shutil.copy(annotated / "annotations.json", tmp_path / "copy")
    for path in (tmp_path / "copy" / "data").iterdir():
        os.utime(path, (1, 1))
    started(tmp_path / "run", tmp_path / "copy", tmp_path / "run" / "last.ckpt")
    (said,) = caplog.records
    assert said.levelno == logging.INFO
    assert said.message.startswith("8 of 8 signal files have the same size and another time, as af")


@pytest.mark.parametrize("content", [None, "{}", "[", '{"starts": [], "data": null}'])
def test_a_run_without_a_record_goes_on(tmp_path, caplog, content):
    caplog.set_level(logging.INFO)
    if content is not None:
        (tmp_path / "environment.json").write_text(content)
    write_start(tmp_path, CPU, SyntheticData(num_train=1), tmp_path / "last.ckpt")
    (said,) = caplog.records
    assert said.message.startswith("whether the data have changed since the run began is not known")
    assert str(tmp_path / "environment.json") in said.message
    assert len(read_environment(tmp_path).starts) == 1


def test_files_that_are_both_count_as_recordings(tmp_path):
    for name in ("a.edf", "b.dat", "c.xyz", "b.atr", "subsets.csv"):
        (tmp_path / name).write_text(name)
    (tmp_path / "b.hea").write_text("# d.dat\nb 2\nb.dat 16\nc.xyz 16\n")
    paths = [tmp_path / name for name in ("a.edf", "b.atr", "subsets.csv", "missing.csv")]
    found = Fingerprint.of(tmp_path, paths, [tmp_path / "a.edf", tmp_path / "b.hea"])
    assert set(found.annotations) == {"b.atr", "subsets.csv"}
    assert {name: size for name, (size, _) in found.signals.items()} == {
        "a.edf": 5,
        "b.hea": 30,
        "b.dat": 5,
        "c.xyz": 5,
    }


@pytest.fixture(scope="module")
def whole(cli, tmp_path_factory):
    """A run of ``SETTINGS`` that was not disturbed, and the settings with the data."""
    data = annotated_data.__wrapped__(tmp_path_factory.mktemp("data"))
    settings = ("data=annotations", f"data.root={data}", *SETTINGS)
    with unchecked():
        folder = cli("train", *settings)
    assert not isinstance(folder, str), folder
    return folder / "run", settings


@pytest.mark.slow  # 3 s each
@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_seed_gives_the_same_model_with_any_number_of_workers(cli, whole, workers):
    folder, settings = whole
    with unchecked():
        other = cli("train", *settings, f"data.num_workers={workers}")
    assert weights(other / "run") == weights(folder)


class Unreachable(Logger):
    """A logger whose server is gone."""

    name = version = "unreachable"

    def log_metrics(self, metrics, step=None):
        raise ConnectionError("the server is gone")

    def log_hyperparams(self, *args, **kwargs):
        pass


def test_a_job_that_slurm_stops_in_an_epoch_and_starts_again_ends_as_one_that_was_not(
    cli, whole, tmp_path, monkeypatch
):
    expected, settings = whole
    fake = tmp_path / "bin" / "scontrol"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    slurm = {"JOB_ID": "7", "NTASKS": "1", "JOB_NAME": "mine", "PROCID": "0", "LOCALID": "0"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    command = (*settings, "+logger.gone._target_=test_environment.Unreachable")
    with monkeypatch.context() as patch:
        usual, steps = SpanLocalizer.training_step, []

        def step(*args):
            steps.append(1)
            if len(steps) == 5:
                os.kill(os.getpid(), signal.SIGUSR1)
                os.kill(os.getpid(), signal.SIGTERM)  # as SLURM does where time is short
            return usual(*args)

        patch.setattr(SpanLocalizer, "training_step", step)
        with unchecked():
            assert cli("train", *command, folder=tmp_path) == 143
    assert len(steps) == 5
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    run = tmp_path / "run"
    assert (run / "error.txt").read_text() == "terminated\n"
    assert torch.load(run / "last.ckpt", weights_only=True)["global_step"] == 5
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with unchecked():
        assert cli("train", *command, folder=tmp_path) == tmp_path
    assert weights(run) == weights(expected)
    assert len(read_environment(run).starts) == 2
    log = (run / "train.log").read_text()
    assert log.count("ConnectionError: the server is gone; the run goes on without it") == 2
    assert "data have changed" not in log
    assert not (run / "error.txt").exists()
