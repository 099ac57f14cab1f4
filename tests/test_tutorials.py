"""The tutorials run. `make docs` runs them too, so here they are for whoever changes one."""

import logging
import runpy
import warnings
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parent.parent / "docs" / "tutorials").glob("plot_*.py"))


def test_the_tutorials_are_there():
    assert len(TUTORIALS) == 6
    for path in TUTORIALS:
        title, line = path.read_text().split("\n")[1:3]
        assert line == "=" * len(title), path.name


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs_and_shows_something(path, capsys):
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = runpy.run_path(str(path))
    assert names["figure"].axes
    assert capsys.readouterr().out
