"""What no run holds, but a folder may: a report says so of the one run, in bounded time and memory."""

import html
import os
import re
import time

import numpy as np
import pytest
from made_runs import NOW, config, convergence, finished, found, shown, write_run

from spanloc import reports
from spanloc.reports import content

LAUGHS = "a0: &a0 [1]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 20)
)
MERGES = "a0: &a0 {b: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 20)
)
LOG = "csv/version_0/metrics.csv"
TREE = convergence()
BAD = {
    "laughs": ({"config.yaml": LAUGHS}, "config.yaml cannot be used: it holds more than 5,000"),
    "merges": ({"config.yaml": MERGES}, "config.yaml cannot be used: could not determine a con"),
    "sixties": (
        {"config.yaml": "a: 1" + ":1" * 200_000},
        "config.yaml cannot be used: it holds a number of more than 308 digits",
    ),
    "long": (
        {"config.yaml": "# " + "x" * 600_000},
        "config.yaml cannot be used: the file is larger than 0.5 MB",
    ),
    "deep": ({"config.yaml": "[" * 2000}, "config.yaml cannot be used: it is nested too deeply"),
    "itself": (
        {"config.yaml": "a: &a {b: [*a]}\n"},
        "config.yaml cannot be used: it is nested more than 50 deep, or holds itself",
    ),
    # Not met one by one: what YAML makes of its own types.
    "bool": ({"config.yaml": "a: !!bool maybe\n"}, "cannot be read: KeyError: 'maybe'"),
    "huge": (
        {"metrics.json": {"test/tiou": -1e308}},
        "metrics.json cannot be used: it holds -1e+308; a measurement is at most 1e+100",
    ),
    "twice": (
        {"metrics.json": '{"test/tiou": 1, "test/tiou": 2}'},
        "metrics.json cannot be used: not valid JSON: 'test/tiou' is there twice",
    ),
    "kind": (
        {"convergence.json": TREE | {"trained": ["x"]}},
        "convergence.json cannot be used: trained is ['x']; wanted text",
    ),
    "words": (
        {"convergence.json": TREE | {"trained": "x" * 10_000 + "\n\x1b[31m"}},
        "convergence.json cannot be used: trained is 'xxx",
    ),
    "untrained": (
        {"convergence.json": TREE | {"trained": "iou"}},
        "convergence.json cannot be used: trained is 'iou'; losses has ['giou']",
    ),
    "scores": (
        {"scores.json": {"metrics": {"mAP": 0.5}}},
        "scores.json cannot be used: diagnosis is missing",
    ),
    "columns": ({LOG: ",x" * 20_000 + "\n"}, "metrics.csv cannot be used: it has more than 10,000"),
    "cell": ({LOG: "x" * 200_000 + "\n"}, "metrics.csv cannot be used: field larger than field"),
    "cells": (
        {LOG: "step\n0\n1" + "," * 2_000_000 + "\n"},
        "metrics.csv cannot be used: a line has more than 1,000,000 characters",
    ),
}
READ = ("config.yaml", "overrides.yaml", "scores.json", "error.txt", LOG)


def check(folder, problem, *forms):
    """The bad run says its problem, in one line, and the good ones are counted all the same."""
    begin = time.monotonic()
    runs, groups = found(folder)
    (remark,) = next(run for run in runs if run.name == "bad").remarks
    assert remark.startswith(problem)
    assert remark.isprintable()
    assert len(remark) <= 300
    for form in forms:
        text = html.unescape(form(runs, groups, now=NOW))
        assert problem[:40] in text.replace("\\", "")
        assert "2 of" in text or "3 of" in text
    assert time.monotonic() - begin < 10


@pytest.fixture
def runs(tmp_path):
    for seed in (0, 1):
        finished(tmp_path / f"good{seed}", seed=seed)
    finished(tmp_path / "bad", seed=2)
    return tmp_path


@pytest.mark.parametrize("name", BAD)
def test_what_is_beyond_all_bounds_is_said(runs, name, monkeypatch):
    # As many as the package has would take long with the checks of shapes that tests have.
    monkeypatch.setitem(content._MOST_VALUES, ".yaml", 5_000)
    files, problem = BAD[name]
    write_run(runs / "bad", files)
    check(runs, problem, reports.markdown, *[reports.page] * (name == "words"))


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_only_regular_files_are_read(runs, name, kind):
    path = runs / "bad" / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    if name == "error.txt":
        # One from before the run is of no interest; a device is.
        if kind == "device":
            return
        os.utime(path, (NOW, NOW))
    what = "a folder" if kind == "folder" else "not a regular file"
    check(runs, f"{path.name} cannot be used: {what}; wanted a file")


def test_a_config_that_links_to_nothing_is_said(runs):
    (runs / "bad" / "config.yaml").unlink()
    (runs / "bad" / "config.yaml").symlink_to("nowhere")
    check(runs, "config.yaml cannot be read: it is a link to nothing")


def test_aliases_of_a_config_are_read(tmp_path):
    tree = "_a: &a {_target_: spanloc.losses.iou_loss}\nspan_loss: *a\nother: *a\nseed: 3\n"
    write_run(tmp_path, {"config.yaml": tree})
    (run,), _ = found(tmp_path)
    assert (run.span_loss, run.seed, run.problems) == ("iou", 3, ())


def test_metrics_that_are_no_numbers_are_none(tmp_path):
    values = {"val/a": True, "val/b": "0.5", "val/c": [1], "val/d": None, "val/e": 5e-324}
    finished(tmp_path, metrics=values | {"test/tiou": float("inf")})
    (run,), _ = found(tmp_path)
    known = {name: value for name, value in run.metrics.items() if np.isfinite(value)}
    assert known == {"val/tiou": 0.9, "time/train": 50.0, "val/e": 0.0}


@pytest.mark.parametrize("value", [1e100, -1e100, 1e-90, 1e12, -1e-50])
def test_numbers_within_the_bounds_can_be_shown_and_drawn(tmp_path, value):
    for loss, factor in (("giou", 1), ("iou", -3)):
        for seed in (0, 1):
            number = value * (1 if seed else factor)
            figures = {"tiou": number, "exponent__slope": number, "exponent__low": number}
            run = finished(tmp_path / f"{loss}{seed}", loss, seed, metrics={"test/tiou": number},
                           figures=figures)  # fmt: skip
            line = f"0,{abs(value)},{abs(value)},{abs(value)}"
            write_run(run, {LOG: f"epoch,train/loss_span,grad/spans,grad/params,step\n{line},1\n"})
    page, marked = shown(tmp_path)
    assert page.count("<figure>") == 3
    assert not re.search(r"\d{20}", marked)


def test_a_slope_that_is_not_finite_is_not_averaged(tmp_path):
    finished(tmp_path / "a", figures={"exponent__slope": float("inf")})
    finished(tmp_path / "b", seed=1, figures={"exponent__slope": 0.5})
    assert "| 0.50 [-0.03, 0.07] (n = 1) |" in shown(tmp_path, reports.markdown)


def test_steps_that_no_training_takes_are_left_out(tmp_path):
    rows = ["0,0.5,0", "0,0.25,1e300", "0,0.25,-4", "0,0.25,nan", "1e300,0.25,2", "0,1e308,3"]
    text = "epoch,train/loss_span,step\n" + "\n".join(rows) + "\n"
    write_run(tmp_path, {"config.yaml": config(), LOG: text})
    (run,), _ = found(tmp_path)
    assert run.curves["step"].tolist() == [0, 2, 3]
    np.testing.assert_array_equal(run.curves["train/loss_span"], [0.5, 0.25, np.nan])
    assert (run.steps, run.epochs) == (4, 0)


def test_a_log_without_epochs_has_none(tmp_path):
    write_run(tmp_path, {"config.yaml": config(), LOG: "step,val/tiou\n0,0.5\n1,0.6\n"})
    (run,), _ = found(tmp_path)
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


def test_many_settings_make_a_label_of_the_first(tmp_path):
    for seed in (0, 1):
        finished(tmp_path / str(seed), **{f"data__k{i}": seed for i in range(300)})
    assert [group.label for group in found(tmp_path)[1]] == [
        f"giou, {', '.join(f'data.k{k}={i}' for k in (0, 1, 10, 100))}, and 296 more"
        for i in (0, 1)
    ]


def test_a_long_setting_is_cut_in_the_label(tmp_path):
    for end in "ab":
        finished(tmp_path / end, data__label=" ".join(["word"] * 1000) + end)
    _, (one, two) = found(tmp_path)
    assert one.label != two.label
    assert len(one.label) < 300 < len(one.whole)
