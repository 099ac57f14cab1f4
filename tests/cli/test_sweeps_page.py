"""docs/sweeps.md: its commands are run, with training left out; what it says of files and groups is so."""

import re

import pytest
from conftest import CONFIGS
from pages import blocks, page
from pages import run as run_line
from tuning_runs import trials_of

from spanloc.cli import train

PAGE = page("sweeps.md")
COMMANDS = re.findall(r"<!-- run -->\n```sh\n(.*?)\n```", PAGE, re.DOTALL)


@pytest.fixture
def run(cli, annotated, monkeypatch):
    ran = []

    def stub(config, callbacks=()):
        ran.append(config)
        return config.optimizer.lr

    monkeypatch.setattr(train, "run", stub)

    def command(text, *more):
        found = run_line(cli, text.replace("FOLDER", str(annotated)), *more, folder=annotated)
        assert found == annotated
        done = ran.copy()
        ran.clear()
        return done

    return command


@pytest.mark.slow  # 8 s
def test_what_the_page_says_runs(run, annotated):
    sweep, folds, tune, changed, resume = COMMANDS
    configs = run(sweep, "seed=0")  # half of them will do
    assert [c.span_loss._target_ for c in configs] == [
        "spanloc.losses.giou_loss", "spanloc.losses.diou_loss"
    ]  # fmt: skip
    assert [(c.data.fold, c.data.folds) for c in run(folds)] == [(0, 3), (1, 3), (2, 3)]
    assert len(run(tune, "num_trials=1", "hydra.run.dir=study")) == 1
    assert len(run(changed, "num_trials=1", "hydra.run.dir=other")) == 1
    (trial,) = trials_of(annotated / "other")
    assert "data.batch_size" in trial["params"]
    assert not {"span_loss", "backbone.width"} & trial["params"].keys()
    # Of forty trials one more is enough to see that it goes on.
    resume = resume.replace("STUDY", str(annotated / "study")).replace("40", "2")
    assert len(run(resume)) == 1
    assert len(trials_of(annotated / "study")) == 2


def test_the_parameters_that_the_page_shows_are_those_of_the_file():
    (shown,) = blocks(PAGE, "yaml")
    file = (CONFIGS / "hparams_search" / "detector.yaml").read_text().splitlines()
    assert set(shown.splitlines()) <= set(file)
