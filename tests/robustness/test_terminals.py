"""Printing cannot stop a command: encodings, closed pipes, full disks, and names that look like markup."""

import errno
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL
from processes import ended
from rich.console import Console

from spanloc.cli.frame.show import show_metrics, show_table
from spanloc.cli.frame.terminal import Harmless, harmless_streams
from spanloc.reports.table import Table

NAME = "[/red]out :smile: [bold]"
# Adam has many steps of its own.
PROBE = (
    "descent.num_pairs=3", "descent.num_steps=20", "descent.last=5", "lengths=[1]",
    "descent.rules.adam=null",
)  # fmt: skip


class Broken(io.StringIO):
    """A stream that fails when it passes on what it got, as those of files and pipes do."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def flush(self):
        raise OSError(self.number, os.strerror(self.number))


def test_a_character_that_the_encoding_lacks_becomes_a_question_mark():
    stream = Harmless(io.TextIOWrapper(raw := io.BytesIO(), encoding="latin-1"), "stdout")
    stream.write("± é √2 日 \udc80\n")
    stream.flush()
    assert raw.getvalue() == "± é ?2 ? ?\n".encode("latin-1")


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EPIPE, ""), (errno.ENOSPC, "test: stdout: No space left on device; going on without printing\n")],
)  # fmt: skip
def test_a_stream_that_fails_is_given_up_with_one_line_or_none(monkeypatch, number, said):
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stdout", Broken(number))
    monkeypatch.setattr(sys, "stderr", errors)
    with harmless_streams("test"):
        for _ in range(3):
            print("text", flush=True)
            Console().print("rich has a way of its own with a closed pipe")
    assert errors.getvalue() == said


def test_a_broken_stderr_matters_to_nobody(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Broken(errno.ENOSPC))
    with harmless_streams("test"):
        print("text", file=sys.stderr, flush=True)


@pytest.mark.parametrize("missing", ["none", "closed"])
def test_a_stream_that_is_not_there_is_written_to_nowhere(monkeypatch, missing):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", None if missing == "none" else closed)
    with harmless_streams("test"):
        print("text", flush=True)
        assert not sys.stdout.isatty()
        sys.stdout.close()


def test_the_streams_are_as_they_were_afterwards():
    before = (sys.stdout, sys.stderr, logging.raiseExceptions)
    with pytest.raises(KeyError), harmless_streams("test"):
        raise KeyError
    assert (sys.stdout, sys.stderr, logging.raiseExceptions) == before


@pytest.mark.slow  # 15 s
def test_a_training_ends_though_nothing_can_be_printed(tmp_path):
    with Path("/dev/full").open("w") as full:
        settings = (*SMALL, "trainer.max_epochs=1", "hydra.run.dir=run")
        code, _, errors = ended("train", *settings, folder=tmp_path, stdout=full)
    assert code == 0
    assert errors == "spanloc-train: stdout: No space left on device; going on without printing\n"
    assert "test/tiou" in json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (tmp_path / "run" / "scores.json").is_file()


def test_a_terminal_of_letters_only_gets_a_table_and_names_as_they_are(cli, tmp_path, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    found = cli("probe", *PROBE, f"hydra.run.dir='{NAME}'", folder=tmp_path)
    assert found == tmp_path, found
    sys.stdout.flush()
    said = raw.getvalue().decode("ascii")
    assert "curvature" in said
    assert "---" in said
    assert f"Everything is in {tmp_path / NAME}\n" in said
    assert not {c for c in said if ord(c) < 32} - {"\n"}


def test_a_reader_that_goes_away_is_no_error():
    script = Path(sys.executable).with_name("spanloc-train")
    line = f"'{script}' --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.slow  # 15 s
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_training_ends_in_a_terminal_of_letters_only(tmp_path, encoding):
    given = {"environment": {"PYTHONIOENCODING": encoding}, "encoding": encoding}
    code, out, errors = ended("train", *SMALL, "hydra.run.dir=run", folder=tmp_path, **given)
    assert code == 0, errors
    assert "| test/tiou" in out


def test_names_that_look_like_markup_are_printed_as_they_are(capsys):
    show_metrics({f"test/AP/{NAME}": 0.5}, Path(NAME))
    show_table(Console(), Table("Figures", [{NAME: NAME}]))
    assert capsys.readouterr().out.count(NAME) == 4
