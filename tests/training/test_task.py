"""The LightningModule in a plain Trainer."""

import pytest
import reference_metrics as reference
import torch
from conftest import (
    HINTS_OF_LIGHTNING,
    TheirData,
    points_task,
    single_task,
    their_trainer,
    unchecked,
)
from pytorch_lightning import seed_everything

from spanloc import losses
from spanloc.metrics import AveragePrecision
from spanloc.structures import collate
from spanloc.training import schedules
from spanloc.training.callbacks import GradientNorms

pytestmark = HINTS_OF_LIGHTNING


def test_a_loss_that_is_not_finite_names_its_sequences():
    data = TheirData()
    data.samples[3].features[:] = torch.nan
    task = single_task()
    with pytest.raises(FloatingPointError, match=r"nan at step 0.* synthetic-0-3"):
        their_trainer(num_sanity_val_steps=0).fit(task, data)
    with pytest.raises(FloatingPointError, match="not finite for the sequences synthetic-0-3$"):
        their_trainer().validate(task, data, verbose=False)
    with pytest.raises(FloatingPointError, match="synthetic-0-3$"):
        task.predict_step(collate(data.samples[:5]))


def test_validation_is_over_all_sequences_each_on_its_own():
    seed_everything(0, verbose=False)
    metric = AveragePrecision([0.1])
    task = points_task(metrics={"map": metric})
    data = TheirData([1, 3])
    found = their_trainer().validate(task, data, verbose=False)[0]["val/mAP@0.10"]
    predictions, targets = [], []
    for i, sample in enumerate(data.samples):
        with torch.no_grad():
            p = task.eval().predict_step(collate([sample]))
        rows = zip(p.labels.tolist(), p.spans.tolist(), p.scores.tolist(), strict=True)
        predictions += [(i, label, *span, score) for label, span, score in rows]
        rows = zip(sample.labels.tolist(), sample.spans.tolist(), strict=True)
        targets += [(i, label, *span) for label, span in rows]
    expected = reference.average_precision(predictions, targets, 0.1)
    expected = sum(expected.values()) / len(expected)
    assert 0 < expected < 1
    assert found == pytest.approx(expected, rel=1e-3)


def test_weight_decay_is_for_kernels_and_the_rate_moves_at_every_step():
    task = points_task(scheduler=schedules.cosine)
    trainer = their_trainer(max_epochs=2, num_sanity_val_steps=0)
    trainer.fit(task, TheirData(count=16))
    decayed, plain = trainer.optimizers[0].param_groups
    assert decayed["weight_decay"] > 0
    assert plain["weight_decay"] == 0
    assert {p.ndim for p in decayed["params"]} == {2, 3}
    assert {p.ndim for p in plain["params"]} == {1}
    assert trainer.lr_scheduler_configs[0].interval == "step"
    assert plain["lr"] == decayed["lr"] == pytest.approx(0, abs=1e-9)


def test_half_precision_throughout_is_refused():
    task = single_task()
    with pytest.raises(ValueError, match="trainer.precision is bf16-true"):
        their_trainer(precision="bf16-true").fit(task, TheirData())


def test_mixed_precision_trains():
    task, log = points_task(), GradientNorms(1)
    their_trainer(precision="bf16-mixed", callbacks=[log]).fit(task, TheirData(count=16))
    assert all(column.isfinite().all() for column in log.history().state().values())
    assert task.localizer.head.scale.dtype == torch.float32


def test_features_without_statistics_are_not_normalised_and_a_line_says_so(caplog):
    task = points_task()
    line = "the features are not normalised: TheirData has no statistics()"
    with caplog.at_level("INFO", "pytorch_lightning"):
        their_trainer(max_steps=1).fit(task, TheirData(count=8))
        assert line in caplog.messages
        caplog.clear()
        task.localizer.set_statistics(torch.zeros(3), 2 * torch.ones(3))
        their_trainer(max_steps=1).fit(task, TheirData(count=8))
    assert line not in caplog.messages


@pytest.mark.parametrize("name", ["optimizer", "scheduler"])
def test_an_optimizer_or_schedule_that_is_made_already_is_refused(name):
    made = torch.optim.Adam([torch.zeros(1)])
    if name == "scheduler":
        made = torch.optim.lr_scheduler.StepLR(made, 3)
    with unchecked(), pytest.raises(TypeError, match=f"{name} is a .*wanted a function"):
        points_task(**{name: made})


def test_a_span_loss_without_a_gradient_stops_the_training():
    def detached(pred, target):
        return losses.giou_loss(pred.detach(), target)

    task = points_task(loss=detached)
    with pytest.raises(ValueError, match="the span loss gave values without a gradient"):
        their_trainer(max_steps=1, num_sanity_val_steps=0).fit(task, TheirData(count=8))


def test_lightnings_bar_shows_the_loss_and_the_first_metric_of_validation():
    metric = AveragePrecision([0.5])
    task = points_task(metrics={"ap": metric})
    trainer = their_trainer(max_epochs=1)
    trainer.fit(task, TheirData(count=8))
    assert trainer.progress_bar_metrics.keys() == {"train/loss", "val/loss", "val/mAP"}
