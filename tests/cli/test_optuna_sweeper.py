"""Hydra's own Optuna sweeper, in an environment that has it: it wants an Optuna that ours does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tuning_runs import QUICK

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
SEARCH = [
    "hydra/sweeper=optuna",
    "hydra.sweeper.direction=maximize",
    "hydra.sweeper.sampler.seed=0",
    "hydra.sweep.dir=out",
    "hydra.sweep.subdir=${hydra.job.num}",
    "test=false",
]


def sweep(folder, *settings):
    command = Path(sys.executable).with_name("spanloc-train")
    return subprocess.run(
        [command, "-m", *QUICK, *SEARCH, *settings], cwd=folder, timeout=500, capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, check=False,
    )  # fmt: skip


# 20 s of CPU.
@pytest.mark.slow
def test_it_gets_the_objective_of_every_run_and_keeps_the_best(tmp_path):
    storage = "hydra.sweeper.storage=sqlite:///study.db"
    settings = ["hydra.sweeper.n_trials=3", "optimizer.lr=interval(0.001,0.01)", storage]
    done = sweep(tmp_path, *settings, "hydra.sweeper.study_name=mine")
    assert done.returncode == 0, done.stderr
    runs = [tmp_path / "out" / number for number in "012"]
    found = [json.loads((run / "metrics.json").read_text())["val/tiou"] for run in runs]
    best = yaml.safe_load((tmp_path / "out" / "optimization_results.yaml").read_text())
    assert best["best_value"] == max(found)
    chosen = yaml.safe_load((runs[found.index(max(found))] / "config.yaml").read_text())
    assert chosen["optimizer"]["lr"] == best["best_params"]["optimizer.lr"]


# 10 s of CPU.
@pytest.mark.slow
def test_a_run_that_fails_ends_the_sweep(tmp_path):
    settings = ["hydra.sweeper.n_trials=2", "optimizer.lr=choice(-1.0,-2.0)"]
    done = sweep(tmp_path, *settings, "hydra.sweeper.n_jobs=1")
    assert done.returncode == 1
    assert "spanloc-train: error: " in done.stderr
    assert done.stderr.splitlines()[-1].endswith("out/0: Invalid learning rate: -2.0")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "1").exists()
