"""From a folder to a model: what the command chooses, and that it goes through."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import SMALL
from made_data import SETS, write

import spanloc

# As few steps as show that all of it works.
SHORT = (
    "trainer.max_steps=2", "backbone.width=8", "trainer.accelerator=cpu",
    "callbacks.convergence=null", "hydra.run.dir=run",
)  # fmt: skip
BARE = (*SHORT, "test=false", "fit_decode=false")
# Of recordings: one short epoch.
FEW = ("data.crops_per_epoch=8", "trainer.max_epochs=1", "data.num_workers=0")


def trained(cli, folder, *arguments, short=SHORT):
    found = cli("train", *arguments, *short, folder=folder)
    assert found == folder, found
    return yaml.safe_load((folder / "run" / "config.yaml").read_text())


# The one that is resampled; each of the others takes 4 s.
@pytest.fixture(
    scope="module",
    params=[s if s == "spindles" else pytest.param(s, marks=pytest.mark.slow) for s in SETS],
)
def made(request, tmp_path_factory):
    return request.param, write(request.param, tmp_path_factory.mktemp("made"), small=True)


def test_a_folder_is_all_that_a_training_needs(cli, made, tmp_path, capsys):
    name, folder = made
    config = trained(cli, tmp_path, f"data.root={folder}", "fit_decode=false")
    printed = capsys.readouterr().out
    assert config["data"]["_target_"] == "spanloc.data.AnnotatedData"
    assert config["metric"]["monitor"] == "val/mAP"
    for place in ("backbone.stride", "data.batch_size", "trainer.max_epochs"):
        assert re.search(rf"{place}\s*│", printed)
    run = tmp_path / "run"
    assert printed.rstrip().split("\n")[-5:] == [
        f"Everything is in {run}",
        f"The model: {run / 'best.ckpt'}",
        f"What its errors are: {run / 'scores.html'}",
        f"Predictions over the signal: {run / 'figures' / 'timelines.png'}",
        f"Next, find spans in new recordings: spanloc-predict checkpoint={run} input=FILES",
    ]
    assert printed.index("│ test/mAP") < printed.index("│ val/mAP")
    steps = {"ecg": 0.05 * 250, "spindles": 0.5 * 200, "gait": 0.3 * 100, "offsets": 1.2 * 50}
    shortest = steps[name]
    assert 6 <= shortest / config["backbone"]["stride"] <= 20
    if name == "spindles":
        assert "recordings resampled from" in printed
        assert config["seconds_per_step"] == 1 / 200
    # What was chosen travels in the checkpoint.
    task = spanloc.load(tmp_path / "run" / "best.ckpt")
    assert task.config == config
    assert ("Labels, the worst first" in printed) == (len(task.classes) > 1)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test/mAP"] >= 0


def test_spans_shorter_than_a_cell_are_counted_in_a_note(cli, annotated, tmp_path, capsys):
    trained(cli, tmp_path, f"data.root={annotated}", "backbone.stride=16", *FEW, short=BARE)
    note = "3 of 6 spans are shorter than a cell of the finest level (backbone.stride=16)"
    printed = capsys.readouterr()
    assert note in printed.out
    # The model says the notes in plain Python, and not here.
    assert (printed.out + printed.err).count("held out for validation") == 1


@pytest.mark.parametrize("made_up", [False, True])
def test_convergence_comes_after_the_result_and_takes_one_line_of_own_data(
    cli, annotated, tmp_path, capsys, made_up
):
    short = [text for text in SHORT if "convergence" not in text]
    small = (*SMALL, "data.num_train=16")
    data = small if made_up else [f"data.root={annotated}", *FEW, "data.batch_size=4"]
    trained(cli, tmp_path, *data, "fit_decode=false", short=short)
    lines = [line for line in capsys.readouterr().out.split("\n") if not line.startswith("[")]
    table = max(i for i, line in enumerate(lines) if line.startswith("└"))
    about = [i for i, line in enumerate(lines) if "gradient" in line]
    assert about[0] > table
    assert "Everything is in" in lines[about[-1] + (2 if made_up else 1)]
    assert (len(about) == 1) == (not made_up)
    tested = "8 sequences" if made_up else "subject 'p3' (2 recordings)"
    assert f"Tested on: {tested}." in lines
    # All of it is in the log.
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count("Residual gradient at step 2 (last step), over ") == 1
    assert log.count("Far from the optimum") == 1


def test_one_span_in_each_recording_is_a_task_of_its_own(cli, annotated, tmp_path, capsys):
    path = annotated / "annotations.json"
    content = json.loads(path.read_text())
    for fields in content["database"].values():
        fields["annotations"] = [{"segment": [1.0, 3.0], "label": "walk"}]
    path.write_text(json.dumps(content))
    config = trained(cli, tmp_path, f"data.root={annotated}", *FEW, short=BARE)
    assert config["metric"]["monitor"] == "val/tiou"
    assert config["head"]["_target_"] == "spanloc.models.SingleHead"
    assert "every recording has exactly one span" in capsys.readouterr().out
    (other := tmp_path / "other").mkdir()
    config = trained(cli, other, f"data.root={annotated}", "task=detection", *FEW, short=BARE)
    assert config["metric"]["monitor"] == "val/mAP"


def test_settings_given_by_hand_hold(cli, annotated, tmp_path):
    by_hand = ("data.crop_seconds=3", "data.batch_size=3", "backbone.stride=2")
    settings = (f"data.root={annotated}", *by_hand, "trainer.max_epochs=1")
    config = trained(cli, tmp_path, *settings, short=BARE)
    assert config["data"]["crop_seconds"] == 3
    assert config["data"]["batch_size"] == 3
    assert config["backbone"]["stride"] == config["localizer"]["backbone"]["stride"] == 2
    assert config["trainer"]["max_epochs"] == 1
    assert config["data"]["crops_per_epoch"] == 6


def test_five_recordings_and_recordings_without_spans_work(cli, tmp_path, capsys):
    folder = tmp_path / "few"
    (folder / "data").mkdir(parents=True)
    lines = ["sequence,start,end,label"]
    for i in range(5):
        np.save(folder / "data" / f"r{i}.npy", np.random.default_rng(i).normal(size=(400, 2)))
        spans = [f"r{i},{start},{start + 2.5},cough" for start in (1, 10, 20)]
        lines += spans if i % 2 == 0 else [f"r{i},,,"]
    (folder / "annotations.csv").write_text("\n".join(lines))
    config = trained(cli, tmp_path, f"data.root={folder}", "data.fps=10", *FEW)
    assert config["module"]["classes"] == ["cough"]
    assert math.isinf(config["data"]["crop_seconds"])
    printed = re.sub(r"\s+", " ", capsys.readouterr().out)
    for subset in ("testing", "validation"):
        assert re.search(f"held out for {subset}: 'r[0-4]'", printed)


def test_with_nothing_held_out_all_is_trained_on_and_the_last_epoch_is_kept(
    cli, annotated, tmp_path, capsys
):
    trained(cli, tmp_path, f"data.root={annotated}", "data.val_share=0", "trainer.max_epochs=2")
    printed = " ".join(capsys.readouterr().out.split())
    assert "nothing is held out for validation" in printed
    # fit_decode=calibration is the default; a note says that it was left out.
    assert "its decoding is not fitted" in printed
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["data/train_sequences"] == 6
    assert not [name for name in metrics if name.startswith("val/")]
    assert metrics["test/mAP"] >= 0
    best, last = (spanloc.load(tmp_path / "run" / f"{name}.ckpt") for name in ("best", "last"))
    for name, value in best.state_dict().items():
        assert torch.equal(value, last.state_dict()[name])


@pytest.mark.slow  # 5 s
def test_a_run_that_goes_on_for_longer_is_as_one_that_was_not_stopped(cli, annotated, tmp_path):
    short = (
        "data.batch_size=2", "backbone.width=8", "trainer.accelerator=cpu", "data.num_workers=1",
        "scheduler=constant", "callbacks.convergence=null", "test=false", "hydra.run.dir=run",
    )  # fmt: skip
    first = ("trainer.max_epochs=2", "trainer.max_steps=4")
    before = trained(cli, tmp_path, f"data.root={annotated}", *first, *short, short=())
    assert before["data"]["crops_per_epoch"] == 8
    then = ("trainer.max_epochs=3", "trainer.max_steps=-1")
    after = trained(cli, tmp_path, f"resume={tmp_path / 'run'}", *then, short=())
    # By itself it would be that of 500 steps in 10 epochs.
    assert after["data"]["crops_per_epoch"] == 8
    (tmp_path / "whole").mkdir()
    limits = ("trainer.max_epochs=3", "data.crops_per_epoch=8", "callbacks.average.decay=0.5")
    trained(cli, tmp_path / "whole", f"data.root={annotated}", *limits, *short, short=())
    found, expected = (
        torch.load(folder / "run" / "last.ckpt", weights_only=True)
        for folder in (tmp_path, tmp_path / "whole")
    )
    assert found["global_step"] == expected["global_step"] == 12
    for name, value in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], value), name


def test_labels_that_are_numbers_get_names_and_the_model_can_be_loaded(cli, tmp_path):
    (tmp_path / "own" / "data").mkdir(parents=True)
    labels = np.repeat([0, 1, 2, 1, 2], 40)
    for name in "abcde":
        values = np.random.default_rng(ord(name)).normal(size=200) + 3 * (labels == 2)
        columns = {"time": np.arange(200) / 10, "x": values, "label": labels}
        pd.DataFrame(columns).to_csv(tmp_path / "own" / "data" / f"{name}.csv", index=False)
    settings = ("data.label_map={2: freeze}", "data.background=[1]", "data.ignore=[0]")
    trained(cli, tmp_path, f"data.root={tmp_path / 'own'}", *settings, *FEW, short=BARE)
    assert spanloc.load(tmp_path / "run").classes == ["freeze"]
