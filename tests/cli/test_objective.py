"""What a training run returns to a sweeper."""

import json

import pytest
from hydra._internal.hydra import Hydra
from predicting import TRAIN
from tuning_runs import QUICK

from spanloc.cli.run.objective import objective_value


@pytest.fixture
def swept(monkeypatch):
    """What Hydra's own sweeper got of every job, in batches."""
    found, multirun = [], Hydra.multirun

    def recording(self, *args, **kwargs):
        found.extend(multirun(self, *args, **kwargs))

    monkeypatch.setattr(Hydra, "multirun", recording)
    return found


def test_a_sweep_gets_the_objective_of_every_run(cli, swept):
    folder = cli("train", "-m", *QUICK, "objective=null,step,test/tiou", "hydra.sweep.dir=out")
    assert not isinstance(folder, str | int), folder
    (jobs,) = swept
    names = [job.cfg.objective for job in jobs]
    assert names == [None, "step", "test/tiou"]
    for name, job in zip(names, jobs, strict=True):
        (run,) = folder.glob(f"out/{job.hydra_cfg.hydra.job.num}_*")
        metrics = json.loads((run / "metrics.json").read_text())
        assert job.return_value == metrics[name or "val/tiou"]
    assert jobs[0].return_value not in (0.0, None)
    assert jobs[1].return_value == 4.0


def test_without_validation_there_is_nothing_to_return(cli, swept, annotated):
    settings = [text for text in TRAIN if not text.startswith("hydra.run")]
    found = cli(
        "train", "-m", f"data.root={annotated}", *settings, "data.val_share=0",
        "hydra.sweep.dir=out", folder=annotated,
    )  # fmt: skip
    assert found == annotated
    ((job,),) = swept
    assert job.return_value is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["objective=val/tio"], "objective is 'val/tio'; metrics.json has step, time/train, "),
        (["objective=test/tiou", "test=false"], "objective is 'test/tiou'; metrics.json has step"),
    ],
)
def test_an_objective_that_no_run_will_have_is_one_line_before_it_trains(
    refused, tmp_path, settings, message
):
    assert message in refused("train", *QUICK, *settings, "hydra.run.dir=run", folder=tmp_path)
    assert not (tmp_path / "run").exists()


def test_an_objective_that_was_not_measured_names_what_was():
    config = {"objective": "convergence/exponent", "callbacks": {}}
    with pytest.raises(ValueError, match="metrics.json has step, val/tiou"):
        objective_value(config, {"step": 4.0, "val/tiou": 0.5})
