"""The commands and code of docs/decoding.md run, and the options that it names exist."""

import inspect
import re
import shutil
from pathlib import Path

import pytest
from conftest import HINTS_OF_LIGHTNING, SMALL
from pages import blocks, commands, page
from pages import run as run_line

import spanloc
from spanloc.config.build import build
from spanloc.config.checkpoint import read
from spanloc.decode import Decode
from spanloc.decode.fitting import _SHARES, _VOTERS, OF_SETS, RANKED

pytestmark = HINTS_OF_LIGHTNING
PAGE = page("decoding.md")


@pytest.fixture
def run(trained, tmp_path):
    shutil.copy(trained["detection"] / "best.ckpt", tmp_path / "best.ckpt")
    return tmp_path


def with_a_stride(cli, run):
    """A model whose points are two steps apart, in the place of the usual one."""
    given = (*SMALL, "task=detection", "backbone.stride=2", "trainer.max_epochs=1", "test=false")
    made = cli("train", *given, "hydra.run.dir=run")
    shutil.copy(made / "run" / "best.ckpt", run / "best.ckpt")


# Of several checkpoints, and shifted, is what test_ensemble is about; 3 s each.
@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=[pytest.mark.slow] * ("OTHER" in line or "tta." in line))
        for line in commands(PAGE)
    ],
)
def test_every_command_runs(cli, run, line):
    if "tta.shifts" in line:
        with_a_stride(cli, run)
    said = line.replace("RUN", str(run)).replace("OTHER", str(run))
    found = run_line(cli, said, "trainer.accelerator=cpu")
    assert isinstance(found, Path), found
    wanted = re.findall(r"RUN/(\S+)", line) if "fit_into" in line else []
    if "fit_decode" in line:
        wanted = wanted or ["best.fitted.ckpt"]
        assert spanloc.load(run / wanted[0]).decode is not None
    assert {path.name for path in run.iterdir()} == {"best.ckpt", *wanted}


def test_the_python_runs(run, capsys):
    (code,) = blocks(PAGE, "python")
    datamodule = build(read(run)["spanloc"]["config"]["data"])
    datamodule.setup("fit")
    names = {"datamodule": datamodule}
    exec(code.replace("RUN", str(run)), names)
    assert names["task"].decode.exclusive
    assert capsys.readouterr().out.startswith("calibration temperature ")


def test_the_steps_are_the_options_in_their_order():
    rows = re.findall(r"^\| (\d) \| `(\w+)", PAGE, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 10))
    known = list(inspect.signature(Decode).parameters)
    places = [known.index(name) for _, name in rows]
    assert places == sorted(places)


def test_what_can_be_fitted_and_the_values_tried_are_named():
    rule = PAGE.split("## What is fitted")[1].split("## In Python")[0]
    named = re.findall(r"^\| `(\w+)` \|", rule, re.MULTILINE)
    assert named == [*RANKED, *OF_SETS]
    assert "of 0.6, 0.7, 0.8 and 0.9 the best" in rule
    assert _VOTERS == (0.6, 0.7, 0.8, 0.9)
    assert _SHARES == (0.25, 0.5, 0.75)
