"""Several processes through the command line, as a user starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import SMALL


def test_two_processes_validate_and_test_as_one(tmp_path):
    command = Path(sys.executable).with_name("spanloc-train")
    found = []
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        folder.mkdir()
        done = subprocess.run(
            [command, *SMALL, "data.num_val=7", "data.num_test=9", "trainer.max_epochs=1",
             "data.batch_size=4" if devices == 2 else "data.batch_size=8",
             f"trainer.devices={devices}", "hydra.run.dir=run"],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True, timeout=300,
            text=True,
        )  # fmt: skip
        said = [line.split("] - ")[1] for line in done.stdout.splitlines() if "] - " in line]
        assert len(said) == len(set(said)), "a line of each process"
        assert "GLOBAL_RANK" not in done.stdout
        run = folder / "run"
        found.append(json.loads((run / "metrics.json").read_text()))
        scores = json.loads((run / "scores.json").read_text())
        assert scores["num_sequences"] == 9
    one, two = found
    assert one.keys() == two.keys()
    for name in ("val/tiou", "test/tiou", "test/R1@0.50"):
        assert abs(one[name] - two[name]) < 1e-3, name
