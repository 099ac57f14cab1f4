"""``environment.json``: the command, the machine, the software and the data that a run was trained with."""

import logging
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from spanloc.cli.frame.arguments import without_short_names
from spanloc.cli.frame.mistakes import line_of
from spanloc.cli.frame.stopping import is_child
from spanloc.data.fingerprint import Fingerprint
from spanloc.files import read_record, record, write_json

log = logging.getLogger(__name__)
#: In the run folder.
FILE = "environment.json"
_GIT_SECONDS = 1.0
_FOR_MAKERS = re.compile(r"""extra == ["'](dev|docs|release)["']""")


@dataclass(frozen=True)
class GitState:
    """The state of the repository that a command was run in."""

    commit: str  # its hash; empty before the first
    branch: str | None  # None where none is checked out
    dirty: bool  # whether tracked files differ from the commit


@dataclass(frozen=True)
class Start:
    """A start of a run: the first, or one that went on."""

    time: str  # with the offset of its time zone
    command: str  # where it went on, with the settings that the run had
    folder: str  # that the command was run in
    python: str
    platform: str
    processor: str
    devices: list[str]  # that trained
    threads: int  # of torch, for one operation
    packages: dict[
        str, str
    ]  # versions of spanloc, and of its dependencies and extras that are installed
    git: GitState | None  # None outside of a repository, or without git
    changes: list[str]  # of the data, since the start before


@dataclass(frozen=True)
class Environment:
    """The starts of a run, and the data of the last one; None: they are made from the settings."""

    starts: list[Start]
    data: Fingerprint | None


def write_start(folder: Path, trainer: Any, datamodule: Any, resumed: str | Path | None) -> None:
    """Add a start of a run to its ``environment.json``, and warn if the data have changed.

    The data are recorded if they have a ``fingerprint()``. The record of a run that goes on lies beside the
    checkpoint ``resumed``.
    """
    if is_child():
        return
    data = datamodule.fingerprint() if hasattr(datamodule, "fingerprint") else None
    before = None if resumed is None else _before(Path(resumed).parent)
    start = _start(trainer)
    starts = [start]
    if before is not None:
        starts = [*before.starts, replace(start, changes=_changes(before.data, data))]
        _compare(before.starts[-1], start)
    write_json(folder / FILE, Environment(starts, data))


def read_environment(folder: Path) -> Environment:
    """The record that :func:`write_start` wrote; an OSError or a ValueError where there is none."""
    path = folder / FILE
    found: Environment = read_record(path, partial(record, Environment), "the record of a run")
    if not found.starts:
        raise ValueError(f"{path}: starts is empty; wanted at least one")
    return found


def _before(folder: Path) -> Environment | None:
    try:
        return read_environment(folder)
    except (OSError, ValueError) as error:
        why = line_of(error)
        log.info("whether the data have changed since the run began is not known: %s", why)
        return None


def _changes(before: Fingerprint | None, now: Fingerprint | None) -> list[str]:
    if before is None or now is None:
        # Other settings, which are compared elsewhere.
        return []
    changes = now.changes_since(before)
    if changes:
        log.warning("the data have changed since the run began: %s", "; ".join(changes))
    elif text := now.touched_since(before):
        log.info("%s", text)
    return changes


def _compare(before: Start, now: Start) -> None:
    # What decides the last digits.
    pairs = [(n, getattr(before, n), getattr(now, n)) for n in ("processor", "devices", "threads")]
    pairs += [(n, before.packages.get(n), now.packages.get(n)) for n in ("torch", "numpy")]
    if texts := [f"{name} is {new}, was {old}" for name, old, new in pairs if new != old]:
        text = "the last digits may differ from those of an uninterrupted run: %s"
        log.info(text, ", ".join(texts))


def _start(trainer: Any) -> Start:
    return Start(
        time=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        command=shlex.join([Path(sys.argv[0]).name, *without_short_names(sys.argv[1:])]),
        folder=str(Path.cwd()),
        python=platform.python_version(),
        # platform.platform() looks into the interpreter's file for its C library.
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        devices=_devices(trainer),
        threads=torch.get_num_threads(),
        packages=_packages(),
        git=git_state(),
        changes=[],
    )


def _processor() -> str:
    try:
        # platform.processor() asks another program, which on Linux knows nothing as a rule.
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _devices(trainer: Any) -> list[str]:
    kind = trainer.strategy.root_device.type
    if kind == "cuda":
        return [torch.cuda.get_device_name(i) for i in trainer.device_ids]
    return [kind] * trainer.num_devices


def _packages() -> dict[str, str]:
    names = ["spanloc"]
    try:
        wanted = metadata.requires("spanloc") or []
    except metadata.PackageNotFoundError:  # a clone that is not installed
        wanted = ["torch", "pytorch-lightning", "numpy"]
    names += [re.split(r"[^\w.-]", text)[0] for text in wanted if not _FOR_MAKERS.search(text)]
    found = {}
    for name in dict.fromkeys(names):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def git_state() -> GitState | None:
    """The state of the current folder's repository; None without one, or without git."""
    # Without what a repository may have run, and without a lock that others would meet.
    options = ["-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch"]
    try:
        found = subprocess.run(
            ["git", *options, "--untracked-files=no"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_SECONDS,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    lines = found.splitlines()
    said = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit, branch = said.get("branch.oid", ""), said.get("branch.head")
    return GitState(
        commit if re.fullmatch("[0-9a-f]+", commit) else "",
        None if branch == "(detached)" else branch,
        any(not line.startswith("#") for line in lines),
    )
