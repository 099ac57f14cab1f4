"""CPU time of the commands from a cold start; ``make bench`` prints it."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.table import Table
from timing import milliseconds

_ROWS = {
    "predictions.csv": "sequence,start,end,label,score\na,1,5,walk,0.9\n",
    "annotations.csv": "sequence,start,end,label\na,1,6,walk\n",
}
_ONE_STEP = (
    "trainer.max_steps=1", "+trainer.limit_val_batches=0", "trainer.num_sanity_val_steps=0",
    "test=false", "callbacks.convergence=null", "callbacks.best=null", "hydra.run.dir=run",
)  # fmt: skip


def cpu_seconds(*command: str, repeats: int = 5) -> float:
    """Median CPU time of a command, user and system, in a folder with two small files."""
    bin_folder, times = Path(sys.executable).parent, []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in _ROWS.items():
                (Path(folder) / name).write_text(text)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [bin_folder / command[0], *command[1:]], cwd=folder, check=True,
                capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times)


def bench_startup(table: Table) -> None:
    """Add a row for each command, with what it should stay below."""
    for name in ("train", "evaluate", "predict", "score", "probe", "report"):
        row = f"CPU time of spanloc-{name} --help"
        table.add_row(row, milliseconds(cpu_seconds(f"spanloc-{name}", "--help")), "at most 1 s")
    score = ("predictions=predictions.csv", "annotations=annotations.csv", "hydra.run.dir=out")
    seconds = cpu_seconds("spanloc-score", *score)
    table.add_row("CPU time of spanloc-score, of one row", milliseconds(seconds), "at most 2.5 s")
    seconds = cpu_seconds("spanloc-train", *_ONE_STEP)
    table.add_row("CPU time of spanloc-train, one step", milliseconds(seconds), "at most 6 s")
