"""Ctrl-C, SIGTERM and SIGHUP end a command at once, in one line, whatever it is doing."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from conftest import SMALL
from processes import begun, until_saved

from spanloc import plots
from spanloc.cli import train
from spanloc.cli.frame import entry
from spanloc.cli.frame.stopping import stoppable
from spanloc.data import SyntheticData
from spanloc.training.callbacks import Convergence
from spanloc.training.task import SpanLocalizer

SIGNALS = (
    (signal.SIGINT, "interrupted", 130),
    (signal.SIGTERM, "terminated", 143),
    (signal.SIGHUP, "hung up", 129),
)


@pytest.fixture(autouse=True)
def handlers():
    """What a signal does outside of a command: nothing, so that a test fails and does not die of it."""
    before = {n: signal.signal(n, lambda *_: None) for n, _, _ in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0.01)


def code_of(work):
    """The exit code of a command that does this work."""
    with pytest.raises(SystemExit) as stop, stoppable("test"):
        work()
    return stop.value.code


@pytest.mark.parametrize(("number", "word", "code"), SIGNALS)
def test_a_signal_is_one_line_and_the_code_of_a_shell(capsys, number, word, code):
    before = signal.getsignal(number)
    assert code_of(lambda: send(number)) == code
    assert capsys.readouterr().err == f"test: {word}\n"
    assert signal.getsignal(number) is before


def test_a_signal_that_was_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stoppable("test"):
        send(signal.SIGHUP)


def test_a_second_signal_does_not_disturb_the_cleaning_up(capsys):
    cleaned = []

    def work():
        try:
            send(signal.SIGTERM)
        finally:
            send(signal.SIGINT)
            send(signal.SIGTERM)
            cleaned.append(True)

    assert code_of(work) == 143
    assert cleaned
    assert capsys.readouterr().err == "test: terminated\n"


def test_a_signal_in_a_destructor_is_not_lost(capsys):
    class Closing:
        def __del__(self):
            send(signal.SIGTERM)

    def work():
        Closing()
        time.sleep(5)

    assert code_of(work) == 143
    assert capsys.readouterr().err == "test: terminated\n"


def test_an_error_that_an_interrupt_became_is_still_an_interrupt():
    def work():
        try:
            send(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("half imported") from None

    assert code_of(work) == 130


def test_a_command_runs_in_a_thread_too():
    def run():
        with stoppable("test"):
            done.append(True)

    done = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done


PHASES = {
    "import": (entry, "import_module", None),
    "setup": (SyntheticData, "__init__", None),
    "training": (SpanLocalizer, "training_step", "Its first epoch had not ended"),
    "validation": (SpanLocalizer, "validation_step", "Its first epoch had not ended"),
    "measurement": (Convergence, "_measure", "To resume it: spanloc-train resume="),
    "test": (train, "evaluate", "To resume it: spanloc-train resume="),
    "figures": (plots, "save_figure", "To resume it: spanloc-train resume="),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_is_heard_in_every_phase(cli, monkeypatch, tmp_path, capsys, phase):
    owner, name, advice = PHASES[phase]
    usual = getattr(owner, name)

    def hit(*args, **kwargs):
        send(signal.SIGTERM)
        return usual(*args, **kwargs)

    monkeypatch.setattr(owner, name, hit)
    few = ("data.num_train=8", "trainer.max_epochs=1", "hydra.run.dir=runs/run")
    assert cli("train", *SMALL, *few, folder=tmp_path) == 143
    mark = tmp_path / "runs" / "run" / "error.txt"
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "spanloc-train: terminated"
    # What was stopped before it had written anything has left nothing.
    assert (tmp_path / "runs").exists() == bool(advice)
    if not advice:
        assert not others
        return
    assert mark.read_text() == "terminated\n"
    (last,) = others
    assert last.startswith(advice)
    assert last.endswith(("start it again", f"={mark.parent}"))


def handles_sigint(pid):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:  # not Linux
        return True
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return int(caught, 16) >> (signal.SIGINT - 1) & 1


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_ctrl_c_while_the_command_is_imported_is_one_line(tmp_path, seconds):
    process = begun("train", *SMALL, "hydra.run.dir=run", folder=tmp_path, start_new_session=True)
    # Before Python has its own handler of the signal, it ends without a word.
    time.sleep(0.1)  # just after the fork, it still has the handler of this process
    while not handles_sigint(process.pid):
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "spanloc-train: interrupted\n"
    assert process.returncode == 130
    assert not (tmp_path / "run").exists()


@pytest.mark.slow  # 12 s
def test_a_training_that_is_terminated_twice_can_be_resumed(tmp_path, cli):
    settings = (*SMALL, "hydra.run.dir=run", "trainer.max_epochs=1000", "data.num_workers=1")
    process = begun("train", *settings, folder=tmp_path)
    until_saved(process, tmp_path / "run")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    resume = f"To resume it: spanloc-train resume={tmp_path / 'run'}"
    said = process.communicate(timeout=60)[1].splitlines()
    assert said == ["spanloc-train: terminated", resume]
    assert process.returncode == 143
    assert (tmp_path / "run" / "error.txt").read_text() == "terminated\n"
    done = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["epoch"] + 1
    cli("train", f"resume={tmp_path / 'run'}", f"trainer.max_epochs={done + 1}")
    assert "test/tiou" in json.loads((tmp_path / "run" / "metrics.json").read_text())
