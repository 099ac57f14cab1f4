"""Exported files: what docs/export.md says, every length and batch, metadata, the example in numpy, failures."""

import json
import os
import re
import shlex
import shutil
from contextlib import chdir, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import BARE, unchecked
from processes import python

import spanloc
from spanloc import ops
from spanloc.decode import Decode, Isotonic, Temperature
from spanloc.inference.export import ScoredCandidates, decode_options, export
from spanloc.inference.exported import SUFFIXES, Exported, difference, tolerance

ROOT = Path(__file__).parent.parent.parent
NUMPY_EXAMPLE = ROOT / "scripts" / "predict_onnx.py"
BLOCKS = re.findall(
    r"<!-- run -->\n```(\w+)\n(.*?)\n```", (ROOT / "docs" / "export.md").read_text(), re.DOTALL
)
SLOW = pytest.mark.slow  # 10 s for each file that is exported; its time is that of the levels
FEW_LEVELS = ("task=detection", "neck.num_levels=2", "trainer.max_epochs=1", "hydra.run.dir=run")
EVERY = [
    ("detection", ".onnx"),
    pytest.param("single", ".onnx", marks=SLOW),
    pytest.param("detection", ".pt2", marks=SLOW),
]


@pytest.fixture(scope="module")
def trained(trained, cli):
    return {**trained, "detection": cli("train", *BARE, *FEW_LEVELS) / "run"}


@pytest.fixture(scope="module")
def page(trained, cli, tmp_path_factory):
    """Runs the command of the page that writes a kind of file, once; gives the file and what was printed."""
    folder, texts = tmp_path_factory.mktemp("page"), {}
    shutil.copy(trained["detection"] / "best.ckpt", folder)
    lines = dict(zip(SUFFIXES.values(), BLOCKS[0][1].splitlines(), strict=True))

    def run(suffix):
        if suffix not in texts:
            command, *words = shlex.split(lines[suffix])
            assert command == "spanloc-export"
            with unchecked(), redirect_stdout(StringIO()) as printed:
                assert cli("export", *words, folder=folder) == folder
            texts[suffix] = printed.getvalue()
        return folder / f"model{suffix}", texts[suffix]

    return run


@pytest.fixture(scope="module")
def exported(trained, page, tmp_path_factory):
    """The file of a model, which is exported when it is first asked for."""
    single = tmp_path_factory.mktemp("exported") / "single.onnx"

    def file(name, suffix=".onnx"):
        if name == "detection":
            return page(suffix)[0]
        if not single.exists():
            with unchecked():
                export(spanloc.load(trained["single"]), single)
        return single

    return file


@pytest.mark.parametrize("suffix", [".onnx", pytest.param(".pt2", marks=SLOW)])
def test_a_command_of_the_page_says_how_near_the_file_is(suffix, page):
    file, text = page(suffix)
    assert f"The file is {file.name}" in text
    assert re.search(r"size .* MB", text)
    assert float(re.search(r"difference of spans, in steps\s+\S+\s+(\S+)", text)[1]) < 1e-2
    assert float(re.search(r"difference of scores\s+\S+\s+(\S+)", text)[1]) <= 1e-4
    assert len(re.findall(r"time of .* ms", text)) == 2
    assert "Compared on 1000 random steps" in text


def test_what_the_page_says_of_the_file_runs(page):
    folder = page(".onnx")[0].parent
    assert [kind for kind, _ in BLOCKS] == ["sh", "python", "sh", "python"]
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    channels = spanloc.load(folder / "best.ckpt").localizer.num_channels
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(90, channels)))
    table.rename_axis("time").to_csv(folder / "recording.csv")
    with chdir(folder):
        exec(BLOCKS[1][1], {})
    command, *words = shlex.split(BLOCKS[2][1])
    assert command == "python"
    done = python(*words, folder=folder)
    assert len(done.stdout.splitlines()[0].split(",")) == 4
    with chdir(folder):
        exec(BLOCKS[3][1], {})
    assert (folder / "walking" / "model.safetensors").is_file()


def sequences(channels, lengths, seed=0):
    random = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    features = torch.randn(len(lengths), channels, max(lengths), generator=random)
    return features * mask[:, None], mask


@pytest.mark.parametrize(("name", "suffix"), EVERY)
def test_every_batch_and_length_gives_what_the_model_gives(name, suffix, trained, exported):
    task, run = spanloc.load(trained[name]), Exported(exported(name, suffix))
    stride = run.metadata["stride"]
    cases = [[n] for n in (1, 2, 3, stride - 1, stride, stride + 1, 61, 640, 1001)]
    for lengths in [*cases, [1] * 7, [97, 96, 50, 13, 7, 2, 1], [5, 40]]:
        batch = sequences(task.localizer.num_channels, lengths)
        allowed = tolerance(max(lengths), stride)
        found = difference(task, run, *batch)
        assert found.spans <= allowed.spans, lengths
        assert found.scores <= allowed.scores, lengths


def test_a_changed_model_differs_from_its_file(trained, exported):
    task, run = spanloc.load(trained["detection"]), Exported(exported("detection"))
    batch = sequences(task.localizer.num_channels, [50, 40])
    with torch.no_grad():
        task.localizer.head.span.bias += 0.01
    found = difference(task, run, *batch)
    assert found.spans > 1e-3
    assert found.scores < 1e-3  # of other boundaries
    with torch.no_grad():
        task.localizer.head.score.bias += 0.1
    assert difference(task, run, *batch).scores > 1e-4


@pytest.mark.parametrize("name", ["single", "detection"])
def test_scores_are_0_in_the_padding_and_spans_stay_inside(name, trained):
    task = spanloc.load(trained[name])
    module = ScoredCandidates(task.localizer, 16, task.decode)
    features, mask = sequences(task.localizer.num_channels, [70, 20])
    with torch.no_grad():
        spans, scores = module(features, mask)
        _, alone = module(features[1:, :, :20], mask[1:, :20])
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert (scores[1].amax(-1) > 0).sum() == (alone[0].amax(-1) > 0).sum()
    assert (spans >= 0).all()
    assert (spans[0] <= 70).all()
    assert (spans[1] <= 20).all()


@pytest.mark.parametrize(("name", "suffix"), EVERY)
def test_the_file_says_what_it_needs(name, suffix, trained, exported):
    task, found = spanloc.load(trained[name]), Exported(exported(name, suffix)).metadata
    assert found["version"] == 1
    assert found["labels"] == task.classes
    assert found["num_channels"] == task.localizer.num_channels
    assert found["seconds_per_step"] == task.config["seconds_per_step"]
    assert {"input", "crop_seconds", "window"} <= found.keys()
    assert found["reach"] > 0 or name == "single"
    assert found["decode"] == decode_options(task.decode)
    if name == "detection":
        assert found["decode"]["suppress"]["function"] == "soft_nms"
        assert found["decode"]["suppress"]["min_score"] == 1e-3


def test_an_option_that_is_a_function_is_described_by_its_name_and_options():
    def ours(spans, scores, labels, most=3):
        return spans, scores

    found = decode_options(Decode(suppress=ours, min_scores=[0.1, 0.2]))
    assert found["suppress"] == {"function": "ours", "most": 3}
    assert found["min_scores"] == [0.1, 0.2]
    assert found["calibration"] is None


def test_an_onnx_file_is_one_file_without_folders_of_the_machine(exported):
    import onnx

    content = exported("detection").read_bytes()
    assert str(ROOT).encode() not in content
    model = onnx.load(exported("detection"))
    onnx.checker.check_model(model)
    assert [o.version for o in model.opset_import if o.domain == ""] == [18]
    sizes = [
        [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
        for x in model.graph.input
    ]
    assert sizes == [["batch", sizes[0][1], "steps"], ["batch", "steps"]]


@pytest.mark.parametrize("name", ["detection", pytest.param("single", marks=SLOW)])
def test_the_numpy_example_predicts_what_the_model_predicts(name, trained, exported, tmp_path):
    task = spanloc.load(trained[name])
    values = sequences(task.localizer.num_channels, [203], seed=3)[0][0].T.numpy()
    np.save(tmp_path / "recording.npy", values)
    done = python(NUMPY_EXAMPLE, exported(name), tmp_path / "recording.npy")
    rows = [line.split(",") for line in done.stdout.splitlines()]
    assert done.stderr.startswith(f"The model expects {task.localizer.num_channels} channels")
    wanted = task.predict(values)
    assert len(rows) == len(wanted) > 0
    assert [row[2] for row in rows] == [task.classes[i] for i in wanted.labels.tolist()]
    found = torch.tensor([[float(row[i]) for i in (0, 1, 3)] for row in rows]).double()
    expected = torch.cat([wanted.spans, wanted.scores[:, None].double()], 1)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def numpy_example(*arguments):
    done = python(NUMPY_EXAMPLE, *arguments, code=1)
    assert done.stdout == ""
    return done.stderr


def test_the_numpy_example_says_what_it_cannot_do(trained, exported, tmp_path):
    onnx = pytest.importorskip("onnx")
    model, channels = exported("detection"), spanloc.load(trained["detection"]).localizer
    recording = tmp_path / "a.npy"
    np.save(recording, np.zeros((50, channels.num_channels + 1), np.float32))
    wanted = f"a.npy: has shape (50, {channels.num_channels + 1}); wanted (steps, "
    (line,) = numpy_example(model, recording).splitlines()
    assert wanted in line
    recording.write_text("no numbers")
    (line,) = numpy_example(model, recording).splitlines()
    assert "a.npy: cannot be read as an .npy file of numbers" in line
    assert numpy_example(model, "a.csv").startswith("a.csv: wanted an .npy file; ")
    assert "gone.onnx: cannot be read as an ONNX model" in numpy_example("gone.onnx", recording)
    other = onnx.load(model)
    (entry,) = (p for p in other.metadata_props if p.key == "spanloc.json")
    content = json.loads(entry.value)
    content["decode"] |= {"bias": [[1.0, 0.0]], "min_length": 0.5}
    entry.value = json.dumps(content)
    onnx.save(other, tmp_path / "m.onnx")
    (line,) = numpy_example(tmp_path / "m.onnx", recording).splitlines()
    assert "m.onnx: decodes with bias, min_length, which this example does not do" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, []),
        ({"suppress": None, "calibration": Temperature([2.0], [0.1])}, []),
        ({"suppress": partial(ops.soft_nms, sigma=0.3)}, []),
        ({"suppress": partial(ops.soft_nms, decay="linear")}, ["suppress"]),
        ({"suppress": partial(ops.soft_nms, max_total=5)}, ["suppress"]),
        ({"suppress": ops.nms}, ["suppress"]),
        ({"calibration": Isotonic([[[0.5, 0.8]]])}, ["calibration"]),
        ({"voting": 0.7, "min_scores": [0.0]}, ["voting", "min_scores"]),
        ({"exclusive": True, "fill_gaps": 0.1}, ["exclusive", "fill_gaps"]),
        ({"max_per_sequence": 3}, ["max_per_sequence"]),
    ],
)
def test_the_numpy_example_knows_what_it_cannot_do(options, said, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import predict_onnx

    options = {"suppress": ops.soft_nms} | options
    found = predict_onnx.unsupported(decode_options(Decode(**options)))
    assert [name.split(" (")[0] for name in found] == said


def test_the_numpy_example_says_which_channels_and_rate_the_model_expects(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import predict_onnx

    signals = {"channels": ["x", "y"], "units": ["g", "mV"], "features": None}
    model = {"num_channels": 2, "seconds_per_step": 0.04, "input": signals}
    said = "The model expects x [g], y [mV], at 25 steps per second"
    assert predict_onnx.expected(model) == said
    model["input"] = {**signals, "features": "log_spectrogram"}
    assert predict_onnx.expected(model) == "The model expects 2 channels, at 25 steps per second"


def test_the_numpy_example_needs_no_more_than_numpy_and_onnx_runtime():
    text = NUMPY_EXAMPLE.read_text()
    names = [line.split()[1] for line in text.splitlines() if line.startswith(("import", "from"))]
    assert names == ["json", "sys", "numpy", "onnxruntime"]


@pytest.mark.parametrize(
    ("kind", "name", "opset", "said"),
    [
        ("tflite", "m.onnx", 18, "format is 'tflite'; wanted onnx or torch_export"),
        ("onnx", "best.ckpt", 18, "best.ckpt: a file of format=onnx ends in .onnx"),
        ("onnx", "m.onnx", 11, "opset is 11; wanted at least 18"),
    ],
)
def test_an_option_out_of_range_is_refused_and_no_file_is_touched(
    kind, name, opset, said, trained, tmp_path
):
    (tmp_path / name).write_text("earlier")
    with pytest.raises(ValueError, match=said):
        export(spanloc.load(trained["single"]), tmp_path / name, kind, opset=opset)
    assert (tmp_path / name).read_text() == "earlier"
    assert os.listdir(tmp_path) == [name]
