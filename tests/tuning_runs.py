"""Small studies, in this process and in others."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
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
    """``spanloc-tune`` in a process of its own, after some lines of Python."""
    lines = f"from spanloc.cli import commands, train, tune_trial\n{code}\ncommands.tune()"
    return subprocess.Popen(
        [sys.executable, "-c", lines, *arguments],
        cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
