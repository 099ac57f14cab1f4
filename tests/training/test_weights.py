"""What counts how much: weights of sequences, quality of pairs, and whatever a step is shared out over."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from conftest import (
    HINTS_OF_LIGHTNING,
    TheirData,
    make_batch,
    points_model,
    single_task,
    their_trainer,
)
from processes import in_two_processes
from torch.utils.data import DataLoader

from spanloc import Criterion, losses, ops
from spanloc.convergence.measurement import measure
from spanloc.matching import match_points
from spanloc.structures import Sample, collate

COUNTS, WEIGHTS = (5, 0, 3, 1), (1.0, 2.0, 0.5, 3.0)
# Quality and momentum.
KNOBS = [(None, 0.0), ("tiou", 0.9), ("score", 0.9)]


def batch_of(*which, weighted=True, seed=0):
    samples = make_batch((60, 41, 50, 33), num_targets=COUNTS, seed=seed).split()
    if weighted:
        samples = [replace(s, weight=w) for s, w in zip(samples, WEIGHTS, strict=True)]
    return collate([samples[i] for i in which or range(4)])


def gradients(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def two_steps(steps, quality, momentum):
    """The gradient of the second of two steps, each a list of batches."""
    torch.manual_seed(0)
    model = points_model()
    criterion = Criterion(match_points, losses.giou_loss, quality=quality, momentum=momentum)
    for parts in steps:
        model.zero_grad()
        if len(parts) == 1:
            criterion(model(parts[0].features, parts[0].mask), parts[0]).total.backward()
        else:
            for batch in parts:
                output = model(batch.features, batch.mask)
                criterion(output, batch, num_parts=len(parts)).total.backward()
            scale = criterion.finish()
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(scale)
    return gradients(model)


def whole_steps(weighted=True):
    return [[batch_of(weighted=weighted, seed=seed)] for seed in (0, 1)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("quality", "momentum"), KNOBS)
def test_accumulation_gives_the_gradient_of_the_whole_step(quality, momentum, weighted):
    expected = two_steps(whole_steps(weighted), quality, momentum)
    assert expected.abs().max() > 1e-3
    for shares in ([(1,), (0, 2, 3)], [(0,), (1,), (2,), (3,)]):
        steps = [[batch_of(*i, weighted=weighted, seed=seed) for i in shares] for seed in (0, 1)]
        torch.testing.assert_close(
            two_steps(steps, quality, momentum), expected, rtol=1e-4, atol=1e-6
        )


def whole_gradients(rank):
    # Uneven shares, and one process has a step of several parts.
    shares, found = ([(1,), (2,)], [(0, 3)])[rank], []
    for quality, momentum in KNOBS:
        for parts in (shares, [sum(shares, ())]):
            steps = [[batch_of(*i, seed=seed) for i in parts] for seed in (0, 1)]
            found.append(two_steps(steps, quality, momentum).numpy())
    return np.stack(found)


def test_two_processes_give_the_gradient_of_one(tmp_path):
    expected = [
        two_steps(whole_steps(), quality, momentum).numpy()
        for quality, momentum in KNOBS
        for _ in range(2)
    ]
    # As DDP takes the mean over the processes.
    found = np.mean(in_two_processes(whole_gradients, tmp_path), axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


class Shared(TheirData):
    """Steps of eight sequences, in as many pieces as it takes."""

    def __init__(self, size):
        super().__init__(count=16)
        self.samples = [replace(s, weight=1.0 + i % 3) for i, s in enumerate(self.samples)]
        # Without spans some, so that the pieces of a step have different numbers of pairs.
        none = {"spans": torch.zeros(0, 2), "labels": torch.zeros(0, dtype=torch.int64)}
        self.samples = [replace(s, **none) if i % 5 == 0 else s for i, s in enumerate(self.samples)]
        self.size = size

    def train_dataloader(self):
        # Lightning's own sampler for several processes shuffles.
        rank, count = self.trainer.global_rank, self.trainer.world_size
        mine = self.samples[rank::count]
        return DataLoader(mine, self.size, collate_fn=collate)


def trained(folder, size, **options):
    sgd = partial(torch.optim.SGD, lr=0.1)
    task = single_task(criterion={"quality": "score"}, optimizer=sgd)
    trainer = their_trainer(
        max_epochs=2, gradient_clip_val=0.5, use_distributed_sampler=False, **options
    )  # fmt: skip
    trainer.fit(task, Shared(size))
    if trainer.is_global_zero:
        torch.save(task.state_dict(), folder / "weights.pt")
        return torch.load(folder / "weights.pt", weights_only=True)
    return None


@HINTS_OF_LIGHTNING
@pytest.mark.parametrize(
    ("whole", "options"),
    [
        (8, {"size": 2, "accumulate_grad_batches": 4}),
        # 16 sequences by 3: steps of two batches, the last two of three sequences and of one.
        (6, {"size": 3, "accumulate_grad_batches": 2}),
        pytest.param(
            8, {"size": 4, "devices": 2, "strategy": "ddp_fork"}, marks=pytest.mark.slow
        ),  # 1 s
        (8, {"size": 2, "devices": 2, "strategy": "ddp_fork", "accumulate_grad_batches": 2}),
    ],
    ids=["accumulated", "fewer batches in the last step", "two processes", "both"],
)
def test_training_is_the_same_however_its_steps_are_shared_out(tmp_path, whole, options):
    expected = trained(tmp_path, whole)
    trained(tmp_path, **options)
    found = torch.load(tmp_path / "weights.pt", weights_only=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def losses_of(batch, **knobs):
    torch.manual_seed(0)
    model, criterion = points_model(), Criterion(match_points, losses.giou_loss, **knobs)
    return criterion(model(batch.features, batch.mask), batch)


@pytest.mark.parametrize("quality", [None, "tiou", "score"])
def test_a_weight_is_the_number_of_times_that_a_sequence_is_there(quality):
    samples = make_batch((60, 41, 50), num_targets=(5, 1, 3)).split()
    weighted = [replace(s, weight=w) for s, w in zip(samples, (2.0, 1.0, 0.0), strict=True)]
    again = [samples[0], replace(samples[0], id="again"), samples[1]]
    torch.testing.assert_close(
        losses_of(collate(weighted), quality=quality).total,
        losses_of(collate(again), quality=quality).total,
    )


def test_quality_by_hand():
    batch = make_batch((60, 41), num_targets=(5, 1))
    torch.manual_seed(0)
    model = points_model()
    output = model(batch.features, batch.mask)
    index = match_points(output, batch)
    for quality in ("tiou", "score"):
        criterion = Criterion(match_points, losses.giou_loss, quality=quality, score_weight=0.0)
        total, count = 0.0, 0
        for i, p in (index >= 0).nonzero().tolist():
            target = batch.spans[i, index[i, p]]
            label = batch.labels[i, index[i, p]]
            score = output.logits[i, p, label].sigmoid()
            value = ops.tiou(output.spans[i, p], target) if quality == "tiou" else score
            total += value.detach() * losses.giou_loss(output.spans[i, p], target)
            count += 1
        found = criterion(output, batch).total
        torch.testing.assert_close(found, total / count)
        kept = {"retain_graph": True, "materialize_grads": True, "allow_unused": True}
        mine, theirs = (
            torch.autograd.grad(loss, list(model.parameters()), **kept)
            for loss in (found, total / count)
        )
        torch.testing.assert_close(mine, theirs)


@HINTS_OF_LIGHTNING
def test_what_is_measured_has_the_weights_of_the_training():
    data = Shared(4)
    task = single_task(criterion={"quality": "tiou", "momentum": 0.0})
    their_trainer(max_steps=1).fit(task, data)
    criterion, loss = task.criterion, {"giou": losses.giou_loss}
    found = measure(task, criterion, data.train_dataloader(), loss).norms["giou"]
    batch = collate(data.samples)
    task.zero_grad()
    expected = criterion(task(batch.features, batch.mask), batch)
    expected.total.backward()
    assert found.total == pytest.approx(expected.total.item(), rel=1e-5)
    # The mean is plain: weighted by tIoU, a worse model would seem to have the lower loss.
    assert found.loss == pytest.approx(expected.terms["span"].item(), rel=1e-5)
    assert found.grad_total == pytest.approx(gradients(task).norm().item(), rel=1e-4)


def test_values_out_of_range_are_refused():
    # The shape checker of the tests speaks first; what a user sees is the ValueError.
    with pytest.raises((ValueError, TypeError), match="quality"):
        Criterion(match_points, losses.giou_loss, quality="iou")
    one = {"id": "a", "features": torch.ones(1, 3), "spans": torch.zeros(0, 2)}
    for weight in (-1.0, float("nan"), float("inf"), 1e39):
        with pytest.raises(ValueError, match="sequence 'a': weight is .*; wanted a number from 0"):
            Sample(**one, labels=torch.zeros(0, dtype=torch.int64), weight=weight)


def test_parts_that_were_not_finished_do_not_enter_a_whole_step():
    batch, model = make_batch((60, 41), num_targets=(5, 1)), points_model()
    criterion = Criterion(match_points, losses.giou_loss)
    output = model(batch.features, batch.mask)
    criterion(output, batch, num_parts=2)
    found = criterion(output, batch).total
    torch.testing.assert_close(
        found, Criterion(match_points, losses.giou_loss)(output, batch).total
    )
    with pytest.raises(ValueError, match=r"weights have the shape \(2, 1\); wanted \(2,\)"):
        criterion.sums(output, without_check(batch, torch.ones(2, 1)))


def without_check(batch, weights):
    # The shape checker of the tests would speak first.
    changed = replace(batch)
    object.__setattr__(changed, "weights", weights)
    return changed


def test_a_batch_without_weights_counts_all_the_same():
    batch = make_batch((60, 41), num_targets=(5, 1))
    without = replace(batch, weights=None)
    torch.testing.assert_close(losses_of(without).total, losses_of(batch).total)
    assert [s.weight for s in without.split()] == [1.0, 1.0]
    assert replace(batch, weights=torch.tensor([1.0, 3.0])).split()[1].weight == 3.0
