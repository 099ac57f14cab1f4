"""Gradient descent on free ends: the laws of sharp and smooth losses, each as a test."""

import math
from functools import partial

import pytest
import torch
from conftest import unchecked
from span_losses import FEW, SHARP, SPAN_LOSSES

from spanloc import losses
from spanloc.convergence import anatomy, descend, random_starts
from spanloc.convergence.descent import recorded_steps
from spanloc.training import schedules
from spanloc.training.optimizers import Polyak

TARGET = torch.tensor([10.0, 20.0], dtype=torch.float64)
RULES = {
    "constant": (1.0, schedules.constant),
    "cosine": (1.0, partial(schedules.cosine, warmup=0.0)),
    "inverse": (1.0, schedules.inverse),
    "geometric": (1.0, partial(schedules.geometric, final=1e-3)),
}
SMALL_SMOOTHING = partial(losses.smooth_giou_loss, smoothing=0.05)  # 0.5 of a length of 10


def sgd(lr):
    return partial(torch.optim.SGD, lr=lr)


def descent(
    loss, optimizer, scheduler=None, *, target=TARGET, count=60, spread=0.2, starts=None, **steps
):
    if starts is None:
        starts = random_starts(target, count, spread=spread)
    else:
        starts = torch.tensor(starts, dtype=torch.float64)
    options = {"optimizer": optimizer, "scheduler": scheduler, "num_steps": 200, "last": 50} | steps
    with unchecked():
        return descend(loss, starts, target.expand_as(starts), **options)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", [name for name in FEW if name in SHARP])
def test_the_gradient_of_a_sharp_loss_is_sqrt_2_over_the_length_whatever_the_rule(name, rule):
    lr, scheduler = RULES[rule]
    found = descent(SPAN_LOSSES[name], sgd(lr), scheduler)
    assert (found.final_error < 0.011).all()
    assert (found.final_gradient - math.sqrt(2)).abs().max() < 0.02


def test_adam_leaves_the_same_gradient():
    found = descent(losses.giou_loss, partial(torch.optim.Adam, lr=0.02))
    assert found.final_loss.median() < 2e-3
    assert (found.final_gradient - math.sqrt(2)).abs().max() < 0.02


@pytest.mark.parametrize("rule", RULES)
def test_with_one_end_exact_it_is_1_over_the_length_whatever_the_rule(rule):
    def l1(pred, target):  # sharp, and an end that is right gets no gradient from the other
        return (pred - target).abs().sum(-1) / (target[:, 1] - target[:, 0])

    lr, scheduler = RULES[rule]
    found = descent(l1, sgd(lr), scheduler, starts=[[10.0, 22.0], [7.5, 20.0], [9.0, 22.0]])
    assert found.exact.sum(1).tolist() == [1, 1, 0]
    expected = torch.tensor([1, 1, math.sqrt(2)], dtype=torch.float64)
    torch.testing.assert_close(found.final_gradient, expected)


def test_under_giou_an_exact_end_does_not_stay_so():
    # At the tie its gradient is that of the length in the denominator: of the order of the loss.
    found = descent(losses.giou_loss, sgd(1.0), starts=[[10.0, 20.1]])
    assert found.gradient[0].item() == pytest.approx(1, abs=0.02)
    assert not found.exact.any()
    assert found.final_gradient.item() == pytest.approx(math.sqrt(2), abs=0.02)


@pytest.mark.parametrize("name", [name for name in FEW if name in SHARP])
@pytest.mark.parametrize("lr", [1.0, 0.3])
def test_the_error_of_each_end_under_a_constant_step(name, lr):
    # An end jumps from side to side by the step times a slope of 1 / length at most: of two
    # neighbours the larger error is at least half a jump, and no error is more than a whole one.
    found = descent(SPAN_LOSSES[name], sgd(lr))
    jump = lr / 10**2
    # On the far side the slope is less, by as much as the span is too long; DIoU's is more.
    assert found.final_error.min() > 0.5 * jump * (1 - 3 * jump)
    assert found.final_error.max() < jump * (1 + (3 * jump if name == "diou" else 0))


def test_a_falling_step_takes_the_loss_down_and_leaves_the_gradient():
    found = descent(losses.giou_loss, sgd(1.0), RULES["cosine"][1], num_steps=1500, last=20)
    assert found.final_loss.max() < 1e-7
    assert found.final_loss.median() < 3e-8
    assert (found.final_gradient - math.sqrt(2)).abs().max() < 1e-4


@pytest.mark.parametrize("phi", ["pseudo_huber", "huber"])
def test_a_smooth_loss_settles_below_its_largest_stable_step_and_not_above(phi):
    loss = partial(losses.smooth_giou_loss, smoothing=0.1, phi=phi)
    most = anatomy(loss, 10.0).largest_stable_step
    below = descent(loss, sgd(0.8 * most))
    assert below.final_error.max() < 1e-9
    assert below.final_gradient.max() < 1e-8
    above = descent(loss, sgd(1.5 * most))
    assert above.final_error.amax(1).min() > 1e-2
    assert above.final_gradient.min() > 0.1


def test_the_smooth_rows_of_the_table():
    settled = descent(SMALL_SMOOTHING, sgd(5.0))
    assert settled.final_error.max() < 1e-13
    assert settled.final_gradient.max() < 1e-12
    # Two cycles, in step and in opposite step.
    swinging = descent(SMALL_SMOOTHING, sgd(20.0), spread=1.25, num_steps=400)
    for found, expected in (
        (swinging.final_error.amax(1) * 10, (0.873, 0.932)),
        (swinging.final_gradient / 10, (0.107, 0.097)),
    ):
        apart = (found[:, None] - torch.tensor(expected)).abs().amin(1)
        assert apart.max() < 1e-3


def test_polyak_s_step_needs_a_few_steps():
    polyak = partial(Polyak, lr=100.0)
    sharp = descent(losses.giou_loss, polyak, spread=1.25, num_steps=40, last=1)
    at_15 = sharp.error[sharp.steps <= 15][-1].abs().amax(1)
    assert at_15.quantile(0.95) < 1e-12
    assert sharp.exact.all()
    assert (sharp.final_gradient == 0).all()
    # Half the distance a step for a parabola.
    smooth = descent(SMALL_SMOOTHING, polyak, num_steps=60, last=1)
    assert smooth.final_error.max() < 1e-12


def test_polyak_s_step_and_an_end_that_ties_first():
    # Around 0 floats have no last bit to run out of: the other end ties first, and for good, since
    # the start goes on until the loss is 0 for lack of smaller numbers.
    polyak = partial(Polyak, lr=100.0)
    target = torch.tensor([0.0, 10.0], dtype=torch.float64)
    found = descent(losses.giou_loss, polyak, target=target, count=200, num_steps=40, last=1)
    one = found.exact.sum(1) == 1
    assert 0 < one.sum() < 200
    assert (found.final_loss == 0).all()
    torch.testing.assert_close(found.final_gradient, one.double())


def test_disjoint_predictions_stay_under_iou():
    starts = [[30.0, 40.0], [0.0, 8.0], [12.0, 25.0]]
    found = descent(losses.iou_loss, sgd(1.0), starts=starts)
    assert found.stuck.tolist() == [True, True, False]
    assert (found.error[:, :2] == found.error[:1, :2]).all()
    assert not descent(losses.giou_loss, sgd(1.0), starts=starts, num_steps=500).stuck.any()


@pytest.mark.parametrize("rule", RULES)
def test_everything_scales_with_the_length(rule):
    lr, scheduler = RULES[rule]
    one = descent(losses.giou_loss, sgd(lr), scheduler)
    # A power of two, so that every rounding is the same; the step is a length squared.
    other = descent(losses.giou_loss, sgd(lr * 32**2), scheduler, target=TARGET * 32)
    for key in ("error", "loss", "gradient", "final_error", "final_gradient"):
        torch.testing.assert_close(getattr(other, key), getattr(one, key), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "rule"),
    [*((name, "cosine") for name in FEW), ("giou", "geometric"), ("smooth_giou", "geometric")],
)
def test_the_exponent_distinguishes_sharp_from_smooth(name, rule):
    lr, scheduler = RULES[rule]
    found = descent(SPAN_LOSSES[name], sgd(lr if name in SHARP else 5 * lr), scheduler).exponent()
    assert found.determinable
    assert found.slope == pytest.approx(0 if name in SHARP else 0.5, abs=0.1)


def test_pairs_descend_independently():
    many = random_starts(TARGET, 50)
    for optimizer in (sgd(1.0), partial(torch.optim.Adam, lr=0.1), partial(Polyak, lr=100.0)):
        together = descent(losses.giou_loss, optimizer, starts=many.tolist(), num_steps=50, last=5)
        alone = descent(
            losses.giou_loss, optimizer, starts=many[7:8].tolist(), num_steps=50, last=5
        )
        torch.testing.assert_close(together.error[:, 7:8], alone.error)


def test_a_pair_that_becomes_nan_stays_and_the_others_go_on():
    def fragile(pred, target):
        return losses.giou_loss(pred, target) + 0 * (12 - pred[:, 0]).sqrt()

    found = descent(fragile, sgd(1.0), starts=[[13.0, 20.0], [8.0, 21.0]])
    assert found.final_error[0].isnan().all()
    assert found.final_error[1].isfinite().all()
    assert found.exponent().slope == pytest.approx(0, abs=0.1)


def test_the_statistics_are_of_the_last_steps():
    found = descent(losses.giou_loss, sgd(1.0), num_steps=50, last=50)
    assert (found.steps == torch.arange(1, 51)).all()
    torch.testing.assert_close(found.final_error, found.error.abs().amax(0))
    torch.testing.assert_close(found.final_gradient, found.gradient.mean(0))
    assert (found.final_loss == found.loss[-1]).all()
    only = descent(losses.giou_loss, sgd(1.0), num_steps=50, last=1)
    torch.testing.assert_close(only.final_error, found.error[-1].abs())


def test_starts_and_recorded_steps():
    starts = random_starts(TARGET, 2000, spread=1.25)
    assert (starts[:, 0] <= starts[:, 1]).all()
    assert (starts == random_starts(TARGET, 2000, spread=1.25)).all()
    assert (starts != random_starts(TARGET, 2000, spread=1.25, seed=1)).any()
    disjoint = (starts[:, 0] > 20) | (starts[:, 1] < 10)
    assert 0.05 < disjoint.double().mean() < 0.15
    steps = recorded_steps(13000)
    assert steps[0] == 1
    assert steps[-1] == 13000
    assert (steps.diff() > 0).all()
    assert 100 < len(steps) <= 140
    assert (steps.diff() == 1).sum() >= 40


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"num_steps": 0}, "num_steps is 0"),
        ({"num_steps": 9, "last": 10}, "last is 10; it must lie in"),
    ],
)
def test_odd_numbers_of_steps_are_refused(steps, message):
    with pytest.raises(ValueError, match=message):
        descent(losses.giou_loss, sgd(1.0), **steps)
