"""The commands and the files of the guides to the command line and to evaluation."""

import json
import re
import shlex
import tomllib

import pytest
import yaml
from conftest import CONFIGS, HINTS_OF_LIGHTNING, SMALL
from pages import ROOT, commands, page, run

from spanloc.decode.collected import FIGURES

SCORING = page("scoring.md")


@HINTS_OF_LIGHTNING
def test_the_settings_of_the_guide_are_taken(cli, capsys):
    train, show = commands(page("command-line.md"))
    command, *arguments = shlex.split(train)
    given = dict(argument.split("=") for argument in arguments)
    assert command == "spanloc-train"
    more = [a for a in SMALL if a.split("=")[0] not in given]
    folder = cli("train", *arguments, *more, "callbacks.convergence=null")
    config = yaml.safe_load((folder / given["hydra.run.dir"] / "config.yaml").read_text())
    assert config["data"]["num_train"] == 64
    capsys.readouterr()
    run(cli, show)
    assert "smooth_giou_loss" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_the_files_of_the_guide_are_evaluated(cli, tmp_path, suffix):
    (example,) = re.findall(r"^\| `\.json` \| `(.*)` \| `(.*)` \|$", SCORING, re.MULTILINE)
    (row,) = json.loads(example[0])["results"]["a"]
    (true,) = json.loads(example[1])["database"]["a"]["annotations"]
    columns = re.findall(r"^\| `\.csv` \| `(.*?)`", SCORING, re.MULTILINE)[0].split(",")
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
    (line,) = commands(SCORING)
    line = re.sub(r"\.(csv|json)\b", f".{suffix}", line)
    found = run(cli, line, "hydra.run.dir=out", folder=tmp_path)
    assert found == tmp_path, found
    # tIoU is 4/5: right at all thresholds up to 0.7.
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["metrics"]["mAP"] == 1


def test_the_metrics_of_the_guide_are_the_choices():
    named = re.search(r"`metric=` chooses: (.*?); several", SCORING).group(1)
    choices = {path.stem for path in (CONFIGS / "metric").glob("*.yaml")}
    # tiou is for models of one span per sequence: an evaluation of files has retrieval.
    assert set(re.findall(r"`(\w+)`", named)) == choices - {"tiou"}


def test_the_extras_of_the_page_are_those_of_the_package():
    listed = re.findall(r"^\| `(\w+)` \|", page("installing.md"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert sorted(listed) == sorted(project["optional-dependencies"])


def test_the_glossary_has_the_metrics_that_a_fit_of_the_decoding_prints():
    words = re.findall(r"^\| ([\w, ]+) \|", page("glossary.md"), re.MULTILINE)
    words = {word.split()[0] for cell in words for word in cell.split(", ")}
    assert {re.split("[@_]", name)[0] for name in FIGURES} <= words
