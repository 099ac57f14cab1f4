"""A disk that fails or fills up: one line, nothing of what was there is lost, and the run can go on."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hostile import TINY, results, same_results, temporary, undisturbed

RUN = (*TINY, "task=single")


@pytest.fixture(scope="module")
def expected(commands, tmp_path_factory):
    return undisturbed(commands, tmp_path_factory.mktemp("whole"), *RUN)[0]


def check_one_line(text, folder, cause):
    """The last line of stderr names a file of the run and the cause; there is no traceback."""
    assert "Traceback" not in text
    line = text.splitlines()[-1]
    assert line.startswith("spanloc-train: error: "), text
    assert os.strerror(getattr(errno, cause)) in line
    assert str(folder / "run") in line
    assert text.count("spanloc-train: error: ") == 1


def check_whole(run):
    """Every file under its final name is complete, and there are no others."""
    assert not temporary(run)
    for path in (p for p in run.rglob("*") if p.is_file() and p.parent.name != "version_0"):
        if path.suffix == ".ckpt":
            assert torch.load(path, weights_only=True)["state_dict"]
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".yaml":
            assert yaml.safe_load(path.read_text()) is not None
        elif path.suffix == ".png":
            assert b"IEND" in path.read_bytes()[-12:]
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")


def check_goes_on(commands, folder, expected):
    found = commands.train(folder, f"resume={folder / 'run'}")
    if found.code == 1:
        assert "no such f" in found.text, found.text
        found = commands.train(folder, *RUN)
    assert found.code == 0, found.text
    same_results(folder / "run", expected)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(("fsync", "best.ckpt", 1, "EIO", False), marks=pytest.mark.slow),
        ("write", "last.ckpt", 2, "ENOSPC", True),
        # By Lightning's logger, which names no file.
        pytest.param(("write", "metrics.csv", 3, "ENOSPC", False), marks=pytest.mark.slow),
        pytest.param(("replace", "last.ckpt", 1, "EROFS", False), marks=pytest.mark.slow),
        # A limit that is less than a checkpoint; like a disk that fills up, below.
        pytest.param(("size", 100_000), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_fault_is_one_line_and_costs_nothing(commands, expected, tmp_path, fault):
    found = commands.train(tmp_path, *RUN, fault=fault)
    assert found.code == 1, found.text
    check_one_line(found.text, tmp_path, fault[3] if len(fault) > 2 else "EFBIG")
    check_whole(tmp_path / "run")
    check_goes_on(commands, tmp_path, expected)


@pytest.mark.slow  # 6 minutes
@pytest.mark.parametrize(
    ("call", "error", "numbers"),
    [
        ("fsync", "EIO", range(20)),
        ("replace", "EACCES", range(17)),
        ("write", "ENOSPC", range(0, 120, 5)),
    ],
)
def test_a_fault_at_any_call(commands, expected, tmp_path, call, error, numbers):
    failed = 0
    for number in numbers:
        folder = tmp_path / str(number)
        found = commands.train(folder, *RUN, fault=(call, "", number, error, number % 2 == 1))
        if found.code == 0:
            # Of the log, or after the last of these calls.
            assert results(folder / "run") == expected
            continue
        failed += 1
        check_one_line(found.text, folder, error)
        if (folder / "run").exists():
            check_whole(folder / "run")
        check_goes_on(commands, folder, expected)
    assert failed > 15


@pytest.mark.slow  # 10 s
def test_a_disk_that_fills_up(commands, expected, tmp_path):
    mount = ["unshare", "-Urm", "sh", "-c"]
    if subprocess.run([*mount, "mount -t tmpfs none /mnt"], capture_output=True).returncode:
        pytest.skip("no user namespace in which to mount a small disk")
    path = os.path.join(os.path.dirname(sys.executable), "spanloc-train")
    # Two checkpoints fit, and not a third beside them.
    script = (
        'mount -t tmpfs -o size=320k none run && "$0" "$@"; code=$?; cp -r run kept; exit $code'
    )
    (tmp_path / "run").mkdir()
    found = subprocess.run(
        [*mount, script, path, *RUN], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert found.returncode == 1
    check_one_line(found.stderr, tmp_path, "ENOSPC")
    (tmp_path / "run").rmdir()
    (tmp_path / "kept").rename(tmp_path / "run")
    assert (tmp_path / "run" / "last.ckpt").is_file()
    check_whole(tmp_path / "run")
    check_goes_on(commands, tmp_path, expected)


def test_the_page_of_guarantees_names_tests_that_exist():
    root = Path(__file__).parent.parent.parent
    named = re.findall(r"`(tests/[^`]*)`", (root / "docs" / "guarantees.md").read_text())
    assert len(named) > 10
    assert [path for path in named if not (root / path).is_file()] == []
