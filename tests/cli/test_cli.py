"""The commands: what a run leaves, resuming, sweeps, evaluation."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from conftest import BARE, SMALL

import spanloc
from spanloc.data.signals import NpySignal
from spanloc.reports import ScoreResult

# Quick on the recordings of ``annotated``.
OWN = (
    "task=detection", "data=annotations", "data.crops_per_epoch=8", "backbone.width=8",
    "trainer.max_epochs=1", "trainer.accelerator=cpu", "hydra.run.dir=run", "data.num_workers=0",
)  # fmt: skip
UNMEASURED = ("callbacks.convergence=null", "fit_decode=false")


def metrics(folder):
    found = json.loads((folder / "metrics.json").read_text())
    # The time is never the same.
    return {name: value for name, value in found.items() if not name.startswith("time/")}


def test_a_run_leaves_what_it_should(trained):
    for model, names in (
        ("single", {"test/tiou", "test/R1@0.50", "val/tiou"}),
        ("detection", {"test/mAP", "test/mAP@0.30", "test/mAP@0.50", "test/mAP@0.70", "val/mAP"}),
    ):
        run = trained[model]
        for name in (
            "config.yaml", "best.ckpt", "last.ckpt", "metrics.json", "convergence.json", "train.log",
        ):  # fmt: skip
            assert (run / name).is_file(), name
        for name in ("convergence.png", "curves.png", "timelines.png"):
            assert (run / "figures" / name).read_bytes().startswith(b"\x89PNG")
        assert list((run / "tensorboard").rglob("events*"))
        found = metrics(run)
        assert names | {"convergence/relative_gradient"} <= set(found)
        assert all(isinstance(value, float) for value in found.values())
        assert all(0 <= v <= 1 for k, v in found.items() if k.startswith(("test/", "val/")))
        rows = (run / "csv" / "version_0" / "metrics.csv").read_text().splitlines()
        header = rows[0].split(",")
        losses = {"train/loss_span", "train/loss_score", "val/loss"}
        assert {"grad/params", "grad/spans", *losses} <= set(header)
        column = header.index("grad/params")
        assert sum(bool(row.split(",")[column]) for row in rows[1:]) == 6
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert config["backbone"]["num_channels"] == 4
        assert config["module"]["localizer"]["backbone"] == config["backbone"]
        assert config["module"]["classes"] == ["burst_0", "burst_1", "burst_2"]
        assert not [path for path in run.rglob(".*") if path.name != ".hydra"]


def test_the_same_seed_gives_the_same_metrics_and_another_does_not(cli, trained):
    again = metrics(cli("train", *BARE, "task=single", "hydra.run.dir=run") / "run")
    first = metrics(trained["single"])
    assert "val/tiou" in again
    assert again == {name: first[name] for name in again}
    other = cli("train", *BARE, "task=single", "seed=1", "hydra.run.dir=run") / "run"
    assert metrics(other)["val/tiou"] != first["val/tiou"]


def test_a_run_resumed_elsewhere_ends_where_it_would_have_and_keeps_its_best(cli):
    options = (*SMALL, "task=detection", "optimizer.lr=0.05", "scheduler=constant",
               "callbacks.average=null", "callbacks.convergence=null", "fit_decode=false",
               "data.num_train=24")  # fmt: skip
    whole = cli("train", *options, "trainer.max_epochs=3", "hydra.run.dir=run") / "run"
    half = cli("train", *options, "trainer.max_epochs=2", "test=false", "hydra.run.dir=run") / "run"
    resumed = cli("train", *options, "trainer.max_epochs=3", f"ckpt_path={half / 'last.ckpt'}",
                  "hydra.run.dir=run") / "run"  # fmt: skip
    steps = {
        (run.parent.name, name): torch.load(run / name, weights_only=True)["global_step"]
        for run in (whole, half, resumed)
        for name in ("best.ckpt", "last.ckpt")
    }
    assert steps[half.parent.name, "last.ckpt"] == 6
    assert steps[resumed.parent.name, "last.ckpt"] == 9
    assert steps[whole.parent.name, "best.ckpt"] == steps[resumed.parent.name, "best.ckpt"]
    assert metrics(whole) == metrics(resumed)
    a, b = (torch.load(run / "last.ckpt", weights_only=True) for run in (whole, resumed))
    assert all(torch.equal(v, b["state_dict"][k]) for k, v in a["state_dict"].items())
    history = [c["callbacks"]["GradientNorms"]["history"] for c in (a, b)]
    torch.testing.assert_close(*history, rtol=0, atol=0)


def test_your_own_loss(cli, tmp_path):
    (tmp_path / "theirs_loss.py").write_text(
        "def ends(pred, target):\n    return (pred - target).abs().mean(-1)\n"
        "def reduced(pred, target):\n    return (pred - target).abs().mean()\n"
    )
    run = cli("train", *BARE, "span_loss._target_=theirs_loss.ends", "trainer.max_epochs=1",
              "hydra.run.dir=run", folder=tmp_path)  # fmt: skip
    assert isinstance(run, Path), run
    line = cli("train", *BARE, "span_loss._target_=theirs_loss.reduced", folder=tmp_path)
    assert "the span loss gave the shape ()" in line
    checkpoint = f"checkpoint={run / 'run' / 'best.ckpt'}"
    # Nothing that is evaluated needs the loss.
    for allow in ([], ["allow=[theirs_loss]"]):
        found = cli("evaluate", checkpoint, *allow, "hydra.run.dir=out", folder=tmp_path)
        assert isinstance(found, Path), found


def test_one_span_of_several_is_said_in_a_line_without_the_module(cli, annotated, capsys):
    changed = (f"data.root={annotated}", "task=single", "trainer.max_steps=1", "test=false")
    run = cli("train", *OWN, *UNMEASURED, *changed)
    said = (run / "run" / "train.log").read_text()
    text = "training sequences have several spans, and this model gives one"
    assert text in said
    (line,) = (line for line in capsys.readouterr().out.splitlines() if text in line)
    assert re.match(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]\[WARNING\] \d", line)


def test_nothing_to_test_on_is_said_before_training(cli, annotated):
    path = annotated / "annotations.json"
    path.write_text(path.read_text().replace('"testing"', '"validation"'))
    options = ("train", *OWN, *UNMEASURED, f"data.root={annotated}", "data.test_share=0")
    assert "no sequences to test on; test=false goes without" in cli(*options)
    found = metrics(cli(*options, "test=false") / "run")
    assert "val/mAP" in found
    assert not [name for name in found if name.startswith("test/")]


def test_evaluate_repeats_the_test_of_training(cli, trained):
    for run in trained.values():
        folder = cli(
            "evaluate", f"checkpoint={run / 'best.ckpt'}", "hydra.run.dir=out", checked=True
        )
        found, first = metrics(folder / "out"), metrics(run)
        assert found == {k: v for k, v in first.items() if k.startswith("test/")}
        assert (folder / "out" / "figures" / "timelines.png").is_file()
        scores = ScoreResult.read(folder / "out" / "scores.json")
        predicted = json.loads((folder / "out" / "predictions.json").read_text())["results"]
        # Of one span a recording all are written, of many the likely ones.
        assert scores.min_score == (0.2 if "test/mAP" in first else 0.0)
        likely = [r for rows in predicted.values() for r in rows if r["score"] >= scores.min_score]
        assert sum(scores.surest.values()) == len(likely)
    # The other subset, of one of them.
    folder = cli("evaluate", f"checkpoint={run / 'best.ckpt'}", "subset=val", "hydra.run.dir=out")
    assert metrics(folder / "out")["val/mAP"] == pytest.approx(first["val/mAP"])


def test_a_sweep_gives_each_run_a_folder_of_its_own(cli, capsys):
    folder = cli(
        "train", "-m", *BARE, "data.num_train=8", "trainer.max_epochs=1", "span_loss=iou,smooth_giou",
        "seed=1", "hydra.sweep.dir=sweep",
    )  # fmt: skip
    runs = sorted(path.parent for path in (folder / "sweep").glob("*/metrics.json"))
    assert [run.name for run in runs] == ["0_span_loss-iou", "1_span_loss-smooth_giou"]
    assert capsys.readouterr().out.endswith("To compare these runs: spanloc-report runs=sweep\n")
    seen = {
        (config["module"]["criterion"]["span_loss"]["_target_"].rsplit(".")[-1], config["seed"])
        for config in (yaml.safe_load((run / "config.yaml").read_text()) for run in runs)
    }
    assert seen == {("iou_loss", 1), ("smooth_giou_loss", 1)}
    # The names can be used again.
    again = cli("evaluate", f"checkpoint={runs[0] / 'best.ckpt'}", f"hydra.run.dir={runs[0]}")
    assert isinstance(again, Path)


def test_your_own_data(cli, annotated, capsys):
    # A fold, so that the test set is not what the file calls testing, wherever the data lie.
    folds = ("data.folds=4", "data.fold=1")
    more = (f"data.root={annotated}", "data.crop_seconds=3", "data.batch_size=2", *folds)
    folder = cli("train", *OWN, *UNMEASURED, *more)
    assert isinstance(folder, Path), folder
    assert "Tested on: subject 'p1' (2 recordings)." in capsys.readouterr().out
    found = metrics(folder / "run")
    assert 0 <= found["test/mAP"] <= 1
    task = spanloc.load(folder / "run" / "best.ckpt")
    assert task.classes == ["sit", "walk"]
    assert task.localizer.mean.mean() == pytest.approx(3, abs=0.5)
    # The same data somewhere else.
    moved = folder / "moved"
    shutil.copytree(annotated, moved)
    again = cli(
        "evaluate", f"checkpoint={folder / 'run' / 'best.ckpt'}", f"data.root={moved}",
        "hydra.run.dir=out",
    )  # fmt: skip
    assert metrics(again / "out")["test/mAP"] == found["test/mAP"]
    said = (again / "out" / "evaluate.log").read_text()
    assert f"evaluating on 2 recordings of {moved}: those that training would hold out" in said
    assert "fold 1: held out for testing: subject 'p1' (2 recordings)" in said
    # Of the data of training, most would be recordings that it has seen.
    assert "subset=all" not in said
    again = cli(
        "evaluate", f"checkpoint={folder / 'run' / 'best.ckpt'}", f"data.root={moved}", "subset=all",
        "hydra.run.dir=every",
    )  # fmt: skip
    warning = "the training run used 6 of the 8 evaluated recordings for training or validation, such as data/s"
    assert warning in (again / "every" / "evaluate.log").read_text()
    # A single recording of another folder, in a table with names and a unit of its own, and one label of the two.
    new = folder / "new"
    (new / "data").mkdir(parents=True)
    shutil.copy(annotated / "data" / "s0.npy", new / "data" / "n0.npy")
    (new / "annotations.csv").write_text(
        "file,start,end,label\nn0,200,900,walk\nn0,1000,3000,walk\nn0,4000,5500,walk\n"
    )
    again = cli(
        "evaluate", f"checkpoint={folder / 'run' / 'best.ckpt'}", f"data.root={new}",
        "data.label_map={sitt: sit}", "data.columns={sequence: file}", "data.unit=milliseconds", "data.fps=10", "hydra.run.dir=all",
    )  # fmt: skip
    assert isinstance(again, Path), again
    assert 0 <= metrics(again / "all")["all/mAP"] <= 1
    printed = capsys.readouterr().out
    assert "All recordings" in printed
    assert "│ mAP@0.50 │" in printed
    assert "all/mAP" not in printed
    scores = ScoreResult.read(again / "all" / "scores.json")
    assert (scores.num_sequences, scores.subset) == (1, None)
    said = (again / "all" / "evaluate.log").read_text()
    assert ": all, because none was used in training" in said
    assert "sitt" not in said
    assert "unit" not in said
    cli("evaluate", f"checkpoint={folder / 'run' / 'best.ckpt'}", f"data.root={new}", "subset=test",
        "data.columns={sequence: file}", "data.unit=milliseconds", "data.fps=10")  # fmt: skip
    assert "Evaluated on: 'n0' from 3.5 s to 6 s." in capsys.readouterr().out
    path = moved / "annotations.json"
    content = json.loads(path.read_text())
    for record in content["database"].values():
        record["fps"], record["duration"] = 20, record["duration"] / 2
        record["annotations"] = []
    path.write_text(json.dumps(content))
    line = cli("evaluate", f"checkpoint={folder / 'run' / 'best.ckpt'}", f"data.root={moved}")
    assert "seconds_per_step of the data: 0.05; the model was trained on 0.1" in line


def test_the_testing_subset_is_not_opened_before_the_end(cli, annotated, monkeypatch):
    opened, read = [], NpySignal.read

    def spy(signal, first, last):
        if signal.path.stem in ("s6", "s7"):
            opened.append(signal.path.stem)
        return read(signal, first, last)

    monkeypatch.setattr(NpySignal, "read", spy)
    options = ("train", *OWN, *UNMEASURED, f"data.root={annotated}")
    cli(*options, "test=false")
    assert opened == []
    cli(*options)
    # Once to evaluate, once for the figure.
    assert sorted(opened) == ["s6", "s6", "s7", "s7"]
