"""Trains and tests with other subjects held out in turn, and tells the mean over these folds.

    python scripts/leave_one_out.py DATA [--folds 5] [--out FOLDER] [SETTING ...]

DATA is a folder with ``annotations.json`` that names the subjects. Each fold tests on one subject and trains on
all others, whatever the subsets of the file. The subjects are spread evenly over the names in order. Settings
are those of ``spanloc-train``, such as ``experiment=sbhar data.val_share=0``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd


def fold(source: Path, folder: Path, subject: str) -> None:
    """Write a data folder in which one subject is for testing, and all others for training."""
    content = json.loads((source / "annotations.json").read_text(encoding="utf-8"))
    for fields in content["database"].values():
        fields["subset"] = "testing" if fields["subject"] == subject else "training"
    folder.mkdir()
    (folder / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "data").symlink_to((source / "data").resolve())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--folds", type=int, default=5, help="how many of the subjects are tested on"
    )
    parser.add_argument("--out", type=Path, help="where the runs go; a temporary folder")
    options, settings = parser.parse_known_args()
    content = json.loads((options.data / "annotations.json").read_text(encoding="utf-8"))
    subjects = sorted({fields["subject"] for fields in content["database"].values()})
    chosen = [subjects[i * len(subjects) // options.folds] for i in range(options.folds)]
    out = options.out or Path(tempfile.mkdtemp())
    rows = []
    for subject in chosen:
        print(f"{subject} ...", flush=True)
        run = out / subject
        with tempfile.TemporaryDirectory() as folder:
            fold(options.data, Path(folder) / "data", subject)
            command = Path(sys.executable).with_name("spanloc-train")
            root = f"data.root={folder}/data"
            subprocess.run([command, root, *settings, f"hydra.run.dir={run}"], check=True)
        metrics = json.loads((run / "metrics.json").read_text())
        rows.append({k: v for k, v in metrics.items() if k.startswith(("test/", "time/train"))})
    table = pd.DataFrame(rows, index=chosen)
    table.loc["mean"] = table.mean()
    print(table.round(4).to_string())


if __name__ == "__main__":
    main()
