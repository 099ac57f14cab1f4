"""Corrected recordings added to a folder: nothing is overwritten, and nothing that they say is lost."""

import json

import numpy as np
import pytest
from add_corrected import add

from spanloc.data import read_annotations

VALUES = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)


def folder(root, names, **fields):
    (root / "data").mkdir(parents=True)
    rows = [{"segment": [2.0, 6.0], "label": "walk"}]
    entry = {"subset": "training", "duration": 20.0, "fps": 50.0, "annotations": rows, **fields}
    for name in names:
        np.save(root / "data" / f"{name}.npy", VALUES)
    (root / "annotations.json").write_text(json.dumps({"database": dict.fromkeys(names, entry)}))
    return root


@pytest.mark.parametrize("there", ["r.npy", "r.csv"])
def test_a_recording_without_annotations_is_not_overwritten(tmp_path, there):
    old, new = folder(tmp_path / "old", ["a"]), folder(tmp_path / "new", ["q", "r"])
    (old / "data" / there).write_bytes(b"earlier")
    before = (old / "annotations.json").read_bytes()
    with pytest.raises(ValueError, match=rf"{there}: is there already; nothing is overwritten"):
        add(old, new)
    assert (old / "data" / there).read_bytes() == b"earlier"
    assert (old / "annotations.json").read_bytes() == before
    assert sorted(path.name for path in (old / "data").iterdir()) == ["a.npy", there]


def test_weight_and_annotated_stretches_are_kept(tmp_path):
    annotated = [[1.0, 7.0], [10.0, 20.0]]
    new = folder(tmp_path / "new", ["r"], weight=0.5, annotated=annotated, subject="s1")
    old = folder(tmp_path / "old", ["a"])
    add(old, new)
    entry = json.loads((old / "annotations.json").read_text())["database"]["r"]
    assert (entry["weight"], entry["annotated"], entry["subject"]) == (0.5, annotated, "s1")
    first, second = (
        next(r for r in read_annotations(place).subsets["training"] if r.id == "r")
        for place in (old, new)
    )
    assert first.ignored.tolist() == second.ignored.tolist() == [[0, 50], [350, 500]]
    assert first.weight == second.weight


def test_a_recording_that_nobody_looked_at_stays_one(tmp_path):
    new = folder(tmp_path / "new", ["r"], annotated=[], annotations=[])
    add(folder(tmp_path / "old", ["a"]), new)
    content = json.loads((tmp_path / "old" / "annotations.json").read_text())
    assert content["database"]["r"]["annotated"] == []
    assert "weight" not in content["database"]["r"]


@pytest.fixture
def of_wfdb(tmp_path):
    wfdb = pytest.importorskip("wfdb")
    new = folder(tmp_path / "new", ["w"])
    (new / "data" / "w.npy").unlink()
    wfdb.wrsamp(
        "w", fs=50, units=["g"] * 2, sig_name=["x", "y"], p_signal=VALUES.astype(float),
        fmt=["32"] * 2, write_dir=str(new / "data"),
    )  # fmt: skip
    return new


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb, which writes with pandas
def test_a_wfdb_record_takes_its_signals_along(tmp_path, of_wfdb):
    old = folder(tmp_path / "old", ["a"])
    add(old, of_wfdb)
    (record,) = (r for r in read_annotations(old).subsets["training"] if r.id == "w")
    assert record.signal.read(0, 1000) == pytest.approx(VALUES, abs=1e-3)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb, which writes with pandas
def test_the_signals_of_another_wfdb_record_are_not_overwritten(tmp_path, of_wfdb):
    old = folder(tmp_path / "old", ["a"])
    (old / "data" / "w.dat").write_bytes(b"earlier")
    with pytest.raises(ValueError, match=r"w.dat: is there already"):
        add(old, of_wfdb)
    assert (old / "data" / "w.dat").read_bytes() == b"earlier"
    assert not (old / "data" / "w.hea").exists()
