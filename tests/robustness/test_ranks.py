"""Several processes that fail together: one line, the cause, and an end."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL
from processes import begun, until_saved

from spanloc.cli.frame import ranks, stopping

LOSS = """
import os, signal, time
import torch
from spanloc.cli.frame import stopping
from spanloc.losses import giou_loss

stopping._STUCK_SECONDS = float(os.environ.get("STUCK", stopping._STUCK_SECONDS))
steps = 0
if os.environ.get("EARLY") and os.environ.get("LOCAL_RANK") == "1":
    raise ValueError("a mistake before the processes meet")

def on_rank(pred, target, *, rank=None, act=None):
    global steps
    if pred.requires_grad and torch.distributed.is_initialized():
        steps += 1
        if steps > 3 and rank in (None, int(os.environ["LOCAL_RANK"])):
            if act == "mistake":
                raise ValueError("a mistake that shows late")
            if act == "bug":
                raise RuntimeError("a bug")
            if act == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                time.sleep(0.02)
            except KeyboardInterrupt:
                if act != "deaf":
                    raise
    return giou_loss(pred, target)
"""


def run(folder, *arguments, then=None, to="first", **environment):
    """Two processes of the command: exit code, stderr, error.txt. ``then`` is a signal in the training."""
    (folder / "their_ranks.py").write_text(LOSS)
    two = (
        "hydra.run.dir=run",
        "trainer.strategy=ddp",
        "trainer.devices=2",
        "trainer.accelerator=cpu",
    )
    process = begun(
        "train", *two, *arguments, folder=folder, environment=environment, start_new_session=True
    )
    try:
        if then:
            until_saved(process, folder / "run")
            both = members(process.pid)
            for pid in {"first": [process.pid], "second": both[-1:], "both": both}[to]:
                os.kill(pid, then)
        _, errors = process.communicate(timeout=100)
        end = time.monotonic() + 10
        while (left := members(process.pid)) and time.monotonic() < end:
            time.sleep(0.1)
        assert not left, "a process is left"
    finally:
        for pid in members(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
    mark = folder / "run" / "error.txt"
    return process.returncode, errors, mark.read_text() if mark.is_file() else ""


def members(session):
    """The running processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, number = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(number) == session and state != "Z":
            found.append(int(path.parent.name))
    return sorted(found)


# The last line says how to go on, with or without a first epoch.
ADVICE = (
    "To resume it: spanloc-train resume=",
    "Its first epoch had not ended, so nothing was saved",
)


def own(act, rank=None):
    settings = ["span_loss._target_=their_ranks.on_rank", f"+span_loss.act={act}"]
    return [*SMALL, *settings, *([] if rank is None else [f"+span_loss.rank={rank}"])]


@pytest.mark.slow  # 12 s each
@pytest.mark.parametrize("rank", [0, 1, None])
def test_a_mistake_that_shows_in_one_or_in_all_is_one_line(tmp_path, rank):
    code, errors, mark = run(tmp_path, *own("mistake", rank))
    assert code == 1
    assert errors == "spanloc-train: error: a mistake that shows late\n"
    assert mark == "a mistake that shows late\n"


@pytest.mark.slow  # 12 s each
@pytest.mark.parametrize("sequence", ["s3", "s6", "s7"])
def test_a_value_that_is_not_finite_is_named_whoever_reads_it(tmp_path, annotated, sequence):
    array = np.load(annotated / "data" / f"{sequence}.npy")
    array[30] = np.nan
    np.save(annotated / "data" / f"{sequence}.npy", array)
    code, errors, mark = run(
        tmp_path, "task=detection", "data=annotations", f"data.root={annotated}", "data.crops_per_epoch=8",
        "data.batch_size=2", "backbone.width=8", "trainer.max_epochs=1",
    )  # fmt: skip
    assert code == 1
    assert errors.count("\n") == 1
    assert f"{sequence}.npy" in errors
    assert mark == errors.removeprefix("spanloc-train: error: ") or not mark


@pytest.mark.slow  # 15 s
def test_a_bug_is_the_traceback_of_its_own_process(tmp_path):
    code, errors, mark = run(tmp_path, *own("bug", 1))
    assert code == 1
    assert errors.count("Traceback") == 1
    assert "gloo" not in errors
    assert mark == "a bug\n"


@pytest.mark.slow  # 15 s each
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_ends_the_other(tmp_path, rank):
    code, errors, mark = run(tmp_path, *own("die", rank))
    assert code == (1 if rank else -signal.SIGKILL)
    cause = "process 1 of the run was killed by SIGKILL" if rank else "another process of the run has ended"  # fmt: skip
    assert errors == f"spanloc-train: error: {cause}\n"
    assert mark == f"{cause}\n"


@pytest.mark.parametrize(
    ("number", "word", "to"),
    [
        (signal.SIGTERM, "terminated", "first"),
        # 10 s each
        pytest.param(signal.SIGINT, "interrupted", "both", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, "hung up", "both", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "terminated", "second", marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_either_process_or_both_ends_both_in_one_line(tmp_path, number, word, to):
    code, errors, mark = run(tmp_path, *own("wait"), "trainer.max_epochs=1000", then=number, to=to)
    assert (code, mark) == (128 + number, f"{word}\n")
    line, advice = errors.splitlines()
    assert line == f"spanloc-train: {word}"
    assert advice.startswith(ADVICE)


@pytest.mark.slow  # 15 s each
@pytest.mark.parametrize("to", ["first", "second"])
def test_processes_that_go_on_after_a_signal_are_ended(tmp_path, to):
    settings = [*own("deaf"), "trainer.max_epochs=1000"]
    code, errors, mark = run(tmp_path, *settings, then=signal.SIGTERM, to=to, STUCK="2")
    # Where the main thread is stuck there is no time left for advice.
    line, *advice = errors.splitlines()
    assert (code, line, mark) == (143, "spanloc-train: terminated", "terminated\n")
    assert all(text.startswith(ADVICE) for text in advice)


@pytest.mark.slow  # 15 s
def test_a_first_process_that_waits_for_the_second_in_vain_ends(tmp_path):
    code, errors, mark = run(tmp_path, *own("wait"), EARLY="1")
    assert code == 1
    assert errors.count("\n") == 1
    assert "a mistake before the processes meet" in errors
    assert mark == errors.removeprefix("spanloc-train: error: ")


def test_a_process_that_does_not_end_after_a_signal_gets_a_call(monkeypatch):
    monkeypatch.setattr(stopping, "_STUCK_SECONDS", 0.01)
    heard = threading.Event()
    words = []
    with (
        stopping.stoppable("test"),
        stopping.ended_by(lambda word: (words.append(word), heard.set())),
    ):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert heard.wait(5)
    assert words == ["terminated"]


class Process:
    def __init__(self, code):
        self.code, self.killed = code, False

    def poll(self):
        return self.code

    def kill(self):
        self.killed = True


@pytest.fixture
def started(monkeypatch):
    """Processes that look as if Lightning had started and watched them."""
    monkeypatch.setattr(threading.current_thread(), "_child_processes", [], raising=False)
    return threading.current_thread()._child_processes


@pytest.mark.parametrize(
    ("codes", "cause"),
    [
        ([None, -9], "process 2 of the run was killed by SIGKILL"),
        ([130], "interrupted"),
        ([-15], "terminated"),
        ([1, None], "another process of the run has ended"),
    ],
)
def test_the_cause_is_read_off_the_exit_code(started, monkeypatch, tmp_path, codes, cause):
    monkeypatch.setattr(ranks, "_PATIENCE", 0.2)
    started += map(Process, codes)
    assert ranks.cause_of_loss(tmp_path / "error.txt") == cause
    ranks.end_children()
    assert all(process.killed for process in started)


def test_the_first_to_write_error_txt_speaks_for_all(tmp_path):
    assert ranks.claim(tmp_path / "error.txt", "the cause") is None
    assert ranks.claim(tmp_path / "error.txt", "a connection broke") == "the cause"
    assert ranks.claim(tmp_path / "nowhere" / "error.txt", "a full disk hides nothing") is None


def test_broken_connections_are_known_by_their_words():
    for text in ("[gloo/pair.cc:553] Connection closed by peer", "NCCL communicator was aborted"):
        assert ranks.lost_another(RuntimeError(text))
    assert not ranks.lost_another(RuntimeError("a bug of the loss"))
    assert not ranks.lost_another(ValueError("gloo is no backend for this device"))
