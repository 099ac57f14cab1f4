"""Assigners, criterion, decode, the LightningModule and the gradient callback."""

import logging
import math
from functools import partial

import pytest
import reference
import torch
from conftest import make_batch, random_spans
from pytorch_lightning import LightningDataModule, Trainer, seed_everything
from torch.utils.data import DataLoader

from spanloc import Criterion, Decode, SpanLocalizer, losses, ops, schedules
from spanloc.assigners import assign_points, assign_single
from spanloc.callbacks import GradientNorms
from spanloc.convergence import relative_gradient
from spanloc.data import SyntheticSequences, collate
from spanloc.metrics import AveragePrecision
from spanloc.models import ConvBackbone, Localizer, Output, PointsHead, PyramidNeck, SingleHead

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


def points_model(num_channels=3, width=8):
    return Localizer(
        ConvBackbone(num_channels, stride=2, width=width, num_blocks=1),
        PyramidNeck(3, width=width, num_blocks=1),
        PointsHead(2, 3, width=width, num_layers=1),
    )


def single_model(num_channels=3, width=8):
    return Localizer(
        ConvBackbone(num_channels, stride=2, width=width, num_blocks=1),
        PyramidNeck(2, width=width, num_blocks=1),
        SingleHead(2, width=width, num_layers=1),
    )


MODELS = {"points": (points_model, assign_points), "single": (single_model, assign_single)}
every_model = pytest.mark.parametrize(("model", "assign"), MODELS.values(), ids=MODELS)


def output_at(spans, logits, points=None):
    mask = torch.ones(spans.shape[:2], dtype=torch.bool)
    return Output(spans, logits, points, mask)


@pytest.mark.parametrize("seed", range(4))
def test_assign_points_is_the_reference(seed):
    batch = make_batch((90, 61, 40), num_targets=(6, 3, 0), seed=seed)
    output = points_model()(batch.features, batch.mask)
    index = assign_points(output, batch)
    assert (index >= 0).sum() > 8
    for i in range(len(batch)):
        spans = batch.spans[i][batch.target_mask[i]].tolist()
        expected = reference.assign_points(output.points.tolist(), spans, 1.5, 2.0, 4.0)
        expected = [
            j if valid else -1 for j, valid in zip(expected, output.mask[i].tolist(), strict=True)
        ]
        assert index[i].tolist() == expected


def test_every_span_of_at_least_a_stride_has_a_point():
    spans = random_spans(300, spread=200, least=2.0, most=60).float()
    points = ops.anchor_points([140, 70, 35], [2, 4, 8])
    batch = make_batch((280,), num_targets=(0,))
    for span in spans:
        one = batch.__class__(**{
            **vars(batch), "spans": span[None, None], "target_mask": torch.tensor([[True]]),
        })  # fmt: skip
        output = output_at(torch.zeros(1, len(points), 2), torch.zeros(1, len(points), 2), points)
        assert (assign_points(output, one) >= 0).any(), span


def test_assign_single_answers_only_where_there_is_a_target():
    batch = make_batch((40, 23), num_targets=(2, 0))
    output = single_model()(batch.features, batch.mask)
    assert assign_single(output, batch).tolist() == [[0], [-1]]


@every_model
def test_criterion_by_hand(model, assign):
    batch = make_batch((60, 41), num_targets=(3, 1))
    output = model()(batch.features, batch.mask)
    criterion = Criterion(assign, losses.giou_loss, losses.focal_loss, span_weight=2.0)
    found = criterion(output, batch)
    index = assign(output, batch)
    spans, scores, count = 0.0, 0.0, 0
    for i in range(len(batch)):
        for p in range(index.shape[1]):
            target = int(index[i, p])
            wanted = torch.zeros(2)
            if target >= 0:
                count += 1
                wanted[batch.labels[i, target]] = 1
                spans += losses.giou_loss(output.spans[i, p], batch.spans[i, target])
            if output.mask[i, p]:
                scores += losses.focal_loss(output.logits[i, p], wanted).sum()
    assert count == len(found.pred) > 0
    torch.testing.assert_close(found.span, (spans / count).detach())
    torch.testing.assert_close(found.score, (scores / count).detach())
    torch.testing.assert_close(found.total, 2 * spans / count + scores / count)
    assert not found.pred.requires_grad


def test_the_normaliser_is_a_buffer_that_only_training_moves():
    criterion = Criterion(assign_points, losses.giou_loss, momentum=0.5)
    model = points_model()
    counts = []
    for seed in range(2):
        batch = make_batch((60, 41), num_targets=(5, 1), seed=seed)
        output = model(batch.features, batch.mask)
        criterion(output, batch)
        counts.append(int((assign_points(output, batch) >= 0).sum()))
    assert criterion.normaliser.item() == sum(counts) / 2
    criterion.eval()
    criterion(output, batch)
    assert criterion.state_dict()["normaliser"].item() == sum(counts) / 2


@every_model
@pytest.mark.parametrize("lengths", [(60, 41), (1, 1), (3, 2)])
def test_no_targets_and_shorter_than_a_stride_have_a_finite_loss(model, assign, lengths):
    batch, net = make_batch(lengths, num_targets=(0, 0)), model()
    criterion = Criterion(assign, losses.diou_loss)
    found = criterion(net(batch.features, batch.mask), batch)
    found.total.backward()
    assert found.total.isfinite()
    assert found.span == 0
    assert len(found.pred) == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_decode_ranks_cuts_clamps_and_suppresses():
    spans = torch.tensor([[[-3.0, 5.0], [0.0, 5.5], [8.0, 30.0]]] * 2)
    logits = torch.tensor([[[2.0, -9.0], [1.0, -9.0], [0.0, 3.0]]] * 2)
    output = Output(spans, logits, None, torch.tensor([[True, True, True], [True, False, False]]))
    mask = torch.ones(2, 20, dtype=torch.bool)
    found = Decode(min_score=0.1)(output, mask)
    assert found.sequences.tolist() == [0, 0, 0, 0, 1]
    assert found.labels.tolist() == [1, 0, 0, 0, 0]
    assert found.spans.tolist() == [[8, 20], [0, 5], [0, 5.5], [8, 20], [0, 5]]
    torch.testing.assert_close(found.scores[:2], torch.tensor([3.0, 2.0]).sigmoid())
    hard = Decode(min_score=0.1, suppress=partial(ops.nms, threshold=0.5))(output, mask)
    assert hard.spans.tolist() == [[8, 20], [0, 5], [8, 20], [0, 5]]
    assert len(Decode(min_score=0.1, max_predictions=1)(output, mask).scores) == 2
    assert len(Decode(min_score=0.1, max_proposals=2)(output, mask).scores) == 3
    assert len(Decode(min_score=0.999)(output, mask).scores) == 0


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
    return Trainer(**(defaults | options))


pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*", "ignore:.*logging interval.*"
)


def test_the_task_learns_in_a_plain_trainer():
    seed_everything(0, verbose=False)
    task = SpanLocalizer(
        points_model(width=16),
        Criterion(assign_points, losses.giou_loss),
        metrics={"map": AveragePrecision([0.5])},
        classes=["a", "b"],
    )
    data = TheirData([0, 2])
    trainer = their_trainer(max_epochs=25)
    task.make_optimizer = partial(torch.optim.AdamW, lr=5e-3)
    trainer.fit(task, data)
    assert trainer.callback_metrics["val/mAP@0.50"] > 0.5
    assert trainer.callback_metrics["loss/span"] < 0.3


def test_a_loss_that_is_not_finite_names_its_sequences():
    data = TheirData()
    data.samples[3].features[:] = torch.nan
    task = SpanLocalizer(single_model(), Criterion(assign_single, losses.giou_loss))
    with pytest.raises(FloatingPointError, match=r"nan at step 0.* synthetic-0-3"):
        their_trainer(num_sanity_val_steps=0).fit(task, data)
    with pytest.raises(FloatingPointError, match="not finite for the sequences synthetic-0-3$"):
        their_trainer().validate(task, data, verbose=False)
    with pytest.raises(FloatingPointError, match="synthetic-0-3$"):
        task.predict_step(collate(data.samples[:5]))


def test_validation_is_over_all_sequences_each_on_its_own():
    seed_everything(0, verbose=False)
    metric = AveragePrecision([0.1])
    task = SpanLocalizer(
        points_model(), Criterion(assign_points, losses.giou_loss), metrics={"map": metric}
    )
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
    assert 0 < expected < 1
    assert found == pytest.approx(expected, rel=1e-3)


def test_weight_decay_is_for_kernels_and_the_rate_moves_at_every_step():
    task = SpanLocalizer(
        points_model(), Criterion(assign_points, losses.giou_loss), scheduler=schedules.cosine
    )
    trainer = their_trainer(max_epochs=2, num_sanity_val_steps=0)
    trainer.fit(task, TheirData(count=16))
    decayed, plain = trainer.optimizers[0].param_groups
    assert decayed["weight_decay"] > 0
    assert plain["weight_decay"] == 0
    assert {p.ndim for p in decayed["params"]} == {2, 3}
    assert {p.ndim for p in plain["params"]} == {1}
    assert trainer.lr_scheduler_configs[0].interval == "step"
    assert plain["lr"] == decayed["lr"] == pytest.approx(0, abs=1e-9)


def test_cosine_rises_and_falls_and_stays():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = schedules.cosine(optimizer, 101, warmup=0.2, start=0.1, final=0.5)
    rates = []
    for _ in range(140):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == pytest.approx(2.0, rel=1e-2)
    assert rates.index(max(rates)) in (20, 21)
    assert rates[10] == pytest.approx(1.1, abs=0.05)
    assert rates[60] == pytest.approx(1.5, abs=0.05)
    assert rates[100] == rates[139] == pytest.approx(1.0)
    flat = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedules.constant(flat, 10)
    assert flat.param_groups[0]["lr"] == 2.0


def test_half_precision_throughout_is_refused():
    task = SpanLocalizer(single_model(), Criterion(assign_single, losses.giou_loss))
    with pytest.raises(ValueError, match="trainer.precision is bf16-true"):
        their_trainer(precision="bf16-true").fit(task, TheirData())


def test_mixed_precision_trains():
    task = SpanLocalizer(points_model(), Criterion(assign_points, losses.giou_loss))
    log = GradientNorms(num_batches=1)
    trainer = their_trainer(precision="bf16-mixed", callbacks=[log])
    trainer.fit(task, TheirData(count=16))
    assert log.history().isfinite().all()
    assert task.localizer.head.scale.dtype == torch.float32


def test_what_does_not_go_together_is_said():
    batch = make_batch()
    output = single_model()(batch.features, batch.mask)
    with pytest.raises(ValueError, match="assign_points needs a head with points"):
        assign_points(output, batch)
    with pytest.raises(ValueError, match="features have 3 channels; the model takes 5"):
        single_model(num_channels=5)(batch.features, batch.mask)
    reduced = Criterion(assign_single, lambda pred, target: losses.iou_loss(pred, target).mean())
    with pytest.raises(ValueError, match=r"the span loss gave the shape \(\) for 1 pairs"):
        reduced(output, batch)


def test_most_points_start_as_background():
    batch = make_batch((200,), num_targets=(0,))
    scores = points_model()(batch.features, batch.mask).logits.sigmoid()
    assert 0.003 < scores.mean() < 0.03


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
