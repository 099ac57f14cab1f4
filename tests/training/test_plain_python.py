"""The model in plain Python: what the data decide, prediction, compilation, export, other packages."""

import json
from functools import partial

import pytest
import torch
from conftest import (
    HINTS_OF_LIGHTNING,
    TheirData,
    points_model,
    points_task,
    single_task,
    their_trainer,
)
from processes import python
from pytorch_lightning import seed_everything

import spanloc
from spanloc import Criterion, Decode, SpanLocalizer, losses, metrics, ops
from spanloc.data import AnnotatedData, SpanDataModule
from spanloc.losses.terms import CellTerm, boundary_focal
from spanloc.matching import match_points
from spanloc.models import BoundaryHead, ConvBackbone, Localizer, PointsHead, PyramidNeck
from spanloc.structures import Sample, collate
from spanloc.training import schedules
from spanloc.training.finite import FiniteWatch, _Seen

pytestmark = HINTS_OF_LIGHTNING


def from_parts(**options):
    """A task whose sizes the data decide, but for the width."""
    localizer = partial(
        Localizer,
        backbone=partial(ConvBackbone, width=8),
        neck=PyramidNeck,
        head=partial(BoundaryHead, num_layers=2),
    )
    terms = {"boundaries": CellTerm(boundary_focal, weight=0.5)}
    criterion = Criterion(match_points, losses.giou_loss, losses.quality_focal_loss, terms=terms)
    return SpanLocalizer(localizer, criterion, Decode(suppress=ops.soft_nms), **options)


def test_plain_fit_gives_the_weights_of_the_command_bit_for_bit(cli, annotated):
    run = cli(
        "train", "task=detection", "data=annotations", f"data.root={annotated}", "backbone.width=8",
        "data.crop_seconds=3", "data.batch_size=2", "trainer.max_epochs=2", "test=false",
        "trainer.accelerator=cpu", "callbacks.convergence=null", "callbacks.average=null",
        "span_loss=giou", "head.num_layers=2", "head.num_shared=0", "data.crops_per_epoch=9", "transforms=none", "scheduler.warmup=0.1",
        "hydra.run.dir=run",
    )  # fmt: skip
    expected = torch.load(run / "run" / "last.ckpt", weights_only=True)["state_dict"]
    seed_everything(0, workers=True, verbose=False)
    task = from_parts(
        metrics={"average_precision": metrics.AveragePrecision()},
        optimizer=partial(torch.optim.AdamW, lr=2e-3, weight_decay=0.05),
        scheduler=schedules.cosine,
    )
    trainer = their_trainer(max_epochs=2, gradient_clip_val=1.0, num_sanity_val_steps=1)
    trainer.fit(task, AnnotatedData(annotated, crop_seconds=3, crops_per_epoch=9, batch_size=2))
    torch.testing.assert_close(task.state_dict(), expected, rtol=0, atol=0)
    assert task.classes == ["sit", "walk"]


def test_notes_on_the_data_are_logged_once_as_lightning_logs(annotated, caplog):
    task, trainer = from_parts(), their_trainer(max_epochs=1, limit_train_batches=1)
    data = AnnotatedData(annotated, crop_seconds=3, batch_size=2)
    with caplog.at_level("INFO", "pytorch_lightning"):
        trainer.fit(task, data)
        trainer.test(task, data)
    said = [r.getMessage() for r in caplog.records if r.name.startswith("pytorch_lightning")]
    assert data.notes
    assert [text for text in said if text in data.notes] == data.notes


def test_files_are_read_when_a_trainer_asks(annotated):
    data = AnnotatedData(annotated / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        their_trainer().fit(from_parts(), data)


def test_a_model_that_is_built_gets_the_statistics_of_the_data(annotated):
    task = points_task(points_model(2))
    data = AnnotatedData(annotated, batch_size=2)
    their_trainer(max_steps=1).fit(task, data)
    torch.testing.assert_close(task.localizer.mean, data.statistics()[0])
    # A trained model that is trained on keeps those it was trained with.
    task.localizer.mean += 1
    their_trainer(max_steps=1).fit(task, data)
    torch.testing.assert_close(task.localizer.mean, data.statistics()[0] + 1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (points_model(5), "num_channels 5; the data have 2"),
        (None, "num_classes 1; the data have 2"),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_refused(annotated, model, message):
    if model is None:
        model = points_model(2)
        model.head.num_classes = 1
    with pytest.raises(ValueError, match=message):
        their_trainer().fit(points_task(model), AnnotatedData(annotated))


def without_test_set():
    data = Lists()
    del data.test_set
    return data


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: their_trainer().fit(from_parts(), TheirData()),
         "TheirData does not say what these are: give it facts"),
        (lambda: their_trainer().predict(from_parts(), without_test_set()),
         "Lists has no test_set"),
        (lambda: their_trainer().predict(from_parts(), Lists()),
         "the localizer is not built yet: fit the task"),
        (lambda: Localizer(torch.nn.Identity(), PyramidNeck(1, width=8), PointsHead(1, 1, width=8)),
         "Identity has no attribute 'num_channels'; .*protocols"),
    ],
)  # fmt: skip
def test_what_a_model_lacks_is_named(act, message):
    with pytest.raises((ValueError, AttributeError), match=message):
        act()


class Lists(SpanDataModule):
    """A user's own, over plain lists."""

    def __init__(self):
        super().__init__(batch_size=4, seed=1)
        self.train_set = TheirData([0, 2], count=10).samples
        self.val_set = self.test_set = self.train_set
        self.classes = ["a", "b"]


def test_lists_of_samples_train_for_many_epochs():
    seen = []

    class Seeing(SpanLocalizer):
        def training_step(self, batch, batch_idx):
            seen.extend(batch.ids)
            return super().training_step(batch, batch_idx)

    task = from_parts()
    task.__class__ = Seeing
    their_trainer(max_epochs=4).fit(task, Lists())
    assert len(seen) == 4 * 8  # the rest of two does not make a batch
    assert len(set(map(tuple, (seen[i : i + 8] for i in range(0, 32, 8))))) == 4
    assert task.localizer.normalised


def test_predict_gives_ids_and_seconds(annotated):
    data = AnnotatedData(annotated, batch_size=1)
    task = from_parts()
    trainer = their_trainer(max_steps=1)
    trainer.fit(task, data)
    found = trainer.predict(task, data)
    assert [p.ids for p in found] == [("s6",), ("s7",)]
    assert all(p.unit == "seconds" and p.spans.dtype == torch.float64 for p in found)
    assert all((p.spans <= 9.5 + 1e-6).all() for p in found)  # of 90 and 95 steps at 10 Hz
    batch = next(iter(data.predict_dataloader()))
    steps = task.decode(task(batch.features, batch.mask), batch)
    torch.testing.assert_close(found[0].spans, steps.spans.double() / 10)


def test_spans_of_a_sequence_that_starts_late_are_in_its_time():
    sample = TheirData(count=1).samples[0]
    late = Sample(
        sample.id, sample.features, sample.spans, sample.labels, spanloc.Timeline(0.5, 100.0)
    )
    task = single_task().eval()
    with torch.no_grad():
        plain, found = (task.predict_step(collate([s])).spans for s in (sample, late))
    torch.testing.assert_close(found, plain * 0.5 + 100)


@pytest.mark.slow  # 15 s
def test_a_compiled_task_trains_to_the_same_weights():
    # Without a compiler behind it, since what is traced is what matters here.
    code = """
import torch
from conftest import TheirData, points_task, their_trainer
weights = []
for compiled in (False, True):
    torch.manual_seed(0)
    task = points_task()
    model = torch.compile(task, backend="eager") if compiled else task
    their_trainer(max_epochs=1).fit(model, TheirData(count=16))
    weights.append(task.state_dict())
torch.testing.assert_close(*weights)
"""
    python("-c", code)


def test_the_example_input_is_one_that_the_model_takes():
    task = points_task()
    output = task(*task.example_input_array)
    assert output.spans.isfinite().all()
    their_trainer(enable_model_summary=True, max_steps=1).fit(task, TheirData(count=8))


def test_hyperparameters_say_what_the_model_is_made_of():
    task = from_parts(scheduler=schedules.cosine)
    their_trainer(max_steps=1).fit(task, Lists())
    made_of = task.hparams["made_of"]
    assert made_of["backbone"] == {
        "type": "ConvBackbone", "num_channels": 3, "stride": 1, "width": 8,
    }  # fmt: skip
    assert made_of["head"]["num_classes"] == 2
    assert task.hparams["span_loss"] == "giou"
    assert task.hparams["scheduler"] == "cosine"
    json.dumps(dict(task.hparams))


def test_a_checkpoint_of_a_model_from_parts_loads_with_the_same_parts(tmp_path):
    task = from_parts()
    trainer = their_trainer(max_steps=1)
    trainer.fit(task, Lists())
    path = tmp_path / "mine.ckpt"
    trainer.save_checkpoint(path)
    fresh = from_parts()
    parts = {"localizer": fresh._make_localizer, "criterion": fresh.criterion}
    again = SpanLocalizer.load_from_checkpoint(path, **parts, weights_only=True)
    assert again.classes == ["a", "b"]
    torch.testing.assert_close(again.state_dict(), task.state_dict(), rtol=0, atol=0)
    trainer.test(from_parts(), Lists(), ckpt_path=path, verbose=False, weights_only=True)
    # A localizer that was given built comes with no facts to build one from.
    trainer = their_trainer(max_steps=1)
    trainer.fit(points_task(), Lists())
    trainer.save_checkpoint(path)
    with pytest.raises(ValueError, match="given built, and this one is a function"):
        trainer.test(from_parts(), Lists(), ckpt_path=path, verbose=False, weights_only=True)


@pytest.mark.slow  # 8 s
def test_modules_of_the_lightning_package_work_together():
    code = """
import lightning as L
from spanloc import Criterion, SpanLocalizer, losses
from spanloc.data import SyntheticData
from spanloc.matching import match_single
from spanloc.models import ConvBackbone, Localizer, PyramidNeck, SingleHead
from spanloc.training.callbacks import GradientNorms
model = Localizer(ConvBackbone(4, stride=4, width=8), PyramidNeck(1, width=8), SingleHead(3, width=8))
task = SpanLocalizer(model, Criterion(match_single, losses.giou_loss))
data = SyntheticData(num_train=8, num_val=4, num_test=4, length=64, span_length=[12, 24])
L.Trainer(accelerator="cpu", max_steps=1, logger=False, callbacks=[GradientNorms(1)],
          enable_checkpointing=False, enable_progress_bar=False).fit(task, data)
import sys
assert isinstance(task, L.LightningModule)
assert "pytorch_lightning" not in sys.modules
"""
    python("-c", code)


def test_a_loss_that_is_not_finite_is_reported_once_the_device_has_said_so():
    watch, ready = FiniteWatch(), [False]
    bad = torch.tensor(torch.nan)
    watch._seen.append(_Seen(bad.isfinite(), lambda: ready[0], bad, "at step 7, for a, b"))
    watch.add(torch.tensor(1.0), "at step 8")
    ready[0] = True
    with pytest.raises(FloatingPointError, match="the loss is nan at step 7, for a, b"):
        watch.add(torch.tensor(1.0), "at step 9")
    watch = FiniteWatch()
    watch._seen.append(_Seen(bad.isfinite(), lambda: False, bad, "at step 7"))
    with pytest.raises(FloatingPointError, match="at step 7"):
        watch.finish()
