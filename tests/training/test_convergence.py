"""What is measured at convergence, over the whole training set."""

import json
import math
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
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins import MixedPrecision
from torch.utils.data import DataLoader

from spanloc import losses, ops
from spanloc.convergence import relative_gradient
from spanloc.data import AnnotatedData, EpochSampler
from spanloc.structures import collate
from spanloc.training.callbacks import Convergence, GradientNorms

pytestmark = HINTS_OF_LIGHTNING
STILL = partial(torch.optim.SGD, lr=0.0)
OTHERS = {"iou": losses.iou_loss, "smooth": partial(losses.smooth_giou_loss, smoothing=0.5)}


def single(optimizer=STILL, **weights):
    return single_task(criterion={"momentum": 0.0, **weights}, optimizer=optimizer)


def fitted(task, data, convergence, *, limit_val_batches=0, **options):
    options |= {"callbacks": [GradientNorms(1), convergence]}
    their_trainer(limit_val_batches=limit_val_batches, **options).fit(task, data)
    return convergence.result


def norm(gradients):
    return math.sqrt(sum(float(g.square().sum()) for g in gradients))


@pytest.mark.parametrize("options", [
    {}, {"accumulate_grad_batches": 2, "gradient_clip_val": 1e-4}, {"precision": "bf16-mixed"},
    {"plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=64.0))]},
])  # fmt: skip
def test_the_measured_gradient_is_that_of_all_data_at_once(options):
    task, data = single(span_weight=2.0, score_weight=0.5), TheirData(count=27)
    found = fitted(task, data, Convergence(OTHERS, share=None), **options)
    batch = collate(data.samples)
    output = task(batch.features, batch.mask)
    pred, target = output.spans[:, 0], batch.spans[:, 0]
    labels = torch.nn.functional.one_hot(batch.labels[:, 0], 2).float()
    score = losses.focal_loss(output.logits[:, 0], labels).sum() / 27
    assert list(found.losses) == ["giou", "iou", "smooth"]
    assert found.trained == "giou"
    assert found.num_sequences == found.num_pairs == 27
    for name, loss in {"giou": losses.giou_loss, **OTHERS}.items():
        row, mean = found.losses[name], loss(pred, target).mean()
        parameters = list(task.parameters())
        span = torch.autograd.grad(2 * mean, parameters, retain_graph=True, allow_unused=True)
        total = torch.autograd.grad(2 * mean + 0.5 * score, parameters, retain_graph=True)
        relative = relative_gradient(loss, pred, target)
        assert row.loss == pytest.approx(mean.item(), rel=1e-4)
        assert row.total == pytest.approx((2 * mean + 0.5 * score).item(), rel=1e-4)
        assert row.grad_span == pytest.approx(norm(g for g in span if g is not None), rel=1e-3)
        assert row.grad_total == pytest.approx(norm(total), rel=1e-3)
        spread = row.relative_gradient
        assert spread.mean == pytest.approx(relative.mean().item(), rel=1e-4)
        assert spread.q95 == pytest.approx(relative.quantile(0.95).item(), rel=1e-4)
        counts, edges = row.histogram.counts, row.histogram.edges
        assert sum(counts) == 27
        fullest = max(range(48), key=counts.__getitem__)
        # What is smaller than the first border counts in the first bin: IoU's zeros.
        low = 0 if fullest == 0 else edges[fullest]
        inside = ((relative >= low) & (relative < edges[fullest + 1])).sum()
        assert inside == counts[fullest]
    errors = (pred - target).abs() / ops.length(target)[:, None]
    assert found.endpoint_error.median == pytest.approx(errors.quantile(0.5).item(), rel=1e-4)
    assert found.tiou == pytest.approx(ops.tiou(pred, target).mean().item(), rel=1e-4)


def test_mini_batches_have_noise_that_the_whole_set_has_not():
    found = fitted(single(), TheirData(), Convergence(share=None), max_epochs=4)
    assert found.minibatch.steps == 4
    # With weights that do not move, the norm of the mean is below the mean of the norms.
    assert found.losses["giou"].grad_total < 0.98 * found.minibatch.grad_params
    relative = found.losses["giou"].relative_gradient.mean
    assert relative == pytest.approx(found.minibatch.grad_spans, rel=1e-3)


class Shuffled(TheirData):
    def train_dataloader(self):
        return DataLoader(self.samples, 8, shuffle=True, collate_fn=collate)


@pytest.mark.filterwarnings("ignore:.*module.s. in eval mode.*")
def test_measuring_changes_nothing():
    weights = []
    for when in ({"when": "last"}, {"when": "level", "level": 9.0, "window": 2}):
        task = single(partial(torch.optim.SGD, lr=0.05))
        task.localizer.backbone.requires_grad_(False).eval()
        convergence = Convergence(OTHERS, **when)
        found = fitted(task, Shuffled(), convergence, max_epochs=3, limit_val_batches=None)
        assert task.localizer.head.training
        assert not task.localizer.backbone.training
        weights.append(torch.cat([p.detach().flatten() for p in task.parameters()]))
    assert found.step == 2
    assert torch.equal(*weights)


class Noisy(torch.nn.Identity):
    def forward(self, x, *rest):
        return torch.nn.functional.dropout(x, 0.5, self.training)


def test_dropout_is_off_while_measuring():
    results = []
    for layer in (Noisy(), torch.nn.Identity()):
        task = single()
        forward = task.localizer.backbone.forward

        def dropped(x, mask, forward=forward, layer=layer):
            x, mask = forward(x, mask)
            return layer(x), mask

        task.localizer.backbone.forward = dropped
        task.localizer.backbone.add_module("dropout", layer)
        results.append(fitted(task, TheirData(), Convergence()).losses)
    assert results[0] == results[1]


def test_every_training_step_is_measured_once_in_pieces_as_long_as_a_crop(annotated):
    data = AnnotatedData(annotated, crop_seconds=3, crops_per_epoch=18, batch_size=4)
    torch.manual_seed(0)
    found = fitted(points_task(points_model(2)), data, Convergence(share=None))
    batches = list(data.whole_train_dataloader())
    assert max(len(batch) for batch in batches) == 4
    assert max(batch.mask.shape[1] for batch in batches) <= 30
    steps = {}
    for batch in batches:
        for sample in batch.split():
            steps.setdefault(sample.id, []).append(sample.features)
    assert found.num_sequences == found.num_available == sum(map(len, steps.values()))
    for record in data.train_set.records:
        assert torch.equal(
            torch.cat(steps.pop(record.id), 1),
            torch.tensor(record.signal.read(0, record.num_steps)).T,
        )
    assert not steps


def test_a_random_sample_is_measured_where_all_would_cost_more_than_the_share():
    data = TheirData(count=80)
    results = [
        fitted(single(), data, Convergence(share=share), max_epochs=epochs)
        for share, epochs in ((0.5, 3), (0.5, 3), (2.0, 1))
    ]
    # A training step costs 3 passes forward, and a measured batch 5: it goes back for two terms.
    assert [found.num_sequences for found in results] == [30 * 8 * 3 // 10] * 2 + [80]
    assert [found.num_available for found in results] == [80] * 3
    assert results[0] == results[1]
    assert results[0].tiou != results[2].tiou
    # A few steps of training do not make the sample small where sequences are short.
    short = fitted(single(), data, Convergence(OTHERS), max_steps=2)
    assert short.num_sequences == 4096 // 64
    with pytest.raises(ValueError, match="share is 0.0; it must be above 0, or null for all"):
        Convergence(share=0.0)


class Shared(TheirData):
    """The same sequences in a step, however many processes share it."""

    def train_dataloader(self):
        sampler = EpochSampler(len(self.samples))
        size = 4 // sampler.num_replicas
        return DataLoader(self.samples, size, sampler=sampler, collate_fn=collate)

    def whole_train_dataloader(self, *, num_replicas, rank):
        share = range(rank, len(self.samples), num_replicas)
        return DataLoader(self.samples, 4, sampler=share, collate_fn=collate)


@pytest.mark.slow  # 4 s
def test_two_processes_measure_what_one_does(tmp_path):
    for count in (1, 2):
        options = {} if count == 1 else {"devices": 2, "strategy": "ddp_fork"}
        folder = str(tmp_path / str(count))
        rule = {"when": "plateau", "window": 3, "tolerance": 0.2, "share": None}
        convergence = Convergence(OTHERS, folder=folder, **rule)
        trainer = their_trainer(
            callbacks=[GradientNorms(1), convergence], max_epochs=6, accumulate_grad_batches=2,
            num_sanity_val_steps=0, **options,
        )  # fmt: skip
        trainer.fit(single(), Shared(count=18))
    one, two = (
        json.loads((tmp_path / str(count) / "convergence.json").read_text()) for count in (1, 2)
    )
    assert one["reason"] == two["reason"] == "plateau"
    for result in (one, two):
        del result["exponent"]
        for row in result["losses"].values():
            del row["histogram"]
    assert flat(one) == pytest.approx(flat(two), rel=1e-3)


def flat(value, name=""):
    if isinstance(value, dict):
        return {k: v for key in value for k, v in flat(value[key], f"{name}/{key}").items()}
    return {name: value} if isinstance(value, float | int) else {}


def test_the_measurement_is_written_logged_and_printed(tmp_path, capsys):
    logger = CSVLogger(tmp_path, name="csv")
    convergence = Convergence(OTHERS, share=None, folder=str(tmp_path))
    fitted(single(), TheirData(), convergence, logger=logger, log_every_n_steps=1)
    written = json.loads((tmp_path / "convergence.json").read_text())
    assert written["losses"].keys() == {"giou", "iou", "smooth"}
    assert written["exponent"]["slope"] is None
    assert (tmp_path / "figures" / "convergence.png").stat().st_size > 3_000
    header = (tmp_path / "csv" / "version_0" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert set(convergence.result.metrics()) <= set(header)
    assert "convergence/smooth/relative_gradient" in header
    assert "convergence/exponent" not in header
    printed = " ".join(capsys.readouterr().out.split())
    assert "giou (trained)" in printed
    assert "at step 4 (last step), over all 32 training samples" in printed
    assert str(tmp_path / "convergence.json") in printed
    assert written["exponent"]["reason"].startswith("4 steps with a gradient")


def test_without_pairs_the_metrics_are_null(tmp_path):
    convergence = Convergence(OTHERS, folder=str(tmp_path))
    found = fitted(points_task(), TheirData(num_spans=0, count=8), convergence)
    assert found.num_pairs == 0
    written = json.loads((tmp_path / "convergence.json").read_text())
    assert written["losses"]["giou"]["relative_gradient"]["mean"] is None
