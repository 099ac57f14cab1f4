"""On recordings, where ``SPANLOC_DATA_ROOT`` points at their folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spanloc.data import AnnotatedData, read_annotations
from spanloc.models.sizing import levels_for, stride_for

SHORT = ("trainer.max_epochs=1", "+trainer.limit_train_batches=2", "+trainer.limit_val_batches=1",
         "backbone.width=16", "data.crops_per_epoch=16", "trainer.accelerator=cpu",
         "hydra.run.dir=run")  # fmt: skip
SETS = {"sbhar": (61, 6, 12, 1214, 50.0), "birdsong": (42, 32, 13, 2472, 200.0)}


@pytest.mark.parametrize("name", SETS)
def test_a_whole_set_is_read(name, real_data):
    sequences, channels, classes, spans, fps = SETS[name]
    content = read_annotations(real_data / name)
    records = [record for subset in content.subsets.values() for record in subset]
    assert len(records) == sequences
    assert content.num_channels == channels
    assert len(content.classes) == classes
    assert sum(len(record.spans) for record in records) == spans
    assert {record.timeline.seconds_per_step for record in records} == {1 / fps}


def test_raw_sample_numbers_are_the_steps(real_data):
    """The original pair is 1-based with an inclusive end: ``[start - 1, end)`` in steps."""
    content = read_annotations(real_data / "sbhar")
    database = json.loads((real_data / "sbhar" / "annotations.json").read_text())["database"]
    for record in content.subsets["training"][:10]:
        raw = [entry["raw_samples"] for entry in database[record.id]["annotations"]]
        expected = torch.tensor(raw, dtype=torch.float32) - torch.tensor([1.0, 0.0])
        torch.testing.assert_close(record.spans, expected, rtol=0, atol=5e-3)


def test_volunteers_are_kept_apart(real_data):
    data = AnnotatedData(real_data / "sbhar", crop_seconds=160, val_share=0.15)
    data.setup("fit")
    subjects = [
        {record.subject for record in part.records}
        for part in (data.train_set, data.val_set, data.test_set)
    ]
    assert sum(len(part) for part in subjects) == len(set.union(*subjects)) == 30
    sample = data.train_set[0]
    assert sample.features.shape == (6, 8000)
    mean, std = data.statistics()
    rows = np.concatenate([np.load(record.signal.path) for record in data.train_set.records])
    np.testing.assert_allclose(mean, rows.mean(0, dtype=np.float64), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(std, rows.std(0, dtype=np.float64), rtol=1e-4)


def test_levels_are_derived_for_both(real_data):
    sizes = {}
    for name in SETS:
        data = AnnotatedData(real_data / name)
        data.setup("fit")
        facts = data.facts()
        stride = stride_for(facts.shortest)
        sizes[name] = (stride, levels_for(facts.longest, stride))
    assert sizes == {"sbhar": (10, 6), "birdsong": (1, 3)}


@pytest.mark.parametrize(
    ("arguments", "root"),
    [
        pytest.param(["experiment=sbhar"], "sbhar", marks=pytest.mark.slow),  # 8 s
        ([], "birdsong"),
    ],
)
def test_a_training_on_recordings_goes_through(arguments, root, cli, real_data):
    folder = cli("train", *SHORT, *arguments, f"data.root={real_data / root}")
    assert isinstance(folder, Path), folder
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert 0 <= metrics["test/mAP"] <= 1
    assert metrics["convergence/relative_gradient"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(("root", "least"), [("sbhar", 0.91), ("birdsong", 0.995)])
def test_a_folder_is_enough_for_a_good_model(root, least, cli, real_data):
    folder = cli("train", f"data.root={real_data / root}", "hydra.run.dir=run")
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert metrics["test/mAP"] >= least
