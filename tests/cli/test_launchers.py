"""Sweeps, and the launchers that carry their runs out: a run that fails is named, and ends no other."""

import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
from conftest import SMALL
from hydra import compose, initialize_config_module
from hydra.core.utils import run_job
from processes import ended

from spanloc.cli import train
from spanloc.cli.run import launchers
from spanloc.cli.run.launchers import _without_result
from spanloc.cli.run.requeue import stopping_saved
from spanloc.cli.run.resume import for_hydra
from spanloc.cli.run.sweeps import FailedRunError, Outcome, how_to_go_on
from spanloc.training.callbacks import LastCheckpoint

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "scaling.md").read_text()
COMMANDS = re.findall(
    r"spanloc-train (.*)$",
    "\n".join(re.findall(r"```sh\n(.*?)\n```", PAGE, re.DOTALL)),
    re.MULTILINE,
)
BARE = (
    *SMALL, "trainer.max_epochs=1", "callbacks.convergence=null", "callbacks.gradients=null",
    "test=false", "fit_decode=false", "data.num_workers=0",
)  # fmt: skip
BY_NUMBER = ("hydra.sweep.dir=out", "hydra.sweep.subdir=${hydra:job.num}")
LOSSES = """
import os, signal

def wrong(pred, target):
    raise ValueError("no such span")

def wrong_in_the_second(pred, target):
    if pred.requires_grad and os.environ.get("LOCAL_RANK") == "1":
        raise ValueError("no such span")
    return (pred - target).abs().sum(-1)

def killed(pred, target):
    if pred.requires_grad:
        os.kill(os.getpid(), signal.SIGKILL)
    return (pred - target).abs().sum(-1)
"""


@pytest.fixture
def ran(monkeypatch):
    """The seeds of the runs, in place of training: odd ones fail. Launchers stay in this process."""
    seeds = []

    def stub(config, callbacks=()):
        seeds.append(config.seed)
        if config.seed % 2:
            raise ValueError(f"seed {config.seed // 10}1 is odd")

    def here(self, jobs):
        for job in jobs:
            sweep = "hydra.sweep.dir", "hydra.sweep.subdir"
            yield job, partial(run_job, job.task, job.config, *sweep, job.context)

    monkeypatch.setattr(train, "run", stub)
    for kind in launchers.LAUNCHERS:
        monkeypatch.setattr(kind, "_results", here)
        monkeypatch.setattr(kind, "needs", "sys")
    return seeds


def test_runs_that_fail_are_named_after_the_others_have_run(cli, tmp_path, ran):
    line = cli("train", "-m", "seed=0,1,21", *BY_NUMBER, folder=tmp_path)
    assert ran == [0, 1, 21]
    assert line.splitlines() == [
        "spanloc-train: error: 2 of 3 runs failed:",
        "  out/1: seed 01 is odd",
        "  out/2: seed 21 is odd",
    ]
    marks = {path.parent.name: path.read_text() for path in tmp_path.glob("out/*/error.txt")}
    assert marks == {"1": "seed 01 is odd\n", "2": "seed 21 is odd\n"}


def test_a_mistake_of_all_runs_is_one_line_and_the_choice_is_in_no_name(cli, tmp_path, ran):
    line = cli("train", "launcher=joblib", "seed=1,3", "hydra.sweep.dir=out", folder=tmp_path)
    assert line == "spanloc-train: error: all 2 runs failed: seed 01 is odd"
    names = {path.parent.name for path in tmp_path.glob("out/*/error.txt")}
    assert names == {"0_seed-1", "1_seed-3"}


def test_an_earlier_run_in_the_folder_stays_as_it_was(cli, tmp_path, ran):
    (tmp_path / "out" / "0").mkdir(parents=True)
    (tmp_path / "out" / "0" / "metrics.json").write_text("{}")
    os.utime(tmp_path / "out" / "0" / "metrics.json", (0, 0))
    line = cli("train", "-m", "seed=1", *BY_NUMBER, folder=tmp_path)
    assert line == "spanloc-train: error: 1 of 1 run failed: out/0: seed 01 is odd"
    assert not (tmp_path / "out" / "0" / "error.txt").exists()


def test_a_package_that_is_missing_is_named_before_anything_is_written(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(launchers.Slurm, "needs", "not_there")
    line = cli("train", "launcher=slurm", "seed=0,1", *BY_NUMBER, folder=tmp_path)
    wanted = "launcher=slurm needs not_there: pip install 'spanloc[slurm]' (in a clone: '.[slurm]')"
    assert line == f"spanloc-train: error: {wanted}"
    assert not (tmp_path / "out").exists()


def test_the_cores_are_divided_among_the_runs(monkeypatch):
    monkeypatch.setattr(launchers, "num_cores", lambda: 8)
    assert [launchers.Joblib()._threads(count) for count in (1, 3, 8, 20)] == [8, 2, 1, 1]
    assert launchers.Joblib(n_jobs=2)._threads(20) == 4
    assert launchers.Joblib(threads=3)._threads(20) == 3
    with pytest.raises(ValueError, match="n_jobs is 0; wanted a whole number, at least 1"):
        launchers.Joblib(n_jobs=0)


def test_a_failure_comes_out_of_another_process_as_it_was():
    again = pickle.loads(pickle.dumps(FailedRunError("out/1", "a line")))
    assert (again.folder, again.line, str(again)) == ("out/1", "a line", "out/1: a line")
    assert Outcome().message() is None


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Job 3 has not produced any output (state: TIMEOUT)\nNo error stream", "state: TIMEOUT"),
        ("A worker was terminated. Perhaps by a fault", "A worker was terminated"),
        ("ray::carry_out()\n  File ...\nModuleNotFoundError: spanloc", "ModuleNotFoundError: spanloc"),
    ],
)  # fmt: skip
def test_a_process_that_ended_without_a_result_has_a_line(text, cause):
    assert f"without a result ({cause})," in _without_result(RuntimeError(text))


def test_the_settings_of_the_commands_of_the_page_exist():
    settings = {}
    for text in COMMANDS:
        one = re.sub(r"=(\w+),\w+", r"=\1", text.replace("$SLURM_JOB_ID", "3"))
        given = shlex.split(one)
        kind = next((a for a in given if a.startswith("launcher=")), "one run")
        settings.setdefault(kind, {}).update(dict.fromkeys(given))
    assert settings.keys() == {"launcher=joblib", "launcher=slurm", "launcher=ray", "one run"}
    with initialize_config_module("spanloc.configs", version_base="1.3"):
        for given in settings.values():
            compose("train", overrides=for_hydra(list(given), "train"))


# 40 s of CPU each.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "settings"),
    [
        ("joblib", ["launcher=joblib"]),
        ("submitit", ["launcher=slurm", "hydra.launcher.executor=local"]),
        ("ray", ["launcher=ray"]),
    ],
)
def test_a_run_that_fails_or_is_killed_ends_no_other(tmp_path, package, settings):
    pytest.importorskip(package)
    (tmp_path / "mine.py").write_text(LOSSES)
    losses = "span_loss._target_=mine.wrong,mine.killed,spanloc.losses.giou_loss"
    workers = "data.num_workers=1"  # what the settings choose for recordings
    code, _, errors = ended("train", *settings, *BARE, *BY_NUMBER, workers, losses, folder=tmp_path)
    assert code == 1
    *_, first, wrong, killed = sorted(errors.splitlines()[-3:], key=lambda x: (x[0] == " ", x))
    assert first == "spanloc-train: error: 2 of 3 runs failed:"
    assert wrong == "  out/0: span_loss: no such span"
    assert killed.startswith("  out/1: its process ended without a result (")
    assert "Traceback" not in errors
    out = tmp_path / "out"
    assert (out / "0" / "error.txt").read_text() == "span_loss: no such span\n"
    assert (out / "1" / "error.txt").read_text().strip() == killed.removeprefix("  out/1: ")
    assert (out / "2" / "metrics.json").is_file()
    # resume= is of this run alone.
    assert "launcher" not in (out / "2" / "overrides.yaml").read_text()
    assert "training ended: epoch" in (out / "2" / "output.log").read_text()


# 40 s of CPU.
@pytest.mark.slow
def test_a_run_of_two_processes_that_fails_ends_no_other(tmp_path):
    (tmp_path / "mine.py").write_text(LOSSES)
    losses = "span_loss._target_=mine.wrong_in_the_second,spanloc.losses.giou_loss"
    settings = ("-m", *BARE, *BY_NUMBER, losses, "trainer.devices=2")
    _, _, errors = ended("train", *settings, folder=tmp_path)
    assert (
        errors.splitlines()[-1] == "spanloc-train: error: 1 of 2 runs failed: out/0: no such span"
    )
    assert (tmp_path / "out" / "0" / "error.txt").read_text() == "no such span\n"
    assert (tmp_path / "out" / "1" / "metrics.json").is_file()


# 60 s of CPU.
@pytest.mark.slow
def test_two_workers_of_ray_train_one_model(annotated):
    pytest.importorskip("ray.train")
    options = ("--epochs", "2", "--batch-size", "1", "--storage", annotated / "kept")
    script = ROOT / "scripts" / "ray_train.py"
    command = [sys.executable, script, annotated, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    found = dict(
        line.split(": ") for line in done.stdout.splitlines() if re.match(r"[\w/@.]+: ", line)
    )
    assert Path(found["checkpoint"]).is_file()
    assert float(found["epoch"]) == 1
    assert "val/mAP@0.50" in found


TINY = (
    "trainer.max_epochs=1", "trainer.max_steps=2", "trainer.accelerator=cpu", "backbone.width=8", "neck.width=8",
    "head.width=8", "data.crops_per_epoch=8", "data.batch_size=2", "data.num_workers=0", "test=false",
    "fit_decode=false", "callbacks.convergence=null", "callbacks.gradients=null", "hydra.sweep.dir=out",
)  # fmt: skip


# 40 s of CPU each.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("beginning", "package", "more"),
    [
        ("launcher=joblib data", "joblib", []),
        ("launcher=joblib hydra", "joblib", []),
        ("launcher=slurm", "submitit", ["hydra.launcher.executor=local"]),
        ("launcher=ray data", "ray", []),
        ("data.root=FOLDER trainer=ddp_cpu", "torch", ["hydra.run.dir=out"]),
    ],
)
def test_a_command_of_the_page_trains(annotated, beginning, package, more):
    pytest.importorskip(package)
    (text,) = [text for text in COMMANDS if text.startswith(beginning)]
    command = shlex.split(text.replace("FOLDER", str(annotated)))
    code, _, errors = ended("train", *command, *TINY, *more, folder=annotated)
    assert code == 0, errors[-2000:]
    runs = list((annotated / "out").rglob("metrics.json"))
    assert len(runs) == (2 if "launcher" in beginning else 1)


def test_a_sweep_that_is_stopped_says_how_each_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, files in (
        ("0", ("overrides.yaml", "last.ckpt")),
        ("1", ("overrides.yaml",)),
        ("2", ()),
    ):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).touch()
    assert how_to_go_on([tmp_path / name for name in "012"], 3).split("\n") == [
        f"To resume it: spanloc-train resume={tmp_path / '0'}",
        "1: its first epoch had not ended, so nothing was saved: start it again",
        "4 runs of the sweep had not begun: start a sweep of the rest",
    ]
    assert how_to_go_on([tmp_path / "2"], 0).startswith("1 run of the sweep had not begun")


def test_a_run_whose_workers_had_the_signal_too_has_not_failed():
    def train_until_the_signal():
        last = Mock(spec=LastCheckpoint, can_save=True)
        with stopping_saved(Mock(callbacks=[last])):
            signal.raise_signal(signal.SIGTERM)
            raise RuntimeError("DataLoader worker is killed by signal: Terminated.")

    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with pytest.raises(KeyboardInterrupt, match="terminated"):
            train_until_the_signal()
    finally:
        signal.signal(signal.SIGTERM, before)
