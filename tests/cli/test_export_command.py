"""spanloc-export, and what docs/export.md says, as they are run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spanloc

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "export.md").read_text()
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "100"}


def run(*words, folder):
    """In a process of its own: the shape checker of the tests cannot be exported."""
    command = list(map(str, words))
    if command[0] == "spanloc-export":
        command[:1] = [sys.executable, "-c", "from spanloc.cli import commands; commands.export()"]
    elif command[0] == "python":
        command[0] = sys.executable
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def test_what_the_page_says_runs(trained, tmp_path):
    shutil.copy(trained["detection"] / "best.ckpt", tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    channels = spanloc.load(tmp_path / "best.ckpt").localizer.num_channels
    np.save(tmp_path / "recording.npy", np.random.default_rng(0).normal(size=(90, channels)))
    blocks = re.findall(r"<!-- run -->\n```(\w+)\n(.*?)\n```", PAGE, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["sh", "sh", "python"]
    texts = []
    for kind, text in blocks:
        lines = [shlex.split(line) for line in text.splitlines()]
        for words in lines if kind == "sh" else [["python", "-c", text]]:
            done = run(*words, folder=tmp_path)
            assert done.returncode == 0, done.stderr
            texts.append(done.stdout)
    for text, name in zip(texts, ("model.onnx", "model.pt2"), strict=False):
        assert f"The file is {name}" in text
        assert re.search(r"size .* MB", text)
        assert float(re.search(r"difference of spans, in steps\s+\S+\s+(\S+)", text)[1]) < 1e-2
        assert float(re.search(r"difference of scores\s+\S+\s+(\S+)", text)[1]) <= 1e-4
        assert len(re.findall(r"time of .* ms", text)) == 2
        assert "Compared on 1000 random steps" in text
    assert len(texts[2].splitlines()[0].split(",")) == 4
    assert (tmp_path / "walking" / "model.safetensors").is_file()


@pytest.mark.slow  # 10 s
def test_a_recording_is_what_is_compared(trained, tmp_path):
    channels = spanloc.load(trained["single"]).localizer.num_channels
    np.save(tmp_path / "own.npy", np.random.default_rng(0).normal(size=(75, channels)))
    checkpoint = f"checkpoint={trained['single']}"
    done = run("spanloc-export", checkpoint, "recording=own.npy", "rate=1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Compared on the first 75 steps of own.npy" in done.stdout
    assert len(list(tmp_path.glob("runs/export/*/model.onnx"))) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["format=tflite"], "format is 'tflite'; wanted onnx or torch_export"),
        (["file=m.pt2"], "m.pt2: a file of format=onnx ends in .onnx"),
        (["steps=0"], "steps is 0; wanted a whole number, at least 1"),
        (["opset=9"], "opset is 9; wanted a whole number, at least 18"),
        (["checkpoint=none.ckpt"], "none.ckpt: no such checkpoint file"),
        (["recording=none.npy"], "none.npy"),
    ],
)
def test_a_mistake_is_one_line(settings, said, trained, cli, tmp_path):
    shutil.copy(trained["single"] / "best.ckpt", tmp_path)
    line = cli("export", "checkpoint=best.ckpt", *settings, folder=tmp_path)
    assert line.startswith("spanloc-export: error: ")
    assert said in line
    assert "\n" not in line
    assert os.listdir(tmp_path) == ["best.ckpt"]


@pytest.mark.slow  # 8 s
def test_a_file_that_differs_from_the_checkpoint_is_not_written(trained, tmp_path):
    (tmp_path / "model.onnx").write_text("earlier")
    code = (
        "import spanloc.cli.export as e; from spanloc.inference.exported import Difference\n"
        "e.difference = lambda *_: Difference(0.0, 0.5)\n"
        "from spanloc.cli import commands; commands.export()"
    )
    done = run(
        "python", "-c", code, f"checkpoint={trained['single']}", "file=model.onnx", folder=tmp_path
    )
    assert done.returncode == 1
    assert "model.onnx: not written" in done.stderr
    assert (tmp_path / "model.onnx").read_text() == "earlier"
    assert not list(tmp_path.glob(".spanloc-*"))
