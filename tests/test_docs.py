"""What docs/ says is run: the short commands, their figures, and the settings of the long ones."""

import json
import math
import re
import shlex
import sys
from pathlib import Path

import pytest
import study
from conftest import unchecked
from hydra import compose, initialize_config_module

ROOT = Path(__file__).parent.parent
ANSWER = (ROOT / "docs" / "why-gradients-are-not-zero.md").read_text()
SHORT = re.findall(r"<!-- seconds -->\n```sh\n(.*?)\n```", ANSWER, re.DOTALL)
LONG = re.findall(r"(?<!-->\n)```sh\n(.*?)\n```", ANSWER, re.DOTALL)
# Fewer lengths, and not all rules; test_every_row_of_the_descents has them all.
LESS = "lengths=[0.1,10]"
_MOST = ("constant_small", "inverse", "geometric", "adam", "polyak")
LEFT_OUT = {"GIoU": (*_MOST, "constant"), "smooth GIoU, k = 0.3": (*_MOST, "constant")}
# Of the first command the forum's case and the slopes are compared, and no descent.
NO_DESCENT = [
    f"descent.{text}" for text in ("num_pairs=3", "num_steps=20", "last=5", "rules.adam=null")
]
RULES = {
    "SGD, constant lr 1": "constant", "SGD, constant lr 5": "constant",
    "SGD, constant lr 20": "constant", "SGD, constant lr 0.1": "constant_small",
    "SGD, cosine from 1 to 0": "cosine", "SGD, 1/iteration from 1": "inverse",
    "SGD, geometric from 1 to 1e-4": "geometric", "Polyak, minimum 0": "polyak",
    "Adam, lr 0.001": "adam",
}  # fmt: skip


def probe(cli, line, folder, *more):
    """What a command of the page gives, by the name of the loss and its settings."""
    command, *arguments = shlex.split(line)
    place = "hydra.sweep.dir=out" if "-m" in arguments else "hydra.run.dir=out"
    assert command == "spanloc-probe"
    with unchecked():
        assert cli("probe", *arguments, *more, place, folder=folder, drawn=False) == folder
    found = {}
    for path in sorted(folder.rglob("probe.json")):
        content = json.loads(path.read_text())
        settings = content["config"]
        constant = settings["descent"]["rules"]["constant"] or {"optimizer": {"lr": 1.0}}
        rate = constant["optimizer"]["lr"]
        smoothing = settings["span_loss"].get("smoothing")
        found[content["span_loss"].split()[0], smoothing, rate] = content
    return found


@pytest.fixture(scope="module")
def probed(cli, tmp_path_factory):
    found = probe(cli, SHORT[0], tmp_path_factory.mktemp("probe"), LESS, *NO_DESCENT)
    out = [f"descent.rules.{rule}=null" for rule in (*_MOST, "constant")]
    line = SHORT[1].replace("iou,giou,", "giou,")  # iou is there already
    return found | probe(cli, line, tmp_path_factory.mktemp("probe"), LESS, *out)


def table(head):
    """Rows of the table whose first cell is ``head``, without bold type."""
    lines = ANSWER.replace("**", "").split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{head} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def numbers(text):
    return [float(part) for part in text.replace("−", "-").split(",")]


def test_the_forum_s_case(probed):
    cases = probed["iou", None, 1.0]["forum"]["cases"]
    cases = [case for case in cases if case["form"] == "overlap / union"]
    rules, rule = {"to the target": "second", "half each": "split"}, None
    rows = table("| a tie goes")
    assert len(rows) == 6
    for name, shift, starts, ends in rows:
        rule = rules[name.split(" (")[0]] if name else rule
        shift = 0.0 if shift.startswith("0") else numbers(shift)[0]
        (case,) = [c for c in cases if c["ties"] == rule and c["shift"] == shift]
        assert case["starts"] == pytest.approx(numbers(starts), abs=5e-5)
        assert case["ends"] == pytest.approx(numbers(ends), abs=5e-5)


def test_slopes_and_curvature(probed):
    sharp, smooth = table("| | relative slope at a boundary: left, right")
    rows = (("iou", None, sharp), ("giou", None, sharp), ("smooth_giou", 0.3, smooth))
    for name, smoothing, row in rows:
        for anatomy in probed[name, smoothing, 1.0]["anatomy"]:
            for end in (anatomy["start"], anatomy["end"]):
                assert [end["left"], end["right"]] == pytest.approx(numbers(row[1]), abs=1e-6)
                assert end["minimum"] == (row[2] == "yes")
                assert end["differentiable"] == (row[3] == "yes")
                if row[3] == "yes":
                    assert end["curvature"] == pytest.approx(float(row[4].split()[0]), rel=1e-3)
            if row[3] == "yes":
                largest = float(row[5].split()[0]) * anatomy["length"] ** 2
                assert anatomy["largest_stable_step"] == pytest.approx(largest, rel=1e-3)


DESCENTS = {
    "GIoU": ("giou", None, SHORT[1]),
    "smooth GIoU, k = 0.3": ("smooth_giou", 0.3, SHORT[1]),
    "smooth GIoU, k = 0.05": ("smooth_giou", 0.05, SHORT[2]),
}


def check_descents(head, found, missing):
    name, smoothing, _ = DESCENTS[head]
    rows = table(f"| {head}")
    assert {RULES[row[0]] for row in rows} - set(missing), "no row is compared"
    for text, *cells in rows:
        rule = RULES[text]
        if rule in missing:
            continue
        rate = float(text.split()[-1]) if "k = 0.05" in head else 1.0
        values = found[name, smoothing, rate]["descent"]["rules"][rule]
        found_values = (values["error"]["worst"], values["loss"], values["relative_gradient"])
        for value, cell in zip(found_values, cells[-3:], strict=True):
            # Half a unit of the last digit that the page shows, and what another machine may move it.
            digits = len(re.sub(r"e.*|[.]", "", cell).lstrip("0")) or 1
            expected = float(cell)
            scale = 10 ** math.floor(math.log10(abs(expected))) if expected else 0.0
            tolerance = 1.1 * scale * 10 ** (1 - digits)
            assert value["median"] == pytest.approx(expected, abs=max(tolerance, 1e-9)), text


@pytest.mark.parametrize("head", LEFT_OUT)
def test_the_descents_end_where_the_page_says(probed, head):
    check_descents(head, probed, LEFT_OUT[head])


@pytest.mark.slow  # a minute
@pytest.mark.parametrize("head", DESCENTS)
def test_every_row_of_the_descents_is_what_the_command_gives(cli, tmp_path, head):
    name, _, line = DESCENTS[head]
    found = probe(cli, line.replace("iou,giou,smooth_giou", name), tmp_path, LESS)
    check_descents(head, found, ())


def test_the_studies_settings_are_real():
    names = {line.split()[2] for line in LONG if line.startswith("python scripts/study.py")}
    assert names == set(study.SEEDS)
    assert len(LONG) == len(names)
    for name in names:
        runs = study.runs(name, Path("somewhere"))
        seeds = {folder.rsplit("-", 1)[1] for folder in runs}
        assert len(seeds) == len(study.SEEDS[name])
        for settings in list(runs.values())[: len(runs) // len(seeds)]:
            with initialize_config_module("spanloc.configs", version_base="1.3"):
                compose("train", overrides=settings)


def test_a_study_says_what_it_lacks(monkeypatch, capsys):
    for arguments, message in (
        (["detection"], "detection needs --data FOLDER"),
        (["zero_loss", "--sed"], "not an option, nor a setting of spanloc-train: --sed"),
    ):
        monkeypatch.setattr(sys, "argv", ["study.py", *arguments])
        with pytest.raises(SystemExit):
            study.main()
        assert message in capsys.readouterr().err
