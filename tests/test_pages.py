"""The commands and the files of the guides to the command line and to evaluation."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from conftest import HINTS_OF_LIGHTNING, SMALL

DOCS = Path(__file__).parent.parent / "docs"


def commands(name):
    found = re.findall(r"```sh\n(.*?)\n```", (DOCS / name).read_text(), re.DOTALL)
    return [line for text in found for line in text.split("\n")]


@HINTS_OF_LIGHTNING
def test_the_settings_of_the_guide_are_taken(cli, capsys):
    train, show = commands("command-line.md")
    command, *arguments = shlex.split(train)
    given = dict(argument.split("=") for argument in arguments)
    assert command == "spanloc-train"
    more = [a for a in SMALL if a.split("=")[0] not in given]
    folder = cli("train", *arguments, *more, "callbacks.convergence=null")
    config = yaml.safe_load((folder / given["hydra.run.dir"] / "config.yaml").read_text())
    assert config["data"]["num_train"] == 64
    capsys.readouterr()
    cli("train", *shlex.split(show)[1:])
    assert "smooth_giou_loss" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_the_files_of_the_guide_are_evaluated(cli, tmp_path, suffix):
    (example,) = re.findall(r"^\| `\.json` \| `(.*)` \| `(.*)` \|$", page(), re.MULTILINE)
    (row,) = json.loads(example[0])["results"]["a"]
    (true,) = json.loads(example[1])["database"]["a"]["annotations"]
    columns = re.findall(r"^\| `\.csv` \| `(.*?)`", page(), re.MULTILINE)[0].split(",")
    rows = [
        {"sequence": "a", "start": a, "end": b, **r}
        for r in (row, true)
        for a, b in [r.pop("segment")]
    ]
    for file, content, text in zip(("predictions", "annotations"), rows, example, strict=True):
        names = [name for name in columns if name in content]
        table = ",".join(names) + "\n" + ",".join(str(content[name]) for name in names) + "\n"
        lines = {"csv": table, "jsonl": json.dumps(content) + "\n", "json": text}
        (tmp_path / f"{file}.{suffix}").write_text(lines[suffix])
    (line,) = commands("scoring.md")
    line = re.sub(r"\.(csv|json)\b", f".{suffix}", line)
    found = cli("score", *shlex.split(line)[1:], "hydra.run.dir=out", folder=tmp_path)
    assert found == tmp_path, found
    # tIoU is 4/5: right at all thresholds up to 0.7.
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["metrics"]["mAP"] == 1


def page():
    return (DOCS / "scoring.md").read_text()


def test_the_metrics_of_the_guide_are_the_choices():
    named = re.search(r"`metric=` chooses: (.*?); several", page()).group(1)
    choices = {path.stem for path in (DOCS.parent / "configs" / "metric").glob("*.yaml")}
    # tiou is for models of one span per sequence: an evaluation of files has retrieval.
    assert set(re.findall(r"`(\w+)`", named)) == choices - {"tiou"}


def test_the_extras_of_the_page_are_those_of_the_package():
    listed = re.findall(r"^\| `(\w+)` \|", (DOCS / "installing.md").read_text(), re.MULTILINE)
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]
    assert sorted(listed) == sorted(project["optional-dependencies"])
