"""A training of many epochs holds no more memory and files than one of a few."""

import json
from pathlib import Path

import numpy as np
import pytest
from processes import ended
from watched import FILES

TINY = (
    "task=detection", "data.num_train=16", "data.num_val=4", "data.num_test=4", "data.length=32",
    "data.span_length=[6,12]", "data.num_spans=2", "data.num_distractors=0", "data.batch_size=8",
    "backbone.width=8", "backbone.num_blocks=1", "backbone.stride=1", "neck.num_levels=2",
    "neck.num_blocks=1", "trainer.accelerator=cpu", "test=false", "fit_decode=false",
    "callbacks.convergence=null", "callbacks.gradients.every_n_steps=1",
)  # fmt: skip
EPOCHS, STEPS, MIB = 200, 2, 2**20


@pytest.mark.slow  # 25 s
def test_many_epochs_take_no_more_memory_and_files_than_a_few(tmp_path):
    """400 steps: each has its rows in the logs and 20 bytes in the checkpoint's history of gradients, and no more."""
    watched = f"+callbacks.watched={{_target_: watched.Watched, folder: {tmp_path}}}"
    settings = (*TINY, f"trainer.max_epochs={EPOCHS}", watched, f"hydra.run.dir={tmp_path}")
    tests = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    code, _, errors = ended("train", *settings, folder=tmp_path, environment=tests)
    assert code == 0, errors[-2000:]
    rows = json.loads((tmp_path / "watched.json").read_text())
    assert len(rows) == EPOCHS + 1
    held = {name: np.array([row[name] for row in rows[20:]]) for name in ("rss", "open", *FILES)}
    assert held["rss"][-10:].max() < 1.05 * held["rss"][:10].max(), held["rss"] / MIB
    assert held["open"].max() == held["open"][0]
    grown = {name: (held[name][-1] - held[name][0]) / (EPOCHS - 20) for name in FILES}
    log, csv, tensorboard, checkpoint = FILES
    # A line now and then, by the clock.
    assert held[log][-1] < 20_000
    assert 0 < grown[csv] < STEPS * 300
    assert 0 < grown[tensorboard] < STEPS * 800
    assert grown[checkpoint] < STEPS * 20 + 10
