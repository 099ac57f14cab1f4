"""What the command trains, in Python: ``spanloc.setup``."""

import pytest
import torch
from hydra import compose, initialize_config_module
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint

import spanloc

SETTINGS = (
    "backbone.width=8", "data.crop_seconds=3", "data.batch_size=2", "data.crops_per_epoch=9",
    "trainer.max_epochs=2", "trainer.accelerator=cpu", "data.num_workers=0",
)  # fmt: skip


class Count(Callback):
    steps = 0

    def on_train_batch_end(self, *_):
        self.steps += 1


def test_setup_trains_what_the_command_trains(cli, annotated, tmp_path):
    root = f"data.root={annotated}"
    run = cli(
        "train", root, *SETTINGS, "test=false", "callbacks.convergence=null", "hydra.run.dir=run"
    )
    expected = torch.load(run / "run" / "last.ckpt", weights_only=True)["state_dict"]
    setup, count = spanloc.setup(root, *SETTINGS), Count()
    best = ModelCheckpoint(tmp_path / "ours", monitor="val/mAP", mode="max", save_top_k=-1)
    trainer = setup.trainer(callbacks=[count, best], enable_progress_bar=False)
    trainer.fit(setup.task, setup.data)
    torch.testing.assert_close(setup.task.state_dict(), expected, rtol=0, atol=0)
    assert count.steps == trainer.global_step == 8
    stride = next(choice for choice in setup.choices if choice.place == "backbone.stride")
    assert stride.value == setup.config["backbone"]["stride"]
    loaded = spanloc.load(best.best_model_path)
    assert loaded.classes == ["sit", "walk"]
    # A test of a checkpoint takes its averaged weights, not those of the optimizer.
    trainer.test(setup.task, setup.data, ckpt_path="best")
    torch.testing.assert_close(setup.task.state_dict(), loaded.state_dict(), rtol=0, atol=0)
    losses = []
    for path in sorted((tmp_path / "ours").glob("*.ckpt")):
        trainer.validate(setup.task, setup.data, ckpt_path=path)
        losses.append(float(trainer.callback_metrics["val/loss"]))
    assert len({*losses}) == len(losses) == 2


def test_sensors_whose_channels_are_named_x_y_and_z_are_turned(tmp_path):
    (tmp_path / "data").mkdir()
    rows = "".join(f"{i / 10},{i % 7},{i % 5},{i % 3},1\n" for i in range(200))
    for name in "abcdef":
        (tmp_path / "data" / f"{name}.csv").write_text(f"time,acc_x,acc_y,acc_z,light\n{rows}")
    table = "".join(f"{name},1,3,walk\n{name},5,8,sit\n" for name in "abcdef")
    (tmp_path / "annotations.csv").write_text("sequence,start,end,label\n" + table)
    found = [spanloc.setup(f"data.root={tmp_path}", *more) for more in ((), ("transforms=jitter",))]
    rotate = found[0].data.transforms["rotate"]
    assert (rotate.max_degrees, rotate.triples) == (15, [[0, 1, 2]])
    # Settings were chosen, and the data made again: the notes are still those of reading.
    said = spanloc.setup(f"data.root={tmp_path}", "data.rate=5").data.notes
    assert said[0] == "6 of 6 recordings resampled from 10 to 5 Hz"
    assert len(said) == len({*said})
    assert sum(choice.place.startswith("transforms.rotate") for choice in found[0].choices) == 1
    assert "rotate" not in found[1].config["transforms"]


def test_setup_works_in_an_application_of_hydra_and_leaves_it_as_it_was(annotated):
    with initialize_config_module("spanloc.configs", version_base="1.3"):
        assert spanloc.setup(f"data.root={annotated}", *SETTINGS).task.classes == ["sit", "walk"]
        assert compose("train", overrides=["seed=3"]).seed == 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.root=nowhere", "nowhere: no such folder"),
        ("baackbone=conv", "'baackbone'; did you mean backbone"),
        ("seed=-1", "seed is -1"),
        ("setting", "'setting' is no setting; wanted such as 'data.root=FOLDER'$"),
        ("resume=run", "'resume=run' is no setting; wanted such as 'data.root=FOLDER'$"),
        ("budget=some", "budget is 'some'"),
    ],
)
def test_a_mistake_is_said_as_the_command_says_it(annotated, setting, message):
    with pytest.raises((ValueError, OSError), match=message):
        spanloc.setup(f"data.root={annotated}", setting)
