"""A run that is killed at any moment, or whose disk fails or fills up, and that is resumed, ends as one that was not.

A fault of the disk is one line, and nothing of what was there is lost.
"""

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from conftest import annotated as annotated_data
from hostile import TINY, results, same_results, temporary, undisturbed
from processes import begun, until_saved

RUN = (*TINY, "task=single")
AVERAGE = (
    "+callbacks.average={_target_:pytorch_lightning.callbacks.EMAWeightAveraging,decay:0.9}",
)
ANNEAL = ("callbacks=anneal", "span_loss=smooth_giou")
# Weights are averaged, the loss is annealed, and steps have two batches; three epochs of eight.
RECORDINGS = (
    "task=detection", *ANNEAL, "data=annotations", "transforms=[jitter,time_warp,mix_background]",
    "data.crop_seconds=4", "data.crops_per_epoch=32", "data.batch_size=4", "backbone.width=8",
    "backbone.stride=1", "neck.num_levels=2", "trainer.max_epochs=3", "trainer.accumulate_grad_batches=2",
    "trainer.accelerator=cpu", "hydra.run.dir=run", "data.num_workers=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Settings of kinds of runs."""
    recordings = (
        *RECORDINGS,
        f"data.root={annotated_data.__wrapped__(tmp_path_factory.mktemp('data'))}",
    )
    return {
        "single": RUN,
        "detection": (*TINY, "task=detection"),
        "averaged": (*TINY, "task=detection", *AVERAGE),
        "annealed": (*RUN, *ANNEAL),
        "averaged and annealed": (*RUN, *AVERAGE, *ANNEAL, "trainer.accumulate_grad_batches=2"),
        "recordings": recordings,
        "recordings, saved after every step": (*recordings, "callbacks.last.every_minutes=1e-9"),
    }


@pytest.fixture(scope="module")
def whole(commands, kinds, tmp_path_factory):
    """Results of the run of a kind that is not disturbed, its seconds, and its file operations."""
    known = {}

    def run(kind):
        if kind not in known:
            known[kind] = undisturbed(commands, tmp_path_factory.mktemp("whole"), *kinds[kind])
        return known[kind]

    return run


@pytest.fixture
def expected(whole):
    return whole("single")[0]


def go_on(commands, folder, settings, **kill):
    """Resumes, or starts again what cannot be resumed; gives the outcome and the word for what it was."""
    found = commands.train(folder, f"resume={folder / 'run'}", **kill)
    if found.code != 1:
        said = (folder / "run" / "train.log").read_text().splitlines()[-1:]
        complete = any("there is nothing to do" in line for line in said)
        return found, "complete" if complete else "resumed"
    assert len(found.text.splitlines()) == 1, found.text
    assert "no such f" in found.text, found.text
    return commands.train(folder, *settings, **kill), "started again"


def check_goes_on(commands, folder, expected, settings=RUN):
    found, what = go_on(commands, folder, settings)
    assert found.code == 0, found.text
    same_results(folder / "run", expected)
    return what


def place_in_epoch(run):
    """Of the last checkpoint of a run on recordings; none without one."""
    if not (run / "last.ckpt").exists():
        return None
    return torch.load(run / "last.ckpt", weights_only=True).get("AnnotatedData", {}).get("batch")


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_a_killed_run_ends_as_one_that_was_not(commands, kinds, whole, tmp_path, part):
    draw = random.Random(part)
    kind = ("single", "detection")[part % 2]
    expected, seconds, _ = whole(kind)
    moment = (part + draw.random()) / 4 * seconds
    found = commands.train(tmp_path, *kinds[kind], moment=moment)
    assert found.code in (-signal.SIGKILL, 0)
    check_goes_on(commands, tmp_path, expected, kinds[kind])


@pytest.mark.slow  # 9 minutes
def test_a_hundred_kills(commands, kinds, whole, tmp_path):
    """At moments and at all file operations in turn; one in three resumed runs is killed too."""
    draw, seen, places = random.Random(0), set(), set()
    for number in range(100):
        kind = list(kinds)[number % len(kinds)]
        expected, seconds, events = whole(kind)
        folder = tmp_path / str(number)
        moments = {"moment": draw.random() * seconds}
        operations = {
            "event": number * events // 100,
            "delay": draw.choice([0.0, 2e-3]) * draw.random(),
        }
        first, second = (moments, operations) if number % 2 else (operations, moments)
        try:
            commands.train(folder, *kinds[kind], **first)
            if number % 3 == 0:
                go_on(commands, folder, kinds[kind], **second)
            places.add(place_in_epoch(folder / "run"))
            seen.add(check_goes_on(commands, folder, expected, kinds[kind]))
        except Exception as error:
            error.add_note(f"run {number}, {kind}, killed at {json.dumps([first, second])}")
            raise
    assert {"resumed", "complete", "started again"} == seen
    # Some in an epoch, some at the end of one.
    assert {0} < places - {None}


@pytest.mark.slow  # 15 s each
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.2])
def test_a_run_that_is_terminated_goes_on_where_it_was(commands, kinds, whole, tmp_path, seconds):
    settings = kinds["recordings"]
    process = begun("train", *settings, folder=tmp_path)
    until_saved(process, tmp_path / "run")
    time.sleep(seconds)
    process.terminate()
    resume = f"To resume it: spanloc-train resume={tmp_path / 'run'}"
    said = process.communicate(timeout=60)[1].splitlines()
    assert said == ["spanloc-train: terminated", resume]
    assert process.returncode == 143
    check_goes_on(commands, tmp_path, whole("recordings")[0], settings)


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
