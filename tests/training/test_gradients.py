"""The gradient norms of every optimizer step."""

import math
from functools import partial

import pytest
import torch
from conftest import HINTS_OF_LIGHTNING, TheirData, points_task, single_task, their_trainer
from pytorch_lightning.plugins import MixedPrecision
from tracked import Recorder

from spanloc import losses
from spanloc.convergence import relative_gradient
from spanloc.structures import collate
from spanloc.training.callbacks import GradientNorms

pytestmark = HINTS_OF_LIGHTNING
SGD = partial(torch.optim.SGD, lr=1e-2)


def single():
    return single_task(criterion={"momentum": 0.0}, optimizer=SGD)


def measured(task, data=None, **options):
    """The history of a training in which every step is measured."""
    norms = GradientNorms(1)
    their_trainer(callbacks=[norms], **options).fit(task, data or TheirData())
    return norms.history()


def norm(task):
    return math.sqrt(sum(float(p.grad.square().sum()) for p in task.parameters()))


class Mine(GradientNorms):
    """Takes the norms itself, where Lightning is about to clip and where the step is taken."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        super().on_before_optimizer_step(trainer, pl_module, optimizer)
        self.before = [*getattr(self, "before", []), norm(pl_module)]

    def on_train_batch_end(self, trainer, pl_module, *args):
        super().on_train_batch_end(trainer, pl_module, *args)
        self.after = [*getattr(self, "after", []), norm(pl_module)]


def test_norms_before_and_after_clipping():
    norms, recorder = Mine(1), Recorder()
    trainer = their_trainer(
        callbacks=[norms], logger=recorder, gradient_clip_val=1e-3, max_epochs=2
    )
    trainer.fit(single(), TheirData())
    table = norms.history()
    assert table.step.tolist() == list(range(1, 9))
    assert table.grad_params.tolist() == pytest.approx(norms.before, rel=1e-5)
    assert table.grad_params.min() > 1e-2
    # Lightning counts the rows of its logs from 0.
    steps = list(range(8))
    assert recorder.column("grad/params") == pytest.approx(
        dict(zip(steps, norms.before, strict=True))
    )
    assert norms.after == pytest.approx([1e-3] * 8, rel=1e-3)
    assert recorder.column("grad/clipped") == pytest.approx(dict.fromkeys(steps, 1e-3), rel=1e-3)
    assert list(recorder.column("grad/spans")) == steps


def test_without_clipping_there_is_one_norm():
    recorder = Recorder()
    measured(single(), logger=recorder, gradient_clip_val=None)
    assert recorder.column("grad/clipped") == {}
    assert len(recorder.column("grad/params")) == 4


def test_a_step_is_all_of_its_micro_batches():
    """Two batches of eight give what one of sixteen gives, losses and both norms."""
    tables = []
    for accumulate in (1, 2):
        data = TheirData()
        data.train_dataloader = lambda data=data, size=16 // accumulate: (
            torch.utils.data.DataLoader(data.samples, size, collate_fn=collate)
        )
        tables.append(measured(single(), data, accumulate_grad_batches=accumulate, max_epochs=2))
    assert len(tables[0]) == 4
    torch.testing.assert_close(*(t.state() for t in tables), rtol=1e-3, atol=1e-6)


def test_the_norm_at_the_spans_is_the_mean_over_the_pairs():
    task, data = single(), TheirData(count=8)
    with torch.no_grad():
        batch = collate(data.samples)
        pred = task(batch.features, batch.mask).spans[:, 0]
    row = measured(task, data)
    expected = relative_gradient(losses.giou_loss, pred, batch.spans[:, 0]).mean()
    assert row.grad_spans.item() == pytest.approx(expected.item(), rel=1e-4)
    assert row.span.item() == pytest.approx(
        losses.giou_loss(pred, batch.spans[:, 0]).mean().item(), rel=1e-4
    )


@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_nth_step_is_the_same_step(accumulate):
    tables = []
    for every in (1, 3):
        norms, recorder = GradientNorms(every_n_steps=every), Recorder()
        trainer = their_trainer(
            callbacks=[norms], logger=recorder, max_epochs=3, accumulate_grad_batches=accumulate
        )
        trainer.fit(single(), TheirData())
        tables.append(norms.history())
        # What is not measured is not logged either, not even the last value again.
        logged = [step + 1 for step in recorder.column("grad/params")]
        assert logged == norms.history().step.tolist()
    every, third = tables
    assert third.step.tolist() == list(range(3, 1 + 12 // accumulate, 3))
    torch.testing.assert_close(third.state(), every[2::3].state(), rtol=0, atol=0)


def test_a_number_of_steps_below_one_is_refused():
    with pytest.raises(ValueError, match="every_n_steps is 0; it must be at least 1"):
        GradientNorms(every_n_steps=0)


@pytest.mark.parametrize("fused", [False, True])
def test_mixed_precision_norms_are_unscaled(fused):
    """Fused optimizers take the scale out of the gradients themselves, after the norm is taken."""
    tables = []
    scaled = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=4096.0))
    for plugins in ([], [scaled]):
        task = single()
        task.make_optimizer = partial(SGD, fused=fused)
        tables.append(measured(task, plugins=plugins))
    torch.testing.assert_close(*(t.state() for t in tables), rtol=0.05, atol=1e-3)


def test_batches_without_targets_leave_no_nan_in_the_logs():
    recorder = Recorder()
    history = measured(points_task(), TheirData(num_spans=0, count=8), logger=recorder)
    assert recorder.column("grad/spans") == {}
    assert recorder.column("grad/params")[0] > 0
    assert history.grad_spans.isnan().all()
