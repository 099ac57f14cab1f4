"""``spanloc-probe``: its output and files, sweeps, own losses, and mistakes."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import CONFIGS

from spanloc.cli import probe_files

SMALL = (
    "descent.num_pairs=12", "descent.num_steps=60", "descent.last=10", "descent.rules.adam=null",
    "lengths=[1,10]",
)  # fmt: skip
FIGURES = {"match.png", "gradient-against-loss.png", "error-over-steps.png"}


@pytest.fixture(scope="module")
def probed(cli):
    folder = cli("probe", *SMALL, "hydra.run.dir=run", drawn=True, checked=True)
    assert isinstance(folder, Path), folder
    return folder / "run"


def test_a_run_writes_all_its_files(probed):
    names = {path.name for path in probed.iterdir()}
    assert {"probe.json", "trajectories.npz", "figures", "probe.log"} <= names
    assert {path.name for path in (probed / "figures").iterdir()} == FIGURES
    content = json.loads((probed / "probe.json").read_text(), parse_constant=pytest.fail)
    assert content["span_loss"] == "giou"
    assert set(content["versions"]) == {"spanloc", "torch", "python"}
    assert content["config"]["descent"]["num_steps"] == 60
    assert [found["length"] for found in content["anatomy"]] == [1, 10]
    descent = content["descent"]
    assert descent["last"] == 10
    assert len(descent["starts"]) == 12
    assert {"error", "loss", "relative_gradient", "exponent"} <= set(descent["definitions"])
    assert set(descent["rules"]) == {
        "constant", "constant_small", "cosine", "inverse", "geometric", "polyak",
    }  # fmt: skip
    assert descent["rules"]["polyak"]["share"]["both_ends_exact"] == 1


def test_npz_holds_the_values_of_the_json(probed):
    content = json.loads((probed / "probe.json").read_text())
    arrays = np.load(probed / "trajectories.npz")
    error, steps = arrays["descent/constant/error"], arrays["descent/constant/steps"]
    assert error.shape == (len(steps), 12, 2)
    assert error.dtype == np.float32
    assert arrays["descent/constant/loss"].shape == arrays["descent/constant/gradient"].shape
    assert (arrays["starts"] == content["descent"]["starts"]).all()
    start = (arrays["starts"] - arrays["target"]) / 10
    np.testing.assert_allclose(error[0], start, rtol=1e-6, atol=1e-7)


def test_the_command_prints_the_slopes_explains_them_and_names_the_page(cli, capsys):
    cli("probe", *SMALL, "span_loss=smooth_giou", "span_loss.smoothing=0.05")
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "docs/why-gradients-are-not-zero.md" in said
    assert "smooth_giou smoothing=0.05: slopes to the left and to the right of the match" in said
    assert "Smooth: the gradient goes to 0 with the loss." in said
    # Length 10, and a curvature of 1 / (0.05 * 100).
    assert "10 0, 0 0, 0 yes yes yes 20 10" in said
    # In 60 iterations, and with Polyak's steps in 10.
    rules = "constant, constant_small, cosine, inverse, geometric"
    assert (
        f"Not finished: with these step rules, most spans have not arrived: {rules}. More" in said
    )
    assert said.count("Not finished") == 1


def test_a_sweep_draws_all_losses_together(cli):
    folder = cli(
        "probe", "-m", *SMALL, "span_loss=iou,smooth_giou", "seed=0", "hydra.sweep.dir=sweep"
    )
    sweep = folder / "sweep"
    assert len([*sweep.glob("*/probe.json")]) == 2
    assert {path.name for path in (sweep / "figures").iterdir()} == FIGURES - {
        "error-over-steps.png"
    }


def test_a_loss_twice_in_a_sweep_is_named_with_its_number(probed, tmp_path, monkeypatch):
    for i in range(2):
        shutil.copytree(probed, tmp_path / f"{i}_seed-{i}")
    (tmp_path / "2_seed-2").mkdir()  # one that has not finished
    drawn = {}
    monkeypatch.setattr(probe_files, "_draw", lambda folder, found: drawn.update(found))
    probe_files.write_joint(tmp_path)
    assert [*drawn] == ["giou 0", "giou 1"]


def test_your_own_loss(cli, tmp_path, capsys):
    (tmp_path / "their_probe.py").write_text(
        "import torch\n"
        "def root(pred, target):\n"
        "    return (pred - target).square().sum(-1).sqrt()\n"
        "def reduced(pred, target):\n"
        "    return root(pred, target).mean()\n"
    )
    run = cli("probe", *SMALL, "span_loss._target_=their_probe.root", "hydra.run.dir=run",
              folder=tmp_path)  # fmt: skip
    content = json.loads((run / "run" / "probe.json").read_text())
    assert content["span_loss"] == "root"
    said = capsys.readouterr().out
    assert said.index("root: slopes") < said.index("root: gradient descent")
    assert "95 % below: 95 of 100 initial spans end" in re.sub(r"\s+", " ", said)
    # The square root's gradient at 0 is NaN; the slopes are -1 and 1 in the unit of the spans.
    start = content["anatomy"][1]["start"]
    assert start["autograd"] is None
    assert (start["left"], start["right"]) == (pytest.approx(-10), pytest.approx(10))
    line = cli("probe", *SMALL, "span_loss._target_=their_probe.reduced", folder=tmp_path)
    assert "the span loss gave the shape () for 3 pairs; wanted (3,)" in line


def test_infinite_values_and_the_precision_are_written(cli, capsys, tmp_path):
    (tmp_path / "their_powers.py").write_text(
        "import torch\n"
        "from spanloc.losses import giou_loss\n"
        "def single(pred, target):\n"
        "    if pred.dtype != torch.float32: raise TypeError('wants float32')\n"
        "    return giou_loss(pred, target) ** 0.5\n"
        "def between(pred, target):\n"
        "    return giou_loss(pred, target) ** 1.75\n"
    )
    run = cli("probe", *SMALL, "span_loss._target_=their_powers.between", "hydra.run.dir=run",
              folder=tmp_path)  # fmt: skip
    content = json.loads((run / "run" / "probe.json").read_text(), parse_constant=pytest.fail)
    assert content["precision"] == "float64"
    assert content["anatomy"][1]["start"]["curvature"] == "inf"
    assert content["anatomy"][1]["largest_stable_step"] == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "10 0, 0 0, 0 yes yes yes inf none" in said
    # One step is an axis of no width, about which matplotlib would warn.
    run = cli("probe", *SMALL, "span_loss._target_=their_powers.single", "hydra.run.dir=one",
              "descent.num_steps=1", "descent.last=1", folder=tmp_path)  # fmt: skip
    assert isinstance(run, Path), run
    content = json.loads((run / "one" / "probe.json").read_text())
    assert (content["precision"], content["why_not_float64"]) == (
        "float32", "TypeError: wants float32",
    )  # fmt: skip
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "differences in float32 (TypeError: wants float32)" in said


def test_a_user_s_own_starts_and_rules_are_used(cli):
    folder = cli(
        "probe", *SMALL, "descent.starts=[[12,18],[5,30]]", "descent.target=[10,20]",
        "+optimizer@descent.rules.mine.optimizer=adamw", "descent.rules.mine.optimizer.lr=0.1",
        "+scheduler@descent.rules.mine.scheduler=cosine", "+descent.rules.mine.num_steps=30",
        "hydra.run.dir=run",
    )  # fmt: skip
    assert isinstance(folder, Path), folder
    content = json.loads((folder / "run" / "probe.json").read_text())
    assert content["descent"]["starts"] == [[12, 18], [5, 30]]
    assert content["descent"]["rules"]["mine"]["num_steps"] == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["span_loss.smoohting=1"], "there is no setting 'span_loss.smoohting'"),
        (["span_loss._target_=nowhere.loss"], "there is no module 'nowhere'"),
        (["span_loss._partial_=false"], "giou_loss: "),
        (["lengths=[1,0]"], "lengths is [1.0, 0.0]; wanted numbers above 1e-06 and up to 1e+06"),
        (["descent.target=[0,1e300]"], "start before end, of a length above 1e-06 and up to"),
        (["seed=-1"], "seed is -1; wanted a whole number, at least 0"),
        (["descent.num_pairs=1000000000"], "num_pairs is 1000000000; wanted a whole number, at least 1 and at most"),
        (["+descent.rules.polyak.num_steps=100000000"], "polyak.num_steps is 100000000; wanted"),
        (["descent.last=100"], "descent.last is 100, more than the steps of descent.rules.constant"),
        (["descent.spread=far"], "descent.spread is 'far'; wanted a number"),
        (["descent.starts=[[1,2,3]]"], "descent.starts is [[1.0, 2.0, 3.0]]; wanted null or a list"),
        (["descent.rules.constant.optimizer.lr=-1"], "descent.rules.constant: ValueError: Invalid"),
        (["+descent.rules.mine.num_steps=3"], "descent.rules.mine has no optimizer; add"),
        (["descent.rules.cosine.scheduler.warmup=2"], "warmup is 2; it must lie in [0, 1)"),
        (["descent.rules.constant.optimizer._target_=torch.optim.LBFGS"], "rules.constant: "),
        (["descent.rules=null"], "descent.rules is empty; wanted at least one rule"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(refused, arguments, message):
    assert message in refused("probe", *SMALL, "hydra.run.dir=run", *arguments)


def test_the_help_names_every_loss():
    text = (CONFIGS / "probe.yaml").read_text()
    named = re.search(r"Choices of span_loss:\s+(.*?)\n\n", text, re.DOTALL)[1]
    named = [name.strip() for name in named.split(",")]
    assert named == sorted(path.stem for path in (CONFIGS / "span_loss").glob("*.yaml"))
