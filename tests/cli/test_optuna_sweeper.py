"""Hydra's own Optuna sweeper, in an environment that has it: it wants an Optuna that ours does not."""

import json

import pytest
import yaml
from processes import ended
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
    return ended("train", "-m", *QUICK, *SEARCH, *settings, folder=folder)


# 20 s of CPU.
@pytest.mark.slow
def test_it_gets_the_objective_of_every_run_and_keeps_the_best(tmp_path):
    storage = "hydra.sweeper.storage=sqlite:///study.db"
    settings = ["hydra.sweeper.n_trials=3", "optimizer.lr=interval(0.001,0.01)", storage]
    code, _, errors = sweep(tmp_path, *settings, "hydra.sweeper.study_name=mine")
    assert code == 0, errors
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
    code, _, errors = sweep(tmp_path, *settings, "hydra.sweeper.n_jobs=1")
    assert code == 1
    assert "spanloc-train: error: " in errors
    assert errors.splitlines()[-1].endswith("out/0: Invalid learning rate: -2.0")
    assert "Traceback" not in errors
    assert not (tmp_path / "out" / "1").exists()
