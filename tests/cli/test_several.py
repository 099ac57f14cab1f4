"""One run in two processes, started by Lightning, torchrun or SLURM: what one process gives, once."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL

from spanloc.cli.frame import ranks, stopping

NOTES = """
import json
from pathlib import Path

import torch
from pytorch_lightning import Callback


class Notes(Callback):
    def note(self, trainer, **values):
        path = Path(trainer.default_root_dir) / f"process-{trainer.global_rank}.jsonl"
        with path.open("a") as file:
            print(json.dumps(values), file=file)

    def on_train_start(self, trainer, task):
        self.note(trainer, config=task.config)

    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        self.note(trainer, epoch=trainer.current_epoch, trained=batch.ids)

    def on_validation_batch_start(self, trainer, task, batch, *_):
        if not trainer.sanity_checking:
            self.note(trainer, epoch=trainer.current_epoch, validated=batch.ids)

    def on_before_optimizer_step(self, trainer, task, optimizer):
        gradients = [p.grad.flatten() for p in task.parameters() if p.grad is not None]
        self.note(trainer, gradient=torch.cat(gradients).tolist())
"""
# A number of sequences that two processes do not share evenly, and steps that do not hide an error.
SETTINGS = (
    *SMALL, "data.num_val=7", "data.num_test=9", "optimizer=sgd", "fit_decode=false",
    "callbacks.convergence=null", "callbacks.gradients.every_n_steps=1",
    "+callbacks.notes._target_=their_notes.Notes",
)  # fmt: skip
TWO = (*SETTINGS, "trainer=ddp_cpu", "data.batch_size=4")
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def alone(cli, tmp_path_factory):
    """The run of one process, with steps of as many sequences."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "their_notes.py").write_text(NOTES)
    found = cli("train", *SETTINGS, "seed=1", "hydra.run.dir=run", folder=folder)
    assert found == folder, found
    return folder / "run"


def started(folder, *commands, environments=({},)):
    """What commands print that run at the same time; they have to end well."""
    (folder / "their_notes.py").write_text(NOTES)
    processes = [
        subprocess.Popen(
            list(map(str, command)), cwd=folder, text=True, stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", **more}, stderr=subprocess.PIPE,
        )
        for command, more in zip(commands, environments, strict=True)
    ]  # fmt: skip
    try:
        found = [process.communicate(timeout=400) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), found
    return [out for out, _ in found]


def notes(folder, what, process=None):
    files = [folder / f"process-{process}.jsonl"]
    if process is None:
        files = sorted(folder.glob("process-*.jsonl"))
    rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    return [row for row in rows if what in row]


def same_as(alone, two):
    """The run of two processes in the folder ``two`` is the run of one, to 1e-6."""
    for what, count in (("trained", 48), ("validated", 7)):
        for epoch in (0, 1):
            one, both = (
                sorted(x for r in notes(run, what) if r["epoch"] == epoch for x in r[what])
                for run in (alone, two)
            )
            assert both == one, what
            assert len(both) == len(set(both)) == count
    configs = [row["config"] for row in notes(two, "config")]
    assert len(configs) == 2
    assert configs[0] == configs[1]
    one, first, second = (
        np.array([row["gradient"] for row in notes(run, "gradient", process)])
        for run, process in ((alone, 0), (two, 0), (two, 1))
    )
    assert one.shape == first.shape
    assert len(one) == 12
    assert np.abs(one).max() > 0.01
    assert np.array_equal(first, second)
    assert np.abs(first - one).max() < 1e-6
    names = ["step", "grad/params", "grad/clipped", "grad/spans"]
    tables = [
        pd.read_csv(run / "csv" / "version_0" / "metrics.csv")[names].dropna()
        for run in (alone, two)
    ]
    assert tables[1]["step"].tolist() == list(range(12)), "a row for each step, once"
    assert np.abs(tables[0].to_numpy() - tables[1].to_numpy()).max() < 1e-6
    one, both = (json.loads((run / "metrics.json").read_text()) for run in (alone, two))
    assert one.keys() == both.keys()
    assert {"val/tiou", "test/tiou"} <= one.keys()
    for name in one.keys() - {"time/train"}:
        assert both[name] == pytest.approx(one[name], abs=1e-6), name
    scores = json.loads((two / "scores.json").read_text())
    assert scores["num_sequences"] == 9
    assert len(json.loads((two / "environment.json").read_text())["starts"]) == 1


# 25 s of CPU.
@pytest.mark.slow
def test_a_sweep_in_two_processes_gives_what_one_gives(alone, tmp_path):
    command = [BIN / "spanloc-train", "-m", *TWO, "seed=0,1", "hydra.sweep.dir=out"]
    (said,) = started(tmp_path, [*command, "hydra.sweep.subdir=${hydra:job.num}"])
    assert said.count("Everything is in") == said.count("Chosen for these data") == 2
    for seed in (0, 1):
        configs = [row["config"]["seed"] for row in notes(tmp_path / "out" / str(seed), "config")]
        assert configs == [seed, seed]
    same_as(alone, tmp_path / "out" / "1")


def by_torchrun(tmp_path):
    port = free_port()
    run = ["--no-python", BIN / "spanloc-train", *TWO, "seed=1", "hydra.run.dir=run"]
    return [[BIN / "torchrun", "--nproc-per-node=2", f"--master-port={port}", *run]], [{}]


def on_two_machines(tmp_path):
    port = free_port()
    run = [
        "--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}",
        "--no-python", BIN / "spanloc-train", *TWO, "trainer.devices=1", "trainer.num_nodes=2",
        "seed=1", "hydra.run.dir=run",
    ]  # fmt: skip
    return [[BIN / "torchrun", f"--node-rank={rank}", *run] for rank in (0, 1)], [{}, {}]


def by_slurm(tmp_path):
    shared = {
        "SLURM_JOB_ID": "1234", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_NNODES": "1",
        "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NODEID": "0",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
    }  # fmt: skip
    command = [BIN / "spanloc-train", *TWO, "seed=1", "hydra.run.dir=run"]
    places = [{"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in (0, 1)]
    return [command, command], [{**shared, **place} for place in places]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


# 15 s of CPU each.
@pytest.mark.slow
@pytest.mark.parametrize("start", [by_torchrun, on_two_machines, by_slurm])
def test_processes_that_others_start_make_one_run(alone, tmp_path, start):
    commands, environments = start(tmp_path)
    said = "".join(started(tmp_path, *commands, environments=environments))
    assert said.count("Everything is in") == said.count("Chosen for these data") == 1
    logged = [line.split("] - ")[1] for line in said.splitlines() if "] - " in line]
    assert len(logged) == len(set(logged)), "a line of each process"
    assert "GLOBAL_RANK" not in said
    same_as(alone, tmp_path / "run")


# 15 s of CPU.
@pytest.mark.slow
def test_two_processes_evaluate_as_one_into_one_result(alone, tmp_path, cli):
    given = [f"checkpoint={alone / 'best.ckpt'}", "data.batch_size=2", "allow=[their_notes]"]
    given += ["fit_decode=true", f"fit_into={tmp_path / 'fitted.ckpt'}", "hydra.run.dir=run"]
    command = [BIN / "spanloc-evaluate", *given, "trainer=ddp_cpu"]
    (said,) = started(tmp_path, command)
    assert said.count("Everything is in") == 1
    assert (tmp_path / "fitted.ckpt").is_file()
    one = cli("evaluate", *given, "trainer.accelerator=cpu")
    files = ("metrics.json", "scores.json", "predictions.json")
    for name in files:
        first, second = (json.loads((f / "run" / name).read_text()) for f in (one, tmp_path))
        assert numbers(first) == pytest.approx(numbers(second), abs=1e-6), name
    assert len(second["results"]) == 9


def numbers(value, name=""):
    """The numbers of a result, by their place in it."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return {k: v for key in value for k, v in numbers(value[key], f"{name}/{key}").items()}
    return {name: value} if isinstance(value, float | int) else {}


def at(monkeypatch, **environment):
    """As a process of torchrun or srun has it."""
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", *TORCHRUN, *SRUN):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "RANK": "2", "LOCAL_RANK": "0"}
SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}


@pytest.mark.parametrize("environment", [TORCHRUN, SRUN])
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("tune", ["hydra.run.dir=a"], "4 processes; spanloc-tune is for one, started without these"),
        ("predict", ["hydra.run.dir=a"], "4 processes; spanloc-predict is for one"),
        ("train", ["seed=1"], "4 processes; wanted hydra.run.dir=FOLDER, since the time"),
        ("train", ["-m", "hydra.run.dir=a"], "a sweep starts those of its runs by itself"),
        ("train", ["launcher=joblib", "hydra.run.dir=a"], "a sweep starts those of its runs"),
        ("train", ["hydra/sweeper=optuna", "hydra.run.dir=a"], "a sweep starts those of its runs"),
        ("train", ["hydra.run.dir=a"], None),
        ("evaluate", ["hydra.run.dir=a"], None),
    ],
)  # fmt: skip
def test_what_several_processes_cannot_share_is_refused(
    monkeypatch, environment, name, arguments, message
):
    at(monkeypatch)
    ranks.refuse_started(name, ["-m"])
    at(monkeypatch, **environment)
    assert stopping.is_child(), "its number among all of them, not among those of its machine"
    if message is None:
        ranks.refuse_started(name, arguments)
    else:
        with pytest.raises(ValueError, match=message):
            ranks.refuse_started(name, arguments)


def test_other_processes_than_were_started_are_refused(monkeypatch):
    at(monkeypatch)
    ranks.check_started(SimpleNamespace(world_size=2))
    at(monkeypatch, **TORCHRUN)
    ranks.check_started(SimpleNamespace(world_size=4))
    with pytest.raises(ValueError, match=r"started 4 processes, and .* is 1; wanted 4"):
        ranks.check_started(SimpleNamespace(world_size=1))


def test_a_mistake_that_all_see_is_left_to_the_first_process(monkeypatch, tmp_path):
    waited = []
    monkeypatch.setattr(ranks, "_PATIENCE", 0.1)
    monkeypatch.setattr(ranks.time, "sleep", waited.append)
    for environment in ({}, {"LOCAL_RANK": "1"}, {**TORCHRUN, "RANK": "0"}):
        at(monkeypatch, **environment)
        ranks.leave_to_first(tmp_path / "error.txt")
        assert not waited
    at(monkeypatch, **TORCHRUN)
    ranks.leave_to_first(tmp_path / "error.txt")
    assert waited
    waited.clear()
    (tmp_path / "error.txt").touch()
    ranks.leave_to_first(tmp_path / "error.txt")
    assert not waited
