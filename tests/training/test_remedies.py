"""What removes the gradient at zero loss, and what lives with it: smoothing, schedules, steps."""

import math
from functools import partial

import pytest
import torch
import yaml
from conftest import (
    CONFIGS,
    HINTS_OF_LIGHTNING,
    SMALL,
    TheirData,
    single_task,
    their_trainer,
    unchecked,
)
from processes import in_two_processes

from spanloc import losses
from spanloc.convergence import ConvergenceResult
from spanloc.training import schedules
from spanloc.training.callbacks import AnnealSmoothing
from spanloc.training.optimizers import Polyak

pytestmark = HINTS_OF_LIGHTNING


def sgd():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)


class Seen(AnnealSmoothing):
    def on_train_batch_end(self, trainer, pl_module, *args):
        value = pl_module.criterion.span_loss.keywords["smoothing"]
        assert trainer.callback_metrics["smoothing"] == pytest.approx(value)
        self.values = [*getattr(self, "values", []), value]


def test_smoothing_goes_from_start_to_final_and_is_logged():
    loss = partial(losses.smooth_giou_loss, phi="huber")
    seen, task = Seen(0.6, 0.006, share=0.5), single_task(loss)
    their_trainer(callbacks=[seen], max_epochs=3).fit(task, TheirData())
    assert seen.values[0] == pytest.approx(0.6)
    assert seen.values[6:] == pytest.approx([0.006] * 6)
    ratios = [b / a for a, b in zip(seen.values[:5], seen.values[1:6], strict=True)]
    assert ratios == pytest.approx([0.01 ** (1 / 5.5)] * 5)
    assert task.criterion.span_loss.keywords == {
        "phi": "huber",
        "smoothing": pytest.approx(0.006),
    }
    assert AnnealSmoothing(0.4, 0.2, shape="linear").smoothing(0.25) == pytest.approx(0.35)


def test_smoothing_goes_on_where_a_run_stopped(tmp_path):
    whole, half, rest = (Seen(0.6, 0.006) for _ in range(3))
    data = TheirData()
    their_trainer(callbacks=[whole], max_epochs=2).fit(single_task(losses.smooth_giou_loss), data)
    trainer = their_trainer(callbacks=[half], max_epochs=2, max_steps=-1)
    trainer.fit_loop.epoch_loop.max_steps = 4
    trainer.fit(single_task(losses.smooth_giou_loss), data)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    their_trainer(callbacks=[rest], max_epochs=2).fit(
        single_task(losses.smooth_giou_loss),
        data,
        ckpt_path=tmp_path / "half.ckpt",
        weights_only=True,
    )
    assert rest.values == pytest.approx(whole.values[4:])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AnnealSmoothing(0.0), "start is 0.0; it must be above 0"),
        (lambda: AnnealSmoothing(share=2.0), r"share is 2.0; it must lie in \(0, 1\]"),
        (lambda: Polyak([torch.zeros(1)], lr=0.0), "lr is 0.0; it must be above 0"),
        (lambda: schedules.inverse(sgd(), 9, half=0.0), "half is 0.0; it must be above 0"),
        (lambda: schedules.geometric(sgd(), 9, final=2.0), "final is 2.0; it must lie in"),
    ],
)
def test_options_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_sharp_loss_has_nothing_to_anneal(cli):
    line = cli("train", *SMALL, "callbacks=anneal", "span_loss=smooth_giou",
               "callbacks.anneal.final=0.9", "hydra.run.dir=run")  # fmt: skip
    assert "smoothing is 0.9; it must lie in (0, 0.7]" in line
    line = cli("train", *SMALL, "callbacks=anneal", "hydra.run.dir=run")
    assert "giou has no smoothing to anneal; span_loss=smooth_giou, for one, has" in line


def rates_of(schedule, total, count):
    optimizer = sgd()
    decay, rates = schedule(optimizer, total), []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        decay.step()
    return rates


def test_cosine_rises_and_falls_and_stays():
    rates = rates_of(partial(schedules.cosine, warmup=0.2, start=0.1, final=0.5), 101, 140)
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == pytest.approx(2.0, rel=1e-2)
    assert rates.index(max(rates)) in (20, 21)
    assert rates[10] == pytest.approx(1.1, abs=0.05)
    assert rates[60] == pytest.approx(1.5, abs=0.05)
    assert rates[100] == rates[139] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (schedules.constant, lambda k: 1),
        (partial(schedules.inverse, half=0.1), lambda k: 1 / (1 + k / 10)),
        (partial(schedules.geometric, final=1e-4), lambda k: 1e-4 ** (min(k, 99) / 99)),
    ],
)
def test_a_schedule_follows_its_formula(schedule, expected):
    assert rates_of(schedule, 100, 120) == pytest.approx([2 * expected(k) for k in range(120)])


def test_polyak_by_hand():
    """|x| + 3: one step of (|x| + 3 - 3) / 1 lands on the minimum, unless it is longer than lr."""
    for lr, landing in ((10.0, 0.0), (2.0, 3.0)):
        x = torch.tensor(5.0, requires_grad=True)
        optimizer = Polyak([x], lr=lr, minimum=3.0)
        assert step(optimizer, lambda x=x: x.abs() + 3) == 8
        assert x.item() == landing
    # At the minimum, and where there is no gradient, it stays.
    x = torch.tensor(0.0, requires_grad=True)
    step(Polyak([x]), lambda: x.abs())
    assert x.item() == 0


def step(optimizer, value):
    def closure():
        optimizer.zero_grad()
        loss = value()
        loss.sum().backward()
        return loss

    return optimizer.step(closure)


def test_polyak_takes_each_row_for_itself():
    start = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(0)).double()
    together, shift = start.clone().requires_grad_(), torch.ones(5, 2).double().requires_grad_()
    optimizer = Polyak([together, shift], lr=0.3)
    for _ in range(3):
        step(optimizer, lambda: together.abs().sum((1, 2)) + shift.square().sum(1))
    for row in range(5):
        alone = start[row].clone().requires_grad_()
        other = torch.ones(2).double().requires_grad_()
        single_row = Polyak([alone, other], lr=0.3)
        for _ in range(3):
            step(single_row, lambda a=alone, o=other: a.abs().sum() + o.square().sum())
        torch.testing.assert_close(together[row], alone)
        torch.testing.assert_close(shift[row], other)


def test_polyak_in_training_and_with_a_scaler():
    task = single_task(optimizer=partial(Polyak, lr=0.5))
    task.criterion.score_weight = 0.0
    trainer = their_trainer(max_epochs=10)
    trainer.fit(task, TheirData())
    assert trainer.callback_metrics["train/loss_span"] < 0.6  # from 1.1
    with pytest.raises(ValueError, match="Polyak's step needs the loss, so a closure"):
        trainer.optimizers[0].step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gradient_clip_val": 1.0}, "trainer.gradient_clip_val is 1.0; .* it must be null"),
        ({"accumulate_grad_batches": 2}, "trainer.accumulate_grad_batches is 2; .* it must be 1"),
    ],
)
def test_polyak_refuses_what_would_make_its_step_wrong(options, message):
    task = single_task(optimizer=partial(Polyak, lr=0.5))
    with pytest.raises(ValueError, match=message):
        their_trainer(**options).fit(task, TheirData())


def after_a_step(rank):
    x = torch.tensor(5.0, requires_grad=True)
    # What DDP leaves: one gradient, and a loss for each process.
    step(Polyak([x], lr=10.0), lambda: x.abs() + (1.0 if rank else -1.0))
    return x.item()


def test_polyak_s_step_is_the_same_in_every_process(tmp_path):
    assert in_two_processes(after_a_step, tmp_path) == [0.0, 0.0]


def fit_exactly(cli, *options):
    with unchecked():
        run = cli("train", "experiment=zero_loss", "trainer.accelerator=cpu", "hydra.run.dir=run",
                  "callbacks.progress=null", *options)  # fmt: skip
    found = ConvergenceResult.read(run / "run" / "convergence.json")
    return found, found.own


def is_as_the_theory_says(name, found, row):
    relative = row.relative_gradient.mean
    if name in ("iou", "giou"):
        # The square root of 2, less for an end that lies exactly on its target.
        assert relative >= 1.0
    else:
        smoothing = yaml.safe_load((CONFIGS / "span_loss" / f"{name}.yaml").read_text())[
            "smoothing"
        ]
        assert relative <= 1.2 * math.sqrt(2 * row.loss / smoothing)
        assert relative < 0.1
    return 1 - found.tiou


@pytest.mark.parametrize("name", [pytest.param("giou", marks=pytest.mark.slow), "smooth_giou"])
def test_a_few_sequences_are_fitted_and_the_sharp_loss_keeps_its_gradient(cli, name):
    # The sharp loss takes longer, and smaller steps.
    steps = (
        "trainer.max_epochs=200" if name == "giou" else "trainer.max_epochs=100 optimizer.lr=4e-3"
    )
    options = f"data.num_train=4 data.batch_size=4 backbone.width=32 {steps}"
    found, row = fit_exactly(cli, *options.split(), f"span_loss={name}")
    assert is_as_the_theory_says(name, found, row) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["iou", "giou", "smooth_giou"])
def test_zero_loss(cli, name, seed):
    found, row = fit_exactly(cli, f"span_loss={name}", f"seed={seed}")
    assert is_as_the_theory_says(name, found, row) < 2e-3
    fit = found.exponent
    assert fit.determinable
    assert fit.slope == pytest.approx(0.5 if name == "smooth_giou" else 0.0, abs=0.1)
