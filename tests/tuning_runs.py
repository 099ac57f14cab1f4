"""Small studies, in this process and in others."""

import json
import multiprocessing
import os
import sys
from pathlib import Path

from jaxtyping import config

from spanloc.cli import commands

QUICK = (
    "data.num_train=16", "data.num_val=8", "data.num_test=4", "data.length=64",
    "data.span_length=[12,24]", "data.batch_size=8", "data.num_distractors=0", "backbone.width=8",
    "trainer.max_epochs=2", "trainer.accelerator=cpu", "trainer.num_sanity_val_steps=0",
    "callbacks.convergence=null", "callbacks.gradients=null", "logger.tensorboard=null",
    "fit_decode=false", "task=single", "span_loss=giou",
)  # fmt: skip
STUDY = (
    *QUICK, "hparams_search=one_span", "hparams_search.scheduler={choices: [cosine, constant]}",
    "num_trials=3", "hydra.run.dir=study",
)  # fmt: skip


def trials_of(folder):
    """The trials in ``study.json``, by number."""
    return json.loads((Path(folder) / "study.json").read_text())["trials"]


def started(code, *arguments, folder):
    """``spanloc-tune`` in a process of its own, after some lines of Python; its stderr is a file.

    A fork, since importing what it needs takes longer than the study.
    """
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_tune, args=(code, arguments, folder))
    process.start()
    return process


def _tune(code, arguments, folder):
    os.chdir(folder)
    sys.argv = ["spanloc-tune", *arguments]
    sys.stdout = sys.stderr = open(f"errors-{os.getpid()}", "w", buffering=1)  # noqa: SIM115 - for the life of it
    config.update("jaxtyping_disable", True)
    exec(
        f"from spanloc.cli import train; from spanloc.cli.search import trial as tune_trial\n{code}",
        {},
    )
    commands.tune()
