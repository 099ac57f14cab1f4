"""Runs of the training command that are killed, or whose disk fails.

The command runs in forks of one process that has imported what it needs, since importing takes longer than
training a tiny model. A fork is as the command is after its imports. That process is itself a fork of the
tests, and without their shape checker.
"""

import builtins
import errno
import io
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import quick
import torch
from jaxtyping import config
from matplotlib.figure import Figure

TINY = (
    "data.num_train=16",
    "data.num_val=4",
    "data.num_test=4",
    "data.length=64",
    "data.span_length=[12,24]",
    "data.batch_size=8",
    "data.num_distractors=0",
    "backbone.width=8",
    "trainer.max_epochs=3",
    "trainer.accelerator=cpu",
    "hydra.run.dir=run",
)
RESULTS = ("metrics.json", "convergence.json", "scores.json")
# Its content is that of the runs before, in folders of its own; it is no result.
LOGS = ("csv", "tensorboard", ".hydra", "train.log")


class Outcome(NamedTuple):
    code: int  # negative: the number of the signal that ended it
    seconds: float
    text: str  # on stderr
    events: int  # file operations in the run folder


class Commands:
    """Runs ``spanloc-train`` in forks."""

    def __init__(self):
        context = multiprocessing.get_context("fork")
        self.orders, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()

    def train(self, folder, *arguments, moment=None, event=None, delay=0.0, fault=None):
        """One run of the command in a folder.

        Args:
            folder: Where it is run.
            arguments: Of the command.
            moment: Seconds after which it is killed.
            event: File operation in the run folder before which it is killed, from 0.
            delay: Seconds after that operation was asked for.
            fault: ``(call, name, number, error, lasting)``: that call fails with that error for the files of
                the run folder that end so, at that occurrence, from 0; and if it lasts, for all files
                from then on. Or ``("size", bytes)``, which no file may exceed.
        """
        folder.mkdir(exist_ok=True)
        self.orders.send([str(folder), arguments, moment, event, delay, fault])
        code, seconds = self.orders.recv()
        count = folder / "events"
        text = (folder / "errors").read_text()
        return Outcome(code, seconds, text, len(count.read_text()) if count.is_file() else 0)

    def close(self):
        self.orders.send(None)
        self.process.join()


def results(folder):
    """What two runs of the same settings must share: numbers of the results, weights, names of files."""
    found = {name: json.loads((folder / name).read_text()) for name in RESULTS}
    found["metrics.json"] = {
        k: v for k, v in found["metrics.json"].items() if not k.startswith("time/")
    }
    found |= weights(folder)
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    found["files"] = sorted(str(path) for path in paths if path.parts[0] not in LOGS)
    return found


def weights(folder):
    """All tensors of both checkpoints, as bytes."""
    found = {}
    for name in ("best", "last"):
        saved = torch.load(folder / f"{name}.ckpt", weights_only=True)
        for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states"):
            found[name, part] = list(_tensors(saved.get(part)))
    return found


def undisturbed(commands, folder, *arguments):
    """Results of a run that ends well, its seconds, and its file operations."""
    found = commands.train(folder, *arguments)
    assert found.code == 0, found.text
    return results(folder / "run"), found.seconds, found.events


def same_results(run, expected):
    """The run has left these results, and nothing unfinished."""
    assert not temporary(run)
    ended = results(run)
    assert {name for name in expected if ended.get(name) != expected[name]} == set()


def _tensors(value, name=""):
    # As bytes: == would not see the sign of a zero, and never a NaN as equal.
    if isinstance(value, torch.Tensor):
        yield name, tuple(value.shape), value.numpy().tobytes()
    elif isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _tensors(part, f"{name}.{key}")


def temporary(folder):
    """Files that are not named as one that a run leaves."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return [p for p in found if p.name.startswith(".") or p.suffix in (".tmp", ".part")]


def _serve(orders):
    import numba.typed
    import pandas as pd
    from matplotlib.backends import backend_agg
    from torch.utils import tensorboard

    import spanloc.cli.train
    import spanloc.metrics.kernels
    from spanloc import plots
    from spanloc.cli import commands

    Figure.savefig = quick.blank
    quick.quicken_hydra(setattr)
    # Each fork would import these for itself.
    assert all((plots.curves, spanloc.cli.train.run, numba.typed, pd, backend_agg, tensorboard))
    config.update("jaxtyping_disable", True)
    warnings.resetwarnings()
    # Those of the tests do not go to the descriptors.
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115 - for the life of the process
    while (order := orders.recv()) is not None:
        folder, arguments, moment, event, delay, fault = order
        begin = time.monotonic()
        pid = os.fork()
        if not pid:
            _become_command(Path(folder), arguments)
            _watch(f"{folder}/run/", event, delay)
            if fault:
                _break(f"{folder}/run/", *fault)
            return commands.train()
        status = _wait(pid, None if moment is None else begin + moment)
        code = os.waitstatus_to_exitcode(status)
        orders.send([code, time.monotonic() - begin])
    return None


def _wait(pid, end):
    if end is None:
        return os.waitpid(pid, 0)[1]
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        if time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
            end = float("inf")
        time.sleep(0.0005)


def _become_command(folder, arguments):
    os.chdir(folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    streams = (os.open(os.devnull, os.O_RDONLY), os.open("output", flags), os.open("errors", flags))
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    sys.argv = ["spanloc-train", *arguments]


def _watch(inside, event, delay):
    count = os.open("events", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    seen = 0

    def look(name, details):
        nonlocal seen
        if name not in ("open", "os.rename", "os.remove", "os.mkdir"):
            return
        if not any(_path(place).startswith(inside) for place in details[:2]):
            return
        if seen == event:
            # Its default action ends the process as SIGKILL does, with nothing run.
            signal.setitimer(signal.ITIMER_REAL, delay or 1e-6)
        seen += 1
        os.write(count, b".")

    sys.addaudithook(look)


def _break(inside, call, name, number=0, error="EFBIG", lasting=False):
    if call == "size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (name, name))
        return
    code, seen, broken = getattr(errno, error), 0, False

    def fails(place):
        nonlocal seen, broken
        path = _path(place)
        if path.startswith(inside) and path.endswith(name) and not broken:
            seen += 1
            broken = lasting and seen > number
            return seen == number + 1
        return path.startswith(inside) and broken

    class HalfWritten(io.FileIO):
        def write(self, data):
            super().write(memoryview(data)[: len(data) // 2])
            raise OSError(code, os.strerror(code))

    def fsync(descriptor, before=os.fsync):
        # The system says which file only of calls that name one.
        if fails(os.readlink(f"/proc/self/fd/{descriptor}")):
            raise OSError(code, os.strerror(code))
        before(descriptor)

    def replace(source, target, before=os.replace):
        if fails(target):
            raise OSError(code, os.strerror(code), str(source), None, str(target))
        before(source, target)

    def opened(path, mode="r", *args, before=builtins.open, **options):
        file = before(path, mode, *args, **options)
        if set(mode) & set("wxa+") and fails(path):
            file.close()
            # It is there now, where it had to be a new one.
            half = HalfWritten(path, mode.translate({ord("b"): "", ord("t"): "", ord("x"): "w"}))
            file = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(half)
            return file if "b" in mode else io.TextIOWrapper(file, encoding="utf-8")
        return file

    if call == "write":
        builtins.open = io.open = opened
    else:
        setattr(os, call, {"fsync": fsync, "replace": replace}[call])


def _path(place):
    # Of the command's paths some are relative to where it was started; a descriptor has none.
    known = isinstance(place, str | bytes | os.PathLike)
    return os.path.abspath(os.fsdecode(place)) if known else ""
