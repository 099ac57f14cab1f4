"""Losses that are not analytic at the match: fractional powers, jumps, logarithms."""

import math

import pytest
import torch

from spanloc.cli.probe_tables import verdict
from spanloc.convergence import anatomy, checked
from spanloc.convergence.sided import first_derivative, second_derivative
from spanloc.losses import giou_loss

LENGTHS = (0.1, 10.0, 1000.0)


def power(e):
    return lambda pred, target: giou_loss(pred, target) ** e


def jump(pred, target):
    return giou_loss(pred, target) + (pred != target).any(-1)


def log_cusp(pred, target):
    # -x log x, which rises from 0 at the match with an infinite slope.
    x = giou_loss(pred, target)
    return torch.where(x > 0, -x * x.clamp(min=1e-300).log(), 0 * x)


def as_log(pred, target):
    return -log_cusp(pred, target)


def slowly(pred, target):
    # x / log x: the slope is 0, and seen to be so by nothing.
    x = giou_loss(pred, target)
    return x / (1 - x.clamp(min=1e-300).log())


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("e", [1.1, 1.25, 1.5, 1.75, 2, 2.5, 3])
def test_powers_above_1_have_a_slope_of_0(e, length):
    found = anatomy(checked(power(e)), length)
    assert found.smooth
    assert not found.sharp
    for end in (found.start, found.end):
        for slope, error in ((end.left, end.left_error), (end.right, end.right_error)):
            assert abs(slope) <= error < 2e-4
        if e < 2:
            assert end.curvature == math.inf
        else:
            exact = 2 if e == 2 else 0
            assert abs(end.curvature - exact) <= end.curvature_error < 1e-7
    step = 0 if e < 2 else length**2 / 2 if e == 2 else math.inf
    assert found.largest_stable_step == pytest.approx(step)
    assert ("Smooth" in verdict([found])) == (e >= 2)
    assert ("no constant step" in verdict([found])) == (e < 2)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("loss", [power(0.5), jump, log_cusp, as_log])
def test_infinite_slopes_are_said_to_be(loss, length):
    found = anatomy(loss, length)
    sign = -1 if loss is as_log else 1
    for end in (found.start, found.end):
        assert (end.left, end.right) == (-sign * math.inf, sign * math.inf)
        assert end.minimum == (sign > 0)
        assert math.isnan(end.curvature)
    assert not found.sharp
    assert not found.smooth
    said = "infinite slope" if sign > 0 else "not a minimum"
    assert said in verdict([found])
    assert math.isnan(found.largest_stable_step)


def test_a_jump_to_one_side():
    found = anatomy(lambda p, t: giou_loss(p, t) + (p[:, 0] > t[:, 0]), 10.0)
    assert found.start.left == pytest.approx(-1)
    assert found.start.right == math.inf
    assert not found.sharp


def test_slopes_that_settle_too_slowly_are_undetermined():
    found = anatomy(slowly, 10.0)
    assert math.isnan(found.start.left)
    assert math.isnan(found.end.right)
    assert "undetermined" in verdict([found])


def test_a_kink_to_one_side_is_not_sharp():
    found = anatomy(lambda p, t: (p - t).clamp(min=0).sum(-1) / 10, 10.0)
    assert found.start.minimum
    assert not found.start.differentiable
    assert not found.sharp
    assert "neither" in verdict([found])


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.75, 1.5])
def test_fractional_powers_beside_a_kink_lie_within_their_stated_errors(p):
    for step, sign in ((-0.05, -1), (0.05, 1)):
        found = first_derivative(lambda x, p=p: 3 * x.abs() + x.abs() ** (1 + p), step)
        assert abs(found.value - 3 * sign) <= found.error < 0.01
    found = second_derivative(lambda x, p=p: 3 * x + x ** (1 + p), 0.05)
    assert abs(found.value - 3) <= found.error < 0.05


def test_a_kink_that_is_rounded_finely_is_no_infinite_slope():
    for width in (1e-4, 1e-6, 1e-8):
        found = first_derivative(lambda x, w=width: (x.square() + w**2).sqrt() - w, 0.05)
        assert abs(found.value) <= found.error < 0.01
    found = first_derivative(lambda x: x.abs().clamp(max=1e-6), 0.05)
    assert found.value == pytest.approx(1)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda p, t: giou_loss(p, t) / 0, "gave the value inf for prediction"),
        (lambda p, t: giou_loss(p, t) * math.nan, "gave the value nan for prediction"),
        (lambda p, t: (0 * giou_loss(p, t)).sqrt(), "gave the gradient .*nan.* for prediction"),
        (lambda p, t: giou_loss(p, t) + 1e-3 * torch.rand(len(p)), "different values"),
        (lambda p, t: (p - t).abs().mean(), r"the shape \(\) for 3 pairs"),
        (lambda p, t: (p - t).abs(), r"the shape \(3, 2\) for 3 pairs"),
        (lambda p, t: 1 / 0, "the span loss failed: ZeroDivisionError"),
        (lambda p, t: 3.0, "gave a float"),
        (lambda p, t: t.sum(-1), "without a gradient"),
    ],
)
def test_what_cannot_be_probed_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        checked(loss)


def test_a_loss_may_be_infinite_for_disjoint_spans():
    loss = checked(lambda p, t: -(1 - giou_loss(p, t).clamp(max=1)).log())
    assert anatomy(loss, 10.0).sharp


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_loss_that_writes_into_its_arguments_leaves_them_alone(dtype):
    def clamps(pred, target):
        if pred.dtype != dtype:
            raise TypeError("another dtype")
        target.mul_(1)
        return giou_loss(pred.clamp_(min=-100), target)

    loss = checked(clamps)
    assert loss.precision == dtype
    assert loss.reason == ("" if dtype == torch.float64 else "TypeError: another dtype")
    pred = torch.tensor([[-200.0, 4.0]], dtype=torch.float64, requires_grad=True)
    loss(pred, torch.tensor([[0.0, 5.0]], dtype=torch.float64)).sum().backward()
    assert pred[0, 0] == -200
    assert anatomy(loss, 10.0).sharp


def test_a_loss_that_rounds_is_given_what_it_rounds_to():
    loss = checked(lambda p, t: giou_loss(p.float(), t.float()))
    assert loss.precision == torch.float32
    assert "gave float32" in loss.reason


@pytest.mark.parametrize("e", [0.5, 1.1, 1.25])
def test_single_precision_does_not_make_a_power_sharp(e):
    found = anatomy(checked(lambda p, t: giou_loss(p.float(), t.float()) ** e), 10.0)
    assert not found.sharp
    assert anatomy(checked(lambda p, t: giou_loss(p.float(), t.float())), 10.0).sharp


@pytest.mark.parametrize("length", [0.0, 1e-9, 1e300, math.inf, math.nan])
def test_lengths_out_of_range_are_refused(length):
    with pytest.raises(ValueError, match="it must lie in"):
        anatomy(giou_loss, length)
