"""Several processes through the command line, as a user starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL


@pytest.mark.slow  # 15 s; test_several has more, without what comes after the training
def test_two_processes_validate_and_test_as_one(cli, tmp_path):
    command = Path(sys.executable).with_name("spanloc-train")
    settings = (
        *SMALL, "data.num_val=7", "data.num_test=9", "trainer.max_epochs=1", "optimizer=sgd", "hydra.run.dir=run",
    )  # fmt: skip
    alone = cli("train", *settings, "data.batch_size=8", "trainer.devices=1")
    done = subprocess.run(
        [command, *settings, "data.batch_size=4", "trainer=ddp_cpu"], cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True, timeout=300,
        text=True,
    )  # fmt: skip
    said = [line.split("] - ")[1] for line in done.stdout.splitlines() if "] - " in line]
    assert len(said) == len(set(said)), "a line of each process"
    assert "GLOBAL_RANK" not in done.stdout
    for folder in (alone, tmp_path):
        scores = json.loads((folder / "run" / "scores.json").read_text())
        assert scores["num_sequences"] == 9
    one, two = (
        json.loads((folder / "run" / "metrics.json").read_text()) for folder in (alone, tmp_path)
    )
    assert one.keys() == two.keys()
    assert {"val/tiou", "test/tiou", "convergence/grad_total"} <= one.keys()
    for name in one.keys() - {"time/train"}:
        assert abs(one[name] - two[name]) < 1e-6, name
