"""Which folders are runs, and that a bad one does not keep the others from being told of."""

import os

import pytest
from made_runs import NOW, config, convergence, finished, log, write_run

from spanloc import reports


def find(folder):
    return {run.name: run for run in reports.find_runs([folder], now=NOW)}


def texts(folder):
    runs = reports.find_runs([folder], now=NOW)
    groups = reports.group_runs(runs)
    return [form(runs, groups, now=NOW) for form in (reports.page, reports.markdown)]


LINES = "epoch,train/loss_span,step\n{},0.5,0\n"
BAD = {
    "alias": (
        {"config.yaml": "a: &a {b: *a}\n"},
        "config.yaml cannot be used: it is nested more than 50 deep, or holds itself",
        "2 of 2",
    ),
    "list_alias": (
        {"config.yaml": "a: &a [*a]\n"},
        "config.yaml cannot be used: it is nested more than 50 deep, or holds itself",
        "2 of 2",
    ),
    "huge": (
        {"config.yaml": "seed: 1" + "0" * 400},
        "config.yaml cannot be used: it holds a number of more than 308 digits",
        "2 of 2",
    ),
    "trained": (
        {"convergence.json": convergence() | {"trained": ["x"]}},
        "convergence.json cannot be used: trained is ['x']; wanted str",
        "3 of 3",
    ),
    "untrained": (
        {"convergence.json": convergence() | {"trained": "iou"}},
        "convergence.json cannot be used: trained is 'iou'; losses has ['giou']",
        "3 of 3",
    ),
    "scores": (
        {"scores.json": {"metrics": {"mAP": 0.5}}},
        "scores.json cannot be used: diagnosis is missing",
        "3 of 3",
    ),
    "cell": (
        {"csv/version_0/metrics.csv": "x" * 200_000 + "\n"},
        "metrics.csv cannot be used: field larger than field limit",
        "3 of 3",
    ),
    # Not met one by one: what YAML makes of its own types.
    "bool": ({"config.yaml": "a: !!bool maybe\n"}, "cannot be read: KeyError: 'maybe'", "2 of 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_run_is_said_and_the_rest_go_on(tmp_path, name):
    files, problem, counted = BAD[name]
    for seed in (0, 1):
        finished(tmp_path / f"good{seed}", seed=seed)
    write_run(finished(tmp_path / "bad", seed=2), files)
    bad = find(tmp_path)["bad"]
    assert len(bad.problems) == 1
    assert bad.problems[0].startswith(problem)
    for text in texts(tmp_path):
        assert problem[:40] in text.replace("&#x27;", "'")
        assert counted in text


@pytest.mark.parametrize("epoch", ["inf", "nan", "1e999"])
def test_an_epoch_that_is_no_number_is_none(tmp_path, epoch):
    files = {"config.yaml": config(), "csv/version_0/metrics.csv": LINES.format(epoch)}
    write_run(tmp_path / "odd", files)
    assert find(tmp_path)["odd"].epochs == 0


def test_a_report_can_be_written_whatever_the_text(tmp_path):
    bad = os.fsencode(tmp_path / "sweep") + b"\xff"
    tree = '{seed: 0, span_loss: {_target_: "a.\\ud800_loss"}}'
    write_run(tmp_path / "sweep", {"config.yaml": tree, "metrics.json": {"test/tiou": 1}})
    os.rename(tmp_path / "sweep", bad)
    for text in texts(tmp_path):
        assert "sweep\N{REPLACEMENT CHARACTER}" in text
        assert "test/tiou" in text
        text.encode()


def test_links_are_followed_once(tmp_path):
    finished(tmp_path / "elsewhere" / "a")
    runs = tmp_path / "runs"
    finished(runs / "b", seed=1)
    (runs / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (runs / "again").symlink_to(runs / "b", target_is_directory=True)
    (runs / "b" / "loop").symlink_to(runs, target_is_directory=True)
    found = reports.find_runs([runs], now=NOW)
    assert [run.folder.resolve() for run in found] == [tmp_path / "elsewhere" / "a", runs / "b"]
    assert found[0].name == "linked/a"


def test_a_folder_that_cannot_be_looked_into_is_said(tmp_path, monkeypatch):
    finished(tmp_path / "good")
    (tmp_path / "locked").mkdir()
    scan = os.scandir  # root may look into every folder, so that its rights cannot be tested

    def refuse(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    locked = find(tmp_path)["locked"]
    assert locked.state == "unreadable"
    assert locked.problems == ("the folder cannot be read: Permission denied",)
    for text in texts(tmp_path):
        assert "2 runs: 1 finished, 1 unreadable" in text
        assert text.count("the folder cannot be read: Permission denied") == 1
    with pytest.raises(ValueError, match=r"no run .*locked the folder cannot be read"):
        reports.find_runs([tmp_path / "locked"], now=NOW)


def test_a_run_is_a_folder_with_a_config(tmp_path):
    write_run(tmp_path / "probe", {"error.txt": "ValueError: no", "probe.json": "{}"})
    with pytest.raises(ValueError, match="no run in this folder"):
        reports.find_runs([tmp_path], now=NOW)
    finished(tmp_path / "a")
    assert list(find(tmp_path)) == ["a"]


def test_a_run_that_was_told_to_stop_has_not_failed(tmp_path):
    base = {"config.yaml": config(), "csv/version_0/metrics.csv": log(20)}
    for word in ("interrupted", "terminated", "interrupted by a wall"):
        write_run(tmp_path / word, {**base, "error.txt": f"{word}\n"}, age=5)
    states = {run.name: (run.state, run.remarks) for run in find(tmp_path).values()}
    assert states == {
        "interrupted": ("stopped", ["interrupted"]),
        "terminated": ("stopped", ["terminated"]),
        "interrupted by a wall": ("failed", ["interrupted by a wall"]),
    }
