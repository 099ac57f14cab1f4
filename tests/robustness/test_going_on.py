"""A detector on recordings that is killed or stopped, in an epoch too, ends as one that was not."""

import random
import signal
import time

import pytest
import torch
from conftest import annotated as annotated_data
from hostile import same_results, undisturbed
from processes import begun, until_saved

# Weights are averaged, the loss is annealed, and steps have two batches; three epochs of eight.
SETTINGS = (
    "task=detection", "callbacks=anneal", "span_loss=smooth_giou",
    "transforms=[jitter,time_warp,mix_background]", "data.crop_seconds=4",
    "data.crops_per_epoch=32", "data.batch_size=4", "backbone.width=8", "backbone.stride=1",
    "neck.num_levels=2", "trainer.max_epochs=3", "trainer.accumulate_grad_batches=2",
    "trainer.accelerator=cpu", "hydra.run.dir=run", "data.num_workers=0",
)  # fmt: skip
# last.ckpt after every step.
OFTEN = "callbacks.last.every_minutes=1e-9"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    data = annotated_data.__wrapped__(tmp_path_factory.mktemp("data"))
    return ("data=annotations", f"data.root={data}", *SETTINGS)


@pytest.fixture(scope="module")
def whole(commands, settings, tmp_path_factory):
    """Results of the run that is not disturbed, and its seconds."""
    return undisturbed(commands, tmp_path_factory.mktemp("whole"), *settings)[:2]


def finished(commands, folder, settings, expected):
    """Resumes, or starts again what has no checkpoint; the place in its epoch where it went on."""
    run, batch = folder / "run", None
    if (run / "last.ckpt").exists():
        batch = torch.load(run / "last.ckpt", weights_only=True)["AnnotatedData"]["batch"]
        settings = (f"resume={run}",)
    found = commands.train(folder, *settings)
    assert found.code == 0, found.text
    same_results(run, expected)
    return batch


def test_ten_kills(commands, settings, whole, tmp_path):  # 60 s
    draw, went_on = random.Random(0), []
    expected, seconds = whole
    for number in range(10):
        folder, often = tmp_path / str(number), (OFTEN,) if number % 2 else ()
        moment = (number + draw.random()) / 10 * seconds
        found = commands.train(folder, *settings, *often, moment=moment)
        assert found.code in (-signal.SIGKILL, 0)
        went_on.append(finished(commands, folder, (*settings, *often), expected))
    # Some in an epoch, some at the end of one.
    assert any(went_on)
    assert 0 in went_on


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.2])  # 15 s each
def test_a_run_that_is_terminated_goes_on_where_it_was(
    commands, settings, whole, tmp_path, seconds
):
    process = begun("train", *settings, folder=tmp_path)
    until_saved(process, tmp_path / "run")
    time.sleep(seconds)
    process.terminate()
    resume = f"To resume it: spanloc-train resume={tmp_path / 'run'}"
    said = process.communicate(timeout=60)[1].splitlines()
    assert said == ["spanloc-train: terminated", resume]
    assert process.returncode == 143
    finished(commands, tmp_path, settings, whole[0])
