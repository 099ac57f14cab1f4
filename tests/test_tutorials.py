"""The tutorials are there; `make docs` runs them."""

from pathlib import Path

TUTORIALS = sorted((Path(__file__).parent.parent / "docs" / "tutorials").glob("plot_*.py"))


def test_the_tutorials_are_there():
    assert len(TUTORIALS) == 6
    for path in TUTORIALS:
        title, line = path.read_text().split("\n")[1:3]
        assert line == "=" * len(title), path.name
