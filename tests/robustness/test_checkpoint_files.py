"""Checkpoints that are damaged, made up, or written while the disk fails."""

import errno
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from conftest import BARE

import spanloc
from spanloc.training.checkpoint_io import AtomicCheckpointIO, require_intact

# An epoch more, and nothing after it.
MORE = ("trainer.max_epochs=3", "test=false", "fit_decode=false")


@pytest.fixture
def run(trained, tmp_path):
    """A copy of a finished run, among things that are none of its business."""
    folder = tmp_path / "runs" / "run"
    shutil.copytree(trained["detection"], folder)
    for place in (tmp_path / "victim", tmp_path / "runs" / "victim"):
        place.mkdir()
        (place / "precious.ckpt").write_text("years of work")
    return folder


def surroundings(run):
    top = run.parent.parent
    files = (path for path in top.rglob("*") if run not in path.parents and path != run)
    return {path: path.read_bytes() if path.is_file() else None for path in files}


def rewritten(path, change):
    saved = torch.load(path, weights_only=True)
    change(saved)
    torch.save(saved, path)


@pytest.mark.parametrize(
    "place",
    [
        "{top}/victim/precious.ckpt",
        *(pytest.param(p, marks=pytest.mark.slow) for p in ("{run}/../victim", "{run}/other.ckpt")),  # 2 s each
    ],
)  # fmt: skip
def test_a_checkpoint_cannot_have_anything_removed(cli, run, place):
    victim = place.format(run=run, top=run.parent.parent)
    (run / "other.ckpt").write_text("of somebody else")
    score = torch.tensor(-1.0)

    def change(saved):
        for state in saved["callbacks"].values():
            if isinstance(state, dict) and "best_model_path" in state:
                state |= {"best_k_models": {victim: score}, "kth_best_model_path": victim}
                state |= {"kth_value": score, "best_model_path": victim, "last_model_path": victim}
                state |= {"best_model_score": score, "dirpath": str(run)}

    rewritten(run / "last.ckpt", change)
    before, inside = surroundings(run), {path.name for path in run.iterdir()}
    code = cli("train", f"resume={run}", *MORE)
    assert isinstance(code, Path), code
    assert surroundings(run) == before
    assert inside <= {path.name for path in run.iterdir()}
    assert (run / "other.ckpt").read_text() == "of somebody else"
    assert torch.load(run / "last.ckpt", weights_only=True)["epoch"] == 2


def test_a_link_does_not_lead_out_of_the_run_folder(cli, run, tmp_path):
    outside = tmp_path / "outside.ckpt"
    (run / "best.ckpt").rename(outside)
    (run / "best.ckpt").symlink_to(outside)
    before = outside.read_bytes()
    assert isinstance(cli("train", f"resume={run}", *MORE), Path)
    assert outside.read_bytes() == before
    assert not (run / "best.ckpt").is_symlink()


def test_flipped_bytes_are_noticed(refused, run, trained):
    for where in (0.3, 0.5, 0.7):
        damaged = bytearray((trained["detection"] / "best.ckpt").read_bytes())
        with zipfile.ZipFile(trained["detection"] / "best.ckpt") as file:
            parts = sorted(file.infolist(), key=lambda part: part.file_size)
        # Of a part that is longer than what lies between parts.
        part = parts[int(len(parts) * (0.7 + 0.3 * where))]
        damaged[part.header_offset + part.file_size // 2 + 128] ^= 1
        (run / "best.ckpt").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"best.ckpt: the file is damaged: .* checksum"):
            spanloc.load(run)
    assert "best.ckpt: the file is damaged" in refused("evaluate", f"checkpoint={run}")
    (run / "last.ckpt").write_bytes(damaged)
    assert "last.ckpt: the file is damaged" in refused("train", f"resume={run}")
    with pytest.raises(ValueError, match="damaged"):
        AtomicCheckpointIO().load_checkpoint(run / "last.ckpt")


def test_a_part_of_a_file_is_no_checkpoint(run):
    whole = (run / "best.ckpt").read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        (run / "best.ckpt").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"best.ckpt: not a checkpoint, or a damaged one$"):
            spanloc.load(run)


def test_a_packed_file_is_not_unpacked(tmp_path, run):
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(run / "best.ckpt") as file, zipfile.ZipFile(path, "w") as bomb:
        for part in file.namelist():
            packed = zipfile.ZIP_DEFLATED if part.endswith("data.pkl") else zipfile.ZIP_STORED
            bomb.writestr(part, file.read(part), packed)
    with pytest.raises(ValueError, match="not a checkpoint, or a damaged one"):
        spanloc.load(path)


def test_a_checkpoint_is_written_in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    seen = []
    real = os.replace

    def replace(source, target):
        seen.append((Path(source).parent, Path(target)))
        require_intact(source)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    path = tmp_path / "a" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"a": torch.ones(3)}, path)
    assert seen == [(path.parent, path)]
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_that_was_there(tmp_path, monkeypatch, name):
    path = tmp_path / "last.ckpt"
    files = AtomicCheckpointIO()
    files.save_checkpoint({"a": torch.ones(3)}, path)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, name, full)
    with pytest.raises(OSError, match="No space left on device: '.*last.ckpt'"):
        files.save_checkpoint({"a": torch.zeros(3)}, path)
    assert torch.equal(files.load_checkpoint(path, weights_only=True)["a"], torch.ones(3))
    assert list(tmp_path.iterdir()) == [path]


def test_removing_a_checkpoint_removes_a_file_and_no_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.ckpt").touch()
    for name in ("folder", "file.ckpt", "none.ckpt"):
        AtomicCheckpointIO().remove_checkpoint(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    "name",
    [
        "{epoch}-{val/tiou:.4f}",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("[best]", "best")),  # 3 s each
    ],
)
def test_the_best_file_is_known_again_whatever_its_name(cli, tmp_path, name):
    settings = (*BARE, f"callbacks.best.filename='{name}'")
    best = "val/tiou"
    first = cli("train", *settings, "hydra.run.dir=run", folder=tmp_path) / "run"
    score = json.loads((first / "metrics.json").read_text())[best]
    before = {p.relative_to(first) for p in first.rglob("*.ckpt")}
    (tmp_path / "link.ckpt").symlink_to(first / "last.ckpt")
    # What it learns from now on is worse: nothing of where spans are.
    worse = ("trainer.max_epochs=3", "criterion.span_weight=0", "optimizer.lr=2e-3")
    second = cli("train", *settings, *worse, f"ckpt_path={tmp_path / 'link.ckpt'}",
                 "hydra.run.dir=again", folder=tmp_path) / "again"  # fmt: skip
    assert json.loads((second / "metrics.json").read_text())[best] >= score
    assert "not beside it" not in (second / "train.log").read_text()
    after = {p.relative_to(second) for p in second.rglob("*.ckpt")}
    assert len(after) == len(before) == 2


STATE = ("epoch", "global_step", "optimizer_states", "lr_schedulers", "loops", "callbacks")


@pytest.mark.parametrize(
    "odd", ["missing", pytest.param([], marks=pytest.mark.slow)], ids=str
)  # 3 s
def test_a_state_that_training_cannot_go_on_from_is_one_line(refused, run, odd):
    whole = torch.load(run / "last.ckpt", weights_only=True)
    for name in (*STATE, "state_dict"):
        changed = {k: v for k, v in whole.items() if k != name or odd != "missing"}
        if odd != "missing":
            changed[name] = odd
        torch.save(changed, run / "last.ckpt")
        line = refused("train", f"resume={run}", "trainer.max_epochs=3")
        assert "last.ckpt: " in line
        assert name in line


INSIDE = {
    "groups": lambda s: s["optimizer_states"][0].update(param_groups=3),
    "loops": lambda s: s["loops"].clear(),
    "progress": lambda s: s["loops"]["fit_loop"].update(epoch_progress="odd"),
    "schedule": lambda s: s["lr_schedulers"][0].update(lr_lambdas=3),
    "history": lambda s: [
        v.update(history=3) for v in s["callbacks"].values() if isinstance(v, dict) and "history" in v
    ],
}  # fmt: skip


@pytest.mark.parametrize("change", INSIDE.values(), ids=INSIDE)
def test_an_odd_state_inside_is_one_line(refused, run, change):
    rewritten(run / "last.ckpt", change)
    line = refused("train", f"resume={run}", "trainer.max_epochs=3", "test=false")
    assert "last.ckpt: training cannot go on from it: " in line
