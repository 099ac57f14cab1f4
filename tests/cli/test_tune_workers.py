"""A study that is killed, and one that several processes work on."""

import signal

import pytest
from tuning_runs import STUDY, started, trials_of

from spanloc.cli.search.space import search_space
from spanloc.cli.search.study import JOURNAL, SharedStudy

# The second trial is killed after its first validation, as it stands: nothing is cleaned up.
KILL = """
import os, signal
report = tune_trial.ReportToTrial.on_validation_end
def killed(self, trainer, module):
    report(self, trainer, module)
    if self.trial.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
tune_trial.ReportToTrial.on_validation_end = killed
"""
# A trial waits until another worker has one too.
TOGETHER = """
import os, time
from pathlib import Path
def run(config, callbacks):
    Path(f"worker-{os.getpid()}").touch()
    end = time.monotonic() + 60
    while len(list(Path().glob("worker-*"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    return config.optimizer.lr
train.run = run
"""


def errors_of(folder):
    return [path.read_text() for path in folder.glob("errors-*")]


def test_a_study_that_was_killed_loses_and_repeats_nothing(cli, tmp_path):
    process = started(KILL, *STUDY, folder=tmp_path)
    process.join()
    assert process.exitcode == -signal.SIGKILL, errors_of(tmp_path)
    study = tmp_path / "study"
    (first,) = (t for t in trials_of(study) if t["state"] == "finished")
    written = (study / "trials" / "0000" / "best.ckpt").stat().st_mtime_ns
    # As if it had been killed while it wrote.
    with (study / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 6, "worker')
    assert not isinstance(cli("tune", f"resume={study}"), str | int)
    trials = trials_of(study)
    assert [t["state"] for t in trials] == ["finished", "killed", "finished", "finished"]
    assert trials[0] == first
    assert (study / "trials" / "0000" / "best.ckpt").stat().st_mtime_ns == written
    assert (study / "trials" / "0001" / "error.txt").read_text() == "killed\n"
    assert trials[2]["params"] == trials[1]["params"]
    assert trials[3]["params"] not in [t["params"] for t in trials[:3]]
    assert sum(1 for _ in (study / "trials").glob("*/metrics.json")) == 3


@pytest.mark.slow  # 6 s
def test_two_workers_share_the_trials_of_one_study(tmp_path):
    processes = [started(TOGETHER, *STUDY, "num_trials=5", folder=tmp_path) for _ in range(2)]
    for process in processes:
        process.join()
        assert process.exitcode == 0, errors_of(tmp_path)
    trials = trials_of(tmp_path / "study")
    assert [t["state"] for t in trials] == ["finished"] * 5
    assert len({str(t["params"]) for t in trials}) == 5
    assert len(list(tmp_path.glob("worker-*"))) == 2


def opened(folder, **options):
    space = search_space({"a": {"low": 0.0, "high": 1.0}})
    settings = {
        "sampler": {"_target_": "optuna.samplers.RandomSampler"},
        "pruner": None,
        "num_trials": 3,
        "seed": 0,
    }
    return SharedStudy(folder, "maximize", space, **{**settings, **options})


def test_a_trial_of_another_machine_is_left_alone_until_it_is_taken_over(tmp_path, monkeypatch):
    study = opened(tmp_path)
    first = study.next_trial()
    first.set_user_attr("host", "another")
    again = opened(tmp_path)
    assert again.next_trial().params != first.params
    assert again.killed() == set()
    taken = opened(tmp_path, take_over=True)
    assert 0 in taken.killed()
    assert taken.next_trial().params == first.params


def test_a_sampler_is_seeded_by_the_seed_and_the_trial(tmp_path):
    tpe = {"_target_": "optuna.samplers.TPESampler", "n_startup_trials": 3}

    def proposed(folder, seed, stop=0):
        found = []
        study = opened(folder, sampler=tpe, num_trials=6, seed=seed)
        while (trial := study.next_trial()) is not None:
            found.append(trial.params["a"])
            study.study.tell(trial, -((trial.params["a"] - 0.3) ** 2))
            if len(found) == stop:
                break
        return found

    whole = proposed(tmp_path / "one", 0)
    assert len(set(whole)) == 6
    assert proposed(tmp_path / "two", 0, stop=4) + proposed(tmp_path / "two", 0) == whole
    assert not set(proposed(tmp_path / "three", 1)) & set(whole)


def test_the_number_of_a_process_that_another_has_now_does_not_keep_a_trial(tmp_path):
    study = opened(tmp_path)
    trial = study.next_trial()
    trial.set_user_attr("pid", 1)  # alive, but started at another time
    assert opened(tmp_path).killed() == {trial.number}
