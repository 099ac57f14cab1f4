"""Evaluation while a model trains: the same over any number of processes, and it holds on to nothing."""

import gc
import json

import pytest
import torch
from conftest import HINTS_OF_LIGHTNING, TheirData, points_task, single_task, their_trainer
from pytorch_lightning import Callback
from torch.utils.data import DataLoader

from spanloc import Decode, metrics
from spanloc.data import EvaluationSampler
from spanloc.structures import collate

pytestmark = [HINTS_OF_LIGHTNING, pytest.mark.filterwarnings("ignore:.*DistributedSampler.*")]


class Few(TheirData):
    """A number of sequences that two processes cannot share evenly."""

    def __init__(self, count, size):
        super().__init__([0, 3], count)
        self.size = size

    def train_dataloader(self):
        return DataLoader(self.samples, self.size, collate_fn=collate)

    def val_dataloader(self):
        sampler = EvaluationSampler(len(self.samples))
        return DataLoader(self.samples, self.size, sampler=sampler, collate_fn=collate)

    def test_dataloader(self):
        return self.val_dataloader()


class Padded(Few):
    """Loaders that leave it to Lightning to share the sequences out."""

    def val_dataloader(self):
        return self.train_dataloader()


class Written(Callback):
    """Writes what was logged, from the first process."""

    def __init__(self, file):
        self.file = file

    def write(self, trainer, _):
        if trainer.is_global_zero and not trainer.sanity_checking:
            found = {k: float(v) for k, v in trainer.callback_metrics.items() if "/" in k}
            self.file.write_text(json.dumps(found))

    on_validation_end = on_test_end = write


def evaluated(stage, count, size, file, data=Few, **options):
    torch.manual_seed(0)
    task = points_task(
        decode=Decode(max_predictions=20, min_score=0.0),
        metrics={
            "map": metrics.AveragePrecision([0.1, 0.3]),
            "tiou": metrics.MeanTIoU(),
            "events": metrics.EventF1(5.0, 5.0, min_score=0.0),
        },
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.0),
    )
    trainer = their_trainer(callbacks=[Written(file)], **options)
    getattr(trainer, stage)(task, datamodule=data(count, size))
    return json.loads(file.read_text())


@pytest.mark.parametrize(
    ("stage", "count"),
    [
        pytest.param("validate", 7, marks=pytest.mark.slow),  # 1 s each
        ("test", 5),
        ("fit", 9),
        pytest.param("validate", 3, marks=pytest.mark.slow),
    ],
)
def test_two_processes_find_what_one_finds(tmp_path, stage, count):
    one = evaluated(stage, count, 2, tmp_path / "one.json")
    two = evaluated(stage, count, 2, tmp_path / "two.json", devices=2, strategy="ddp_fork")
    names = {name for name in one if not name.startswith("train/") and name != "lr"}
    assert len(names) >= 8
    for name in names:
        # Training in mixed precision aside, rows are the same to the last digit; the loss is a sum.
        assert two[name] == pytest.approx(one[name], rel=1e-5), name
    assert 0 < one[f"{'test' if stage == 'test' else 'val'}/tiou"] < 1


@pytest.mark.parametrize(
    ("count", "data", "message"),
    [
        (5, Padded, "sequence 'synthetic-0-0' was there twice; .*EvaluationSampler shares"),
        (1, Few, "2 processes are to share 1 sequences; wanted at least one each"),
    ],
)
def test_sequences_that_processes_would_count_twice_or_lack_are_an_error(
    tmp_path, count, data, message
):
    with pytest.raises(Exception, match=message):
        evaluated("validate", count, 2, tmp_path / "a.json", data, devices=2, strategy="ddp_fork")


def test_the_loss_does_not_depend_on_the_batches(tmp_path):
    found = [evaluated("validate", 7, size, tmp_path / "one.json") for size in (1, 3, 7)]
    assert found[0]["val/loss"] == pytest.approx(found[2]["val/loss"], rel=1e-5)
    assert found[1]["val/loss"] == pytest.approx(found[2]["val/loss"], rel=1e-5)


class Held(Callback):
    """Counts the tensors there are after two of the epochs, and the rows that the metrics keep after all."""

    def __init__(self):
        self.tensors, self.rows = [], []

    def on_train_epoch_end(self, trainer, task):
        # The first epochs make what is made once.
        if trainer.current_epoch in (2, 5):
            gc.collect()
            found = gc.get_objects()
            self.tensors.append(sum(issubclass(type(thing), torch.Tensor) for thing in found))
        self.rows.append(sum(len(m.scores) for m in task.val_metrics.values()))


def test_validation_keeps_no_tensors():
    task = single_task(metrics={"tiou": metrics.MeanTIoU(), "map": metrics.AveragePrecision()})
    held = Held()
    their_trainer(max_epochs=6, callbacks=[held]).fit(task, TheirData(count=16))
    assert held.rows == [0] * 6
    early, late = held.tensors
    assert early >= late
