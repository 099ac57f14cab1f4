import gc
import json
import os
import sys
from contextlib import chdir, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import quick
import torch
from hydra._internal.hydra import Hydra
from matplotlib.figure import Figure
from omegaconf import _utils
from predicting import train_named
from pytorch_lightning import LightningDataModule, Trainer
from quick import CheckedOnce, unchecked
from torch.utils.data import DataLoader

from spanloc import Criterion, SpanLocalizer, losses
from spanloc.cli import commands
from spanloc.data import SyntheticSequences
from spanloc.matching import match_points, match_single
from spanloc.models import (
    ConvBackbone,
    Localizer,
    PointsHead,
    PyramidNeck,
    QueryHead,
    SingleHead,
)
from spanloc.structures import Sample, collate

# The models of the tests are small: threads would wait for each other more than they work, above
# all where something else runs beside them.
torch.set_num_threads(1)

CONFIGS = Path(__file__).parent.parent / "configs"


# What is imported and collected stays: looking through it again and again would find nothing.
gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def quick_figures():
    """Figures small and without their layout, which takes most of the time of a small run; settings read sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", quick.small)
        patch.setattr(_utils, "get_yaml_loader", quick.yaml_loader(_utils.get_yaml_loader))
        quick.quicken_hydra(patch.setattr)
        yield


BLANK = ("train", "evaluate", "probe", "tune")


def mode_of(hydra, config_name, overrides, usual=Hydra.get_mode):
    """``Hydra.get_mode``, which composes all settings once more, only where one of them may set it."""
    if any(word in setting for setting in overrides for word in ("launcher", "hydra.mode")):
        return usual(hydra, config_name, overrides)
    return None


@pytest.fixture(scope="session")
def cli(tmp_path_factory, quick_figures):
    """Runs a command in a folder of its own; gives the run folder, or the one line of an error.

    Commands whose results are in other files too write their figures without what is in them, which
    would be half of their time, unless ``drawn`` is true: as in one of the runs of ``trained``. Shapes are
    checked where ``checked`` is true: in those runs, and in one of ``evaluate``, ``predict`` and ``probe``.
    """

    def run(command, *arguments, folder=None, drawn=None, checked=False):
        folder = folder or tmp_path_factory.mktemp(command)
        drawn = command not in BLANK if drawn is None else drawn
        argv, sys.argv = sys.argv, [f"spanloc-{command}", *map(str, arguments)]
        with chdir(folder), pytest.MonkeyPatch.context() as patch:
            patch.setattr(Hydra, "get_mode", mode_of)
            if not drawn:
                patch.setattr(Figure, "savefig", quick.blank)
            try:
                with nullcontext() if checked else unchecked():
                    getattr(commands, command)()
            except SystemExit as stop:
                return stop.code
            finally:
                sys.argv = argv
        return folder

    return run


@pytest.fixture(scope="session")
def refused(cli):
    """Runs a command that is to fail; gives its one line, from after ``spanloc-NAME: error: `` on."""

    def run(command, *arguments, **options):
        line, start = cli(command, *arguments, **options), f"spanloc-{command}: error: "
        assert isinstance(line, str), "the command did not fail"
        assert line.startswith(start), line
        assert "\n" not in line
        return line.removeprefix(start)

    return run


@pytest.fixture(scope="module", name="commands")
def forked_commands():
    """Runs ``spanloc-train`` in forks that can be killed, or fail; see ``hostile.Commands``."""
    from hostile import Commands

    started = Commands()
    yield started
    started.close()


SMALL = (
    "data.num_train=48",
    "data.num_val=8",
    "data.num_test=8",
    "data.length=64",
    "data.span_length=[12,24]",
    "data.batch_size=8",
    "data.num_distractors=0",
    "backbone.width=16",
    "backbone.num_blocks=1",
    "neck.num_blocks=1",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
)
# Of a training nothing but the training.
BARE = (*SMALL, "test=false", "fit_decode=false", "callbacks.convergence=null")


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Gives a folder that is made by the first of the processes of pytest-xdist that wants it."""
    top = tmp_path_factory.getbasetemp()
    return partial(quick.made_once, top.parent if "PYTEST_XDIST_WORKER" in os.environ else top)


@pytest.fixture(scope="session")
def trained(cli, once):
    """A finished small run of each task: the folder of ``single`` and of ``detection``."""

    def make(folder):
        words = (*SMALL, f"task={folder.name}", "hydra.run.dir=run")
        drawn = folder.name == "detection"
        assert cli("train", *words, folder=folder, drawn=drawn, checked=True) == folder

    return {name: once(name, make) / "run" for name in ("single", "detection")}


@pytest.fixture(scope="session")
def named_model(cli, once):
    """The folder of a short training on recordings of 10 Hz whose channels are called x, y and z."""
    return once("named", partial(train_named, cli)) / "run"


@pytest.fixture
def annotated(tmp_path):
    """A small folder in the annotation format: six sequences of three subjects, and two to test."""
    rng = np.random.default_rng(0)
    database = {}
    (tmp_path / "data").mkdir()
    for i in range(8):
        rows = 60 + 5 * i
        np.save(tmp_path / "data" / f"s{i}.npy", rng.normal(3, 2, (rows, 2)).astype(np.float32))
        segments = [[1.0, 3.0], [4.0, 5.5]] if i != 1 else []
        database[f"s{i}"] = {
            "subset": "training" if i < 6 else "testing",
            "subject": f"p{i // 2}",
            "duration": rows / 10,
            "fps": 10,
            "annotations": [
                {"segment": segment, "label": label}
                for segment, label in zip(segments, ("walk", "sit"), strict=False)
            ],
        }
    content = {"classes": ["sit", "walk"], "database": database}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def real_data():
    root = os.environ.get("SPANLOC_DATA_ROOT")
    if not root:
        pytest.skip("SPANLOC_DATA_ROOT is not set: the real data sets are not here")
    return Path(root).resolve()


def random_spans(count, *, seed=0, spread=20.0, least=0.5, most=8.0):
    """Ordered spans, of which some overlap, float64."""
    random = torch.Generator().manual_seed(seed)
    start = torch.rand(count, generator=random, dtype=torch.float64) * spread
    size = least + torch.rand(count, generator=random, dtype=torch.float64) * (most - least)
    return torch.stack([start, start + size], -1)


def make_batch(lengths=(40, 23), num_channels=3, num_targets=(2, 0), seed=0):
    random = torch.Generator().manual_seed(seed)
    samples = []
    for i, (steps, count) in enumerate(zip(lengths, num_targets, strict=True)):
        starts = torch.rand(count, generator=random) * steps / 2
        sizes = 2 + torch.rand(count, generator=random) * (steps / 2 - 2)
        samples.append(
            Sample(
                id=f"sequence-{i}",
                features=torch.randn(num_channels, steps, generator=random),
                spans=torch.stack([starts, starts + sizes], -1),
                labels=torch.randint(2, (count,), generator=random),
            )
        )
    return collate(samples)


def small_model(head, num_levels=3, num_channels=3, width=8, **options):
    """A model of two classes with this kind of head, which takes its other sizes from the neck."""
    return Localizer(
        ConvBackbone(num_channels, stride=2, width=width, num_blocks=1),
        PyramidNeck(num_levels, width=width, num_blocks=1),
        partial(head, 2, **{"num_layers": 1, **options}),
    )


def points_model(num_channels=3, width=8):
    return small_model(PointsHead, 3, num_channels, width)


def single_model(num_channels=3, width=8):
    return small_model(SingleHead, 2, num_channels, width)


def query_model(num_channels=3, width=8, num_queries=12):
    options = {"num_queries": num_queries, "num_layers": 2}
    return small_model(QueryHead, 2, num_channels, width, **options)


def points_task(model=None, loss=losses.giou_loss, **options):
    """A task with a model of points, or with one that is given."""
    return SpanLocalizer(model or points_model(), Criterion(match_points, loss), **options)


def single_task(loss=losses.giou_loss, *, criterion=(), **options):
    """A task with a model of one span, from the same seed each time; ``criterion`` has options of that."""
    torch.manual_seed(0)
    criterion = Criterion(match_single, loss, **dict(criterion))
    return SpanLocalizer(single_model(), criterion, **options)


class TheirData(LightningDataModule):
    """A user's own DataModule."""

    def __init__(self, num_spans=1, count=32):
        super().__init__()
        self.samples = [
            SyntheticSequences(
                count, num_spans=num_spans, num_channels=3, num_classes=2, length=64,
                span_length=[12, 24], num_distractors=0, noise=0.1,
            )[i]
            for i in range(count)
        ]  # fmt: skip

    def train_dataloader(self):
        return DataLoader(self.samples, 8, collate_fn=collate)

    def val_dataloader(self):
        return DataLoader(self.samples, 8, collate_fn=collate)


def their_trainer(**options):
    defaults = {
        "accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 1,
    }  # fmt: skip
    options["callbacks"] = [CheckedOnce(), *options.get("callbacks", ())]
    return Trainer(**(defaults | options))


HINTS_OF_LIGHTNING = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*", "ignore:.*logging interval.*"
)
