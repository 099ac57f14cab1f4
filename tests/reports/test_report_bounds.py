"""What no run holds, but a folder may: a report says so of the one run."""

import html
import os

import numpy as np
import pytest
from made_runs import LOG, NOW, convergence, finished, found, logged, shown, write_run

from spanloc import reports

TREE = convergence()
# What is in a file, and why that cannot be used.
BAD = {
    "twice": (
        "metrics.json",
        '{"test/tiou": 1, "test/tiou": 2}',
        "not valid JSON: 'test/tiou' is there twice",
    ),
    "kind": ("convergence.json", TREE | {"trained": ["x"]}, "trained is ['x']; wanted text"),
    "words": (
        "convergence.json",
        TREE | {"trained": "x" * 10_000 + "\n\x1b[31m"},
        "trained is 'xxx",
    ),
    "untrained": (
        "convergence.json",
        TREE | {"trained": "iou"},
        "trained is 'iou'; losses has ['giou']",
    ),
    "scores": ("scores.json", {"metrics": {"mAP": 0.5}}, "diagnosis is missing"),
    "cell": (LOG, "x" * 200_000 + "\n", "field larger than field"),
}


def check(folder, problem, *forms):
    """The bad run says its problem, in one line, and the good ones are counted all the same."""
    runs, groups = found(folder)
    (remark,) = next(run for run in runs if run.name == "bad").remarks
    assert remark.startswith(problem)
    assert remark.isprintable()
    assert len(remark) <= 300
    for form in forms:
        text = html.unescape(form(runs, groups, now=NOW))
        assert problem[:40] in text.replace("\\", "")
        assert "2 of" in text or "3 of" in text


@pytest.fixture
def runs(tmp_path):
    for seed in (0, 1):
        finished(tmp_path / f"good{seed}", seed=seed)
    finished(tmp_path / "bad", seed=2)
    return tmp_path


@pytest.mark.parametrize("name", BAD)
def test_what_is_beyond_all_bounds_is_said(runs, name):
    file, content, reason = BAD[name]
    path = write_run(runs / "bad", {file: content}) / file
    problem = f"{path.name} cannot be used: {reason}"
    check(runs, problem, reports.markdown, *[reports.page] * (name == "words"))


def test_what_yaml_cannot_make_of_its_own_types_is_said(runs):
    write_run(runs / "bad", {"config.yaml": "a: !!bool maybe\n"})
    check(runs, "cannot be read: KeyError: 'maybe'", reports.markdown)


@pytest.mark.parametrize(("name", "make"), [("config.yaml", os.mkfifo), (LOG, os.mkdir)])
def test_only_regular_files_are_read(runs, name, make):
    path = runs / "bad" / name
    path.unlink()
    make(path)
    what = "a folder" if make is os.mkdir else "not a regular file"
    check(runs, f"{path.name} cannot be used: {what}; wanted a file")


def test_metrics_that_are_no_numbers_are_none(tmp_path):
    values = {"val/a": True, "val/b": "0.5", "val/c": [1], "val/d": None, "val/e": -1e308}
    finished(tmp_path, metrics=values | {"test/tiou": float("inf")})
    (run,), _ = found(tmp_path)
    known = {name: value for name, value in run.metrics.items() if np.isfinite(value)}
    assert known == {"val/tiou": 0.9, "time/train": 50.0}


def test_a_slope_that_is_not_finite_is_not_averaged(tmp_path):
    finished(tmp_path / "a", figures={"exponent__slope": float("inf")})
    finished(tmp_path / "b", seed=1, figures={"exponent__slope": 0.5})
    assert "| 0.50 [-0.03, 0.07] (1 of 2 runs) |" in shown(tmp_path, reports.markdown)


def test_steps_that_no_training_takes_are_left_out(tmp_path):
    rows = ["0,0.5,0", "0,0.25,1e300", "0,0.25,-4", "0,0.25,nan", "1e300,0.25,2", "inf,1e308,3"]
    text = "epoch,train/loss_span,step\n" + "\n".join(rows) + "\n"
    run = logged(tmp_path, text)
    assert run.curves["step"].tolist() == [0, 2, 3]
    np.testing.assert_array_equal(run.curves["train/loss_span"], [0.5, 0.25, np.nan])
    assert (run.steps, run.epochs) == (4, 0)


def test_a_log_without_epochs_has_none(tmp_path):
    run = logged(tmp_path, "step,val/tiou\n0,0.5\n1,0.6\n")
    assert (run.steps, run.epochs) == (2, 0)


NAMES = [
    "[/red]out", "[bold]x", "<script>alert(1)</script>", "a\nb", "\x1b[31mred", b"\xff\xfe", "| a |",
]  # fmt: skip


def test_any_name_of_a_folder_can_be_shown(tmp_path, cli, capsys):
    runs = tmp_path / "runs"
    finished(runs / "other", metrics={"test/[/red]x": 1.0})
    for name in NAMES:
        made = write_run(
            finished(tmp_path / "made"), {"error.txt": "ValueError: [/red]no\n"}, age=0
        )
        os.renames(made, os.path.join(os.fsencode(runs), os.fsencode(name)))
    out = cli("report", f"runs={runs}", "hydra.run.dir='[/red]out'")
    assert not isinstance(out, str), out
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count("ValueError: [/red]no") == len(NAMES)
    assert "The page is" in shown
    page = (out / "[/red]out" / "report.html").read_text()
    assert page.count("<script>") == 1
    assert "\x1b" not in page
    for name in NAMES:
        assert isinstance(name, bytes) or not name.isprintable() or name in shown


def test_a_long_setting_is_cut_in_the_label(tmp_path):
    for end in "ab":
        finished(tmp_path / end, data__label=" ".join(["word"] * 1000) + end)
    _, (one, two) = found(tmp_path)
    assert one.label != two.label
    assert len(one.label) < 300 < len(one.whole)
