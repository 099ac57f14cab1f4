"""What the README says is run."""

import re
from pathlib import Path

import pytest
from conftest import CONFIGS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(word):
    (found,) = [text for text in BLOCKS if word in text]
    return found


def test_the_forum_lines_print_what_they_say(capsys):
    code = block("half_open")
    exec(code, {})
    expected = [line[2:] for line in code.splitlines() if line.startswith("# ")]
    assert capsys.readouterr().out.splitlines() == expected


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*", "ignore:.*logging interval.*",
    "ignore:.*ModelSummary.*", "ignore:.*rank_zero.*",
)  # fmt: skip
def test_the_plain_python_example_learns():
    names = {}
    exec(block("class Clicks"), names)
    assert names["trainer"].callback_metrics["val/mAP@0.50"] > 0.8
    truth = names["Clicks"]().sequence(7).spans[0]
    from spanloc.ops import tiou

    assert tiou(names["predictions"].spans[0], truth) > 0.5


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*")
def test_the_example_on_a_folder_predicts_in_seconds(annotated, capsys):
    exec(block('"FOLDER"').replace("FOLDER", str(annotated)), {})
    printed = capsys.readouterr().out
    assert "('s6',) tensor([[" in printed
    assert "('s7',)" not in printed  # of a batch of two the first is shown


def test_the_metrics_print_what_they_say(capsys):
    code = block("diagnose")
    exec(code, {})
    expected = re.findall(r"^print.*# (.*)$", code, re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == expected
    assert len(expected) == 2


def test_every_choice_that_is_named_exists():
    for group, choices in re.findall(r"^\| `(\w+)` \| (.*) \|$", README, re.MULTILINE):
        named = set(re.findall(r"`(\w+)`", choices))
        assert named == {path.stem for path in (CONFIGS / group).glob("*.yaml")}
    for name in re.findall(r"\]\((docs/[^)]+)\)", README):
        assert (ROOT / name).is_file()


def test_the_layout_is_the_tree():
    listed = set(re.findall(r"^  (\w+(?:/|\.py)) ", README, re.MULTILINE))
    tree = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "spanloc").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    } - {"__init__.py"}
    assert listed == tree
