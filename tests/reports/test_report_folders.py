"""Folders that are runs; a bad one does not keep the others out of a report."""

import os

import pytest
from made_runs import NOW, by_name, config, finished, found, log, shown, write_run

from spanloc import reports


def test_a_report_can_be_written_whatever_the_text(tmp_path):
    bad = os.fsencode(tmp_path / "sweep") + b"\xff"
    tree = '{seed: 0, span_loss: {_target_: "a.\\ud800_loss"}}'
    files = {"config.yaml": tree, "overrides.yaml": [], "metrics.json": {"test/tiou": 1}}
    write_run(tmp_path / "sweep", files)
    os.rename(tmp_path / "sweep", bad)
    for text in shown(tmp_path):
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
    locked = by_name(tmp_path)["locked"]
    assert locked.state == "unreadable"
    assert locked.problems == ("the folder cannot be read: Permission denied",)
    for text in shown(tmp_path):
        assert "2 runs: 1 finished, 1 unreadable" in text
        assert text.count("the folder cannot be read: Permission denied") == 1
    with pytest.raises(ValueError, match=r"no run .*locked the folder cannot be read"):
        reports.find_runs([tmp_path / "locked"], now=NOW)


def test_a_run_is_a_folder_with_a_config(tmp_path):
    write_run(tmp_path / "probe", {"error.txt": "ValueError: no", "probe.json": "{}"})
    with pytest.raises(ValueError, match="no run in this folder"):
        reports.find_runs([tmp_path], now=NOW)
    finished(tmp_path / "a")
    assert list(by_name(tmp_path)) == ["a"]


def test_a_run_that_failed_before_training_counts_in_its_group(tmp_path):
    given = ["span_loss=giou", "--config-dir=there", "seed=1"]
    write_run(finished(tmp_path / "a", seed=1), {"overrides.yaml": given}, age=5)
    settings = {
        ".hydra/config.yaml": config(seed=0),
        ".hydra/overrides.yaml": ["span_loss=giou", "seed=0"],
    }
    write_run(tmp_path / "b", {"train.log": "", "error.txt": "ValueError: no", **settings}, age=5)
    runs, (group,) = found(tmp_path)
    assert [(run.name, run.state, run.remarks) for run in runs][1] == (
        "b",
        "failed",
        ["ValueError: no"],
    )
    assert (group.label, len(group.counted), len(group.runs)) == ("span_loss=giou", 1, 2)
    for text in shown(tmp_path):
        assert "1 of 2" in text
        assert "Dashed: runs" not in text


def test_a_run_that_a_signal_ended_has_not_failed(tmp_path):
    base = {"config.yaml": config(), "csv/version_0/metrics.csv": log(20)}
    for word in ("interrupted", "terminated", "hung up", "interrupted by a wall"):
        write_run(tmp_path / word, {**base, "error.txt": f"{word}\n"}, age=5)
    states = {run.name: (run.state, run.remarks) for run in by_name(tmp_path).values()}
    assert states == {
        "interrupted": ("stopped", ["interrupted"]),
        "terminated": ("stopped", ["terminated"]),
        "hung up": ("stopped", ["hung up"]),
        "interrupted by a wall": ("failed", ["interrupted by a wall"]),
    }
