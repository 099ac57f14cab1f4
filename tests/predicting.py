"""Recordings to predict on, and what was written of them."""

import json
import shutil
from pathlib import Path

import numpy as np
from pages import SHORT
from scipy.spatial import KDTree

RATE = 10
NAMES = ("x", "y", "z")
# Of an untrained model all scores are low.
PREDICT = ("hydra.run.dir=out", "min_score=0.0")
TRAIN = (*SHORT, "test=false", "decode.max_predictions=9", "task=detection", "hydra.run.dir=run")


def signal(seed=0, *, steps=200, channels=3):
    return np.random.default_rng(seed).normal(size=(steps, channels)).round(3)


def write_csv(path, values, *, names=NAMES, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.column_stack([np.arange(len(values)) / rate, values])
    np.savetxt(path, rows, "%.4f", ",", header=",".join(["time", *names]), comments="")


def train_named(cli, folder):
    """A short training on recordings whose channels have names, in ``run``."""
    rows = ["sequence,start,end,label"]
    for i in range(6):
        write_csv(folder / "data" / f"r{i}.csv", signal(i))
        rows += [f"r{i},3,6.5,walk", f"r{i},{10 + i / 2},{14 + i / 2},sit"]
    (folder / "annotations.csv").write_text("\n".join(rows) + "\n")
    found = cli("train", f"data.root={folder}", *TRAIN, folder=folder)
    assert found == folder, found


def spans_of(path):
    """Start, end, label and score in a file of our annotation format, by sequence."""
    database = json.loads(Path(path).read_text())["database"]
    return {
        name: [(*row["segment"], row["label"], row["score"]) for row in fields["annotations"]]
        for name, fields in database.items()
    }


def predict(cli, model, folder, *words):
    """The spans that are found in a new run, or the line of an error."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    found = cli("predict", f"checkpoint={model}", *PREDICT, *words, folder=folder)
    return spans_of(found / "out" / "predictions.json") if found == folder else found


def outputs(folder):
    """What a run wrote, without what every run writes."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    usual = {"predict.log", "predict.done"}
    return sorted(p.as_posix() for p in files if p.parts[0] != ".hydra" and p.name not in usual)


def assert_same_rows(one, other, spans, scores):
    """Two sets of predictions are the same to within tolerances of spans and scores, in whatever order.

    Sorting would not do: rounding changes the order of what is nearly equal.
    """
    assert len(one) == len(other)
    scale = [1 / spans, 1 / spans, 1 / scores, 1e9]
    tables = [
        np.column_stack([rows.spans.double(), rows.scores.double(), rows.labels]) * scale
        for rows in (one, other)
    ]
    for table, tree in zip(tables, reversed([KDTree(table) for table in tables]), strict=True):
        assert tree.query(table, p=np.inf)[0].max() <= 1
