"""spanloc-export: a recording to compare on, mistakes, and a file that differs."""

import os
import re
import shutil

import numpy as np
import pytest
from conftest import unchecked

import spanloc
from spanloc.cli import export
from spanloc.inference.exported import Difference


@pytest.mark.slow  # 5 s
def test_a_recording_is_what_is_compared(trained, cli, tmp_path, capsys):
    channels = spanloc.load(trained["single"]).localizer.num_channels
    np.save(tmp_path / "own.npy", np.random.default_rng(0).normal(size=(75, channels)))
    words = (f"checkpoint={trained['single']}", "recording=own.npy", "rate=1")
    with unchecked():
        assert cli("export", *words, "format=torch_export", folder=tmp_path) == tmp_path
    said = capsys.readouterr().out
    assert re.findall(r"^\d of 4: (\w+)", said, re.MULTILINE) == [
        "tracing",
        "writing",
        "comparing",
        "measuring",
    ]
    assert "Compared on the first 75 steps of own.npy" in said
    assert len(list(tmp_path.glob("runs/export/*/model.pt2"))) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["format=tflite"], "format is 'tflite'; wanted onnx or torch_export"),
        (["file=m.pt2"], "m.pt2: a file of format=onnx ends in .onnx"),
        (["steps=0"], "steps is 0; wanted a whole number, at least 1"),
        (["opset=9"], "opset is 9; wanted a whole number, at least 18"),
        (["checkpoint=none.ckpt"], "none.ckpt: no such file or folder (checkpoint)"),
        (["recording=none.npy"], "none.npy"),
    ],
)
def test_a_mistake_is_one_line(settings, said, trained, refused, tmp_path):
    shutil.copy(trained["single"] / "best.ckpt", tmp_path)
    assert said in refused("export", "checkpoint=best.ckpt", *settings, folder=tmp_path)
    assert os.listdir(tmp_path) == ["best.ckpt"]


def test_a_missing_package_is_said_before_the_model_is_loaded(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "spanloc.inference.export.find_spec", lambda name: name != "onnxscript" or None
    )
    (tmp_path / "broken.ckpt").write_text("no checkpoint")
    line = refused("export", "checkpoint=broken.ckpt", folder=tmp_path)
    assert line.startswith("format=onnx needs onnxscript: pip install 'spanloc[export]' (")


@pytest.mark.slow  # 4 s
def test_a_file_that_differs_from_the_checkpoint_is_not_written(
    trained, cli, tmp_path, monkeypatch
):
    (tmp_path / "model.pt2").write_text("earlier")
    monkeypatch.setattr(export, "difference", lambda *_: Difference(0.0, 0.5))
    words = (f"checkpoint={trained['single']}", "file=model.pt2", "format=torch_export")
    with unchecked():
        line = cli("export", *words, folder=tmp_path)
    assert "model.pt2: not written" in line
    assert "scores by 0.5" in line
    assert (tmp_path / "model.pt2").read_text() == "earlier"
    assert not list(tmp_path.glob(".spanloc-*"))
