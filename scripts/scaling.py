"""Measures what more data costs: the commands on a data set, and on the same data set repeated.

    python scripts/scaling.py DATA [--copies 1 4 16] [--out FOLDER] [SETTING ...]

DATA is a folder with ``annotations.json``. In a copy every recording has an id and a file of its own, so it is
read like a larger archive. Settings are those of ``spanloc-train``. The table of docs/scaling.md is from here.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

_STEPS = 10, 40


class Cost(NamedTuple):
    """Seconds and peak memory of a command."""

    wall: float
    cpu: float
    memory: int


def repeated(source: Path, folder: Path, copies: int) -> float:
    """Write the data set so many times into one folder; its hours."""
    content = json.loads((source / "annotations.json").read_text(encoding="utf-8"))
    (folder / "data").mkdir(parents=True)
    database = {}
    for copy in range(copies):
        for name, fields in content["database"].items():
            own = f"{name}_{copy}"
            database[own] = {**fields, "subject": f"{fields.get('subject', name)}_{copy}"}
            (file,) = (source / "data").glob(f"{name}.*")
            shutil.copy(file, folder / "data" / f"{own}{file.suffix}")
    text = json.dumps({**content, "database": database})
    (folder / "annotations.json").write_text(text, encoding="utf-8")
    return float(sum(fields["duration"] for fields in database.values()) / 3600)


def run(command: str, *settings: str) -> Cost:
    """Run a command of spanloc to its end."""
    program = Path(sys.executable).with_name(f"spanloc-{command}")
    begin = time.perf_counter()
    process = subprocess.Popen([program, *settings], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"spanloc-{command} {' '.join(settings)} failed")
    seconds = time.perf_counter() - begin
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def measure(data: Path, out: Path, settings: list[str]) -> dict[str, float]:
    """The cost of each command on a folder."""
    checked = run("check", f"data.root={data}", f"hydra.run.dir={out / 'check'}")
    fewer, more = (
        run(
            "train", f"data.root={data}", f"trainer.max_steps={steps}", "data.val_share=0", "test=false",
            "callbacks.convergence=null", *settings, f"hydra.run.dir={out / str(steps)}",
        )
        for steps in _STEPS
    )  # fmt: skip
    predicted = run(
        "predict", f"checkpoint={out / str(_STEPS[1])}", f"input={data / 'data'}",
        f"hydra.run.dir={out / 'predicted'}",
    )  # fmt: skip
    step = (more.wall - fewer.wall) / (_STEPS[1] - _STEPS[0])
    return {
        "check, s": checked.wall,
        "until the first step, s": fewer.wall - _STEPS[0] * step,
        "a step, s": step,
        "training, GiB": more.memory / 2**30,
        "predicting, s": predicted.wall,
        "predicting, GiB": predicted.memory / 2**30,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--out", type=Path, help="where copies and runs go; a temporary folder")
    options, settings = parser.parse_known_args()
    out = options.out or Path(tempfile.mkdtemp())
    rows = []
    for copies in options.copies:
        print(f"{copies} times ...", flush=True)
        folder = out / f"{copies} times"
        hours = repeated(options.data, folder, copies)
        rows.append({"hours": hours, **measure(folder, out / f"runs of {copies}", settings)})
    table = pd.DataFrame(rows, index=options.copies)
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
