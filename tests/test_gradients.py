"""The gradient norms: at every step, and in the final table."""

import math
from functools import partial

import pytest
import torch
from conftest import HINTS_OF_LIGHTNING, TheirData, points_model, single_model, their_trainer

from spanloc import Criterion, SpanLocalizer, losses, ops
from spanloc.assigners import assign_points, assign_single
from spanloc.callbacks import GradientNorms
from spanloc.convergence import relative_gradient
from spanloc.data import collate

pytestmark = HINTS_OF_LIGHTNING


class Log(GradientNorms):
    """Keeps what is logged, and takes the gradients itself at the same place."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        super().on_before_optimizer_step(trainer, pl_module, optimizer)
        squares = [p.grad.square().sum() for p in pl_module.parameters() if p.grad is not None]
        self.mine = [*getattr(self, "mine", []), float(sum(squares).sqrt())]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradient_norms_at_every_step_before_clipping(accumulate, capsys):
    task = SpanLocalizer(single_model(), Criterion(assign_single, losses.giou_loss))
    log = Log({"smooth": partial(losses.smooth_giou_loss, smoothing=0.5)}, num_batches=2)
    trainer = their_trainer(
        callbacks=[log], gradient_clip_val=1e-3, accumulate_grad_batches=accumulate, max_epochs=2
    )
    trainer.fit(task, TheirData())
    table = log.history()
    assert table[:, 0].tolist() == list(range(1, 1 + 8 // accumulate))
    assert table[:, 3].tolist() == pytest.approx(log.mine, rel=1e-5)
    assert table[:, 3].min() > 1e-3
    assert trainer.logged_metrics["grad/params"] == pytest.approx(log.mine[-1], rel=1e-5)
    assert trainer.logged_metrics["grad/spans"] == table[-1, 4]
    assert set(log.final) == {"trained", "smooth"}
    printed = capsys.readouterr().out
    assert "giou_loss (trained)" in printed
    assert "smooth" in printed


def test_the_final_table_is_measured_over_the_batches():
    task = SpanLocalizer(single_model(), Criterion(assign_single, losses.giou_loss, momentum=0.0))
    data, log = TheirData(), GradientNorms({"iou": losses.iou_loss}, num_batches=4)
    their_trainer(callbacks=[log], max_epochs=1).fit(task, data)
    assert task.criterion.normaliser == 8
    # The same by hand, over the whole set in one batch: batches are of one size.
    batch = collate(data.samples)
    task.criterion.eval()
    output = task(batch)
    for name, loss in (("trained", losses.giou_loss), ("iou", losses.iou_loss)):
        pred, target = output.spans[:, 0], batch.spans[:, 0]
        figures = log.final[name]
        values = loss(pred, target)
        assert figures["loss/span"] == pytest.approx(values.mean().item(), rel=1e-4)
        relative = relative_gradient(loss, pred, target).mean().item()
        assert figures["grad/spans"] == pytest.approx(relative, rel=1e-4)
        labels = torch.nn.functional.one_hot(batch.labels[:, 0], 2).float()
        score = losses.focal_loss(output.logits[:, 0], labels).sum() / len(batch)
        # Its normaliser is that of the last training step: batches of eight.
        total = values.mean() + score
        gradients = torch.autograd.grad(total, list(task.parameters()), retain_graph=True)
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        assert figures["grad/params"] == pytest.approx(norm, rel=1e-3)
        assert figures["train/tiou"] == pytest.approx(
            ops.tiou(pred, target).mean().item(), rel=1e-4
        )


class Normaliser(GradientNorms):
    def on_train_end(self, trainer, pl_module):
        before = pl_module.criterion.normaliser.clone()
        super().on_train_end(trainer, pl_module)
        assert torch.equal(pl_module.criterion.normaliser, before)
        assert pl_module.training


def test_measuring_changes_nothing():
    task = SpanLocalizer(points_model(), Criterion(assign_points, losses.giou_loss))
    their_trainer(callbacks=[Normaliser()]).fit(task, TheirData([1, 3]))


def test_batches_without_targets_leave_no_nan_in_the_table():
    task = SpanLocalizer(points_model(), Criterion(assign_points, losses.giou_loss))
    log = GradientNorms({"iou": losses.iou_loss})
    trainer = their_trainer(callbacks=[log])
    trainer.fit(task, TheirData(num_spans=0, count=8))
    assert log.final == {}
    assert "grad/spans" not in trainer.logged_metrics
    assert trainer.logged_metrics["grad/params"] > 0
