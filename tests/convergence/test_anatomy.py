"""A loss at its minimum: the forum's case, one-sided derivatives, and the closed forms they must meet."""

import math
from functools import partial

import pytest
import torch
from span_losses import every_loss

from spanloc import losses
from spanloc.convergence import anatomy, checked, forum_cases, second_attempt, section
from spanloc.convergence.forum import FORUM_SPANS, by_length, over_hull, over_union
from spanloc.convergence.sided import first_derivative, mixed_derivative, second_derivative
from spanloc.losses.properties import properties

LENGTHS = (0.1, 1000.0)


def nwd(pred, target):
    """Normalized Wasserstein distance: the square root's gradient at 0 is NaN."""
    ends = (pred - target).square().sum(-1)
    return 1 - torch.exp(-(ends / 2).sqrt() / (target[:, 1] - target[:, 0]))


def cases(form, ties):
    found = [c for c in forum_cases() if (c.form, c.ties) == (form, ties)]
    assert [c.shift for c in found] == [-1e-5, 0.0, 1e-5]
    return found


@pytest.mark.parametrize(
    ("form", "ties", "sign"),
    [
        # The thread's own numbers, what torch does now, and the third rule.
        ("overlap / union", "second", 1),
        ("overlap / union", "split", 0),
        ("overlap / union", "first", -1),
        *(("overlap / hull", ties, 0) for ties in ("second", "split", "first")),
    ],
)
def test_the_forum_s_gradients_under_each_form_and_tie_rule(form, ties, sign):
    before, match, after = cases(form, ties)
    assert match.loss == 0
    expected = [sign * value for value in (-1 / 2, -1 / 6, 1 / 2, 1 / 6)]
    assert [*match.starts, *match.ends] == pytest.approx(expected, abs=1e-12)
    # Beside the match it is the same under every rule.
    assert before.starts[0] == pytest.approx(-0.5, abs=1e-4)
    assert after.starts[0] == pytest.approx(0.5, abs=1e-4)


def test_both_forms_are_the_iou_loss_of_this_package():
    pred = FORUM_SPANS + torch.tensor([[0.25, 0.5], [-1.0, 0.75]])
    for form in (over_union, over_hull):
        torch.testing.assert_close(form(pred, FORUM_SPANS), losses.iou_loss(pred, FORUM_SPANS))


def test_the_second_attempt_has_no_minimum_at_the_target():
    match, longer, longest, elsewhere = second_attempt()
    assert match.loss == 0
    assert 0 > longer.loss > longest.loss
    assert elsewhere.loss == pytest.approx(0)
    assert all((a.start, a.end) == pytest.approx((1 / 3, -1 / 3)) for a in second_attempt())
    # It is the forum's loss with every tie's gradient left to the prediction.
    _, case, _ = cases("overlap / union", "first")
    assert (2 * case.starts[1], 2 * case.ends[1]) == pytest.approx((match.start, match.end))
    assert not anatomy(by_length, 10.0).start.stationary


@pytest.mark.parametrize(
    ("function", "left", "right"),
    [
        (lambda x: x.abs(), -1, 1),
        (lambda x: x.exp(), 1, 1),
        (lambda x: 1 - 1 / (1 + 3 * x.abs() + x), -2, 4),
        (lambda x: torch.where(x.abs() < 1e-4, x**2 / 2e-4, x.abs() - 5e-5), 0, 0),
        (lambda x: x.clamp(min=0).float(), 0, 1),
    ],
)
def test_first_derivatives_lie_within_their_stated_errors(function, left, right):
    for step, exact in ((-0.05, left), (0.05, right)):
        found = first_derivative(function, step)
        assert abs(found.value - exact) <= found.error
        assert found.error < 1e-3


def test_second_derivatives_lie_within_their_stated_errors():
    for k in (1.0, 1e-3, 1e-6):
        found = second_derivative(lambda x, k=k: x / (x**2 + k**2).sqrt(), 0.05)
        assert abs(found.value - 1 / k) <= found.error < 1e-9 / k

    def slope(x):  # of |x| |y| + x^3 y
        return x[:, 0].sign() * x[:, 1].abs() + 3 * x[:, 0] ** 2 * x[:, 1]

    for one in (-0.05, 0.05):
        for other in (-0.05, 0.05):
            found = mixed_derivative(slope, (one, other))
            assert abs(found.value - math.copysign(1, one * other)) <= found.error < 1e-9


def test_what_is_nan_has_no_derivative():
    found = first_derivative(lambda x: x * math.nan, 0.1)
    assert math.isnan(found.value)
    assert math.isnan(found.error)


@pytest.mark.parametrize("length", LENGTHS)
@every_loss
def test_every_loss_of_the_group_is_what_it_says(loss, length):
    found, slope = anatomy(loss, length), properties(loss).slope
    assert found.loss == 0
    assert found.sharp == (slope > 0)
    assert found.smooth == (slope == 0)
    for end in (found.start, found.end):
        assert end.stationary
        assert end.minimum
        assert end.autograd == 0
        assert abs(end.left + slope) <= end.left_error < 1e-6
        assert abs(end.right - slope) <= end.right_error < 1e-6
        assert math.isnan(end.curvature) == (slope > 0)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    ("phi", "smoothing", "curvature"),
    [
        ("pseudo_huber", 0.3, 1 / 0.3), ("pseudo_huber", 0.001, 1000), ("huber", 0.3, 1 / 0.3),
        ("huber", 0.05, 20),
    ],
)  # fmt: skip
def test_curvature_and_largest_stable_step_of_the_smooth_ones(phi, smoothing, curvature, length):
    found = anatomy(partial(losses.smooth_giou_loss, phi=phi, smoothing=smoothing), length)
    for end in (found.start, found.end):
        assert abs(end.curvature - curvature) <= end.curvature_error < 1e-6 * curvature
    assert found.largest_stable_step == pytest.approx(2 * length**2 / curvature, rel=1e-9)


def test_a_largest_stable_step_that_depends_on_the_quadrant():
    # Near the match 2 (|a| + |b|)^2 / (2 delta (2 length)^2): the worst quadrant has twice the
    # curvature of an end.
    found = anatomy(losses.huber_loss, 10.0)
    assert found.start.curvature == pytest.approx(1 / 0.3)
    assert found.largest_stable_step == pytest.approx(100 * 0.3)


def test_places_counted_by_hand():
    found = anatomy(losses.giou_loss, 10.0).places
    # Overlap -10, hull 30: 1 + 1/3; d/ds = (hull - gap) / hull^2 = 2/30 of the start, 1/30 - 2/45.
    assert found["disjoint"].loss == pytest.approx(4 / 3)
    assert found["disjoint"].start == pytest.approx(10 / 30)
    assert found["disjoint"].end == pytest.approx(-10 * 10 / 30**2)
    assert found["touching"].start_left == pytest.approx(found["touching"].start_right)
    assert found["empty"].loss == pytest.approx(1)
    # Errors of 15 in all over a hull of (0 + 10 + 15) / 2.
    assert found["reversed"].loss == pytest.approx(1.2)
    flat = anatomy(losses.iou_loss, 10.0).places
    assert (flat["disjoint"].start, flat["disjoint"].end) == (0, 0)
    # Towards the target the loss falls, away from it it is flat; torch gives the former.
    assert flat["touching"].start_left == pytest.approx(0.5)
    assert flat["touching"].start_right == pytest.approx(0)
    assert flat["touching"].start == pytest.approx(0.5)


def test_a_loss_whose_gradient_is_nan_at_the_match():
    found = anatomy(checked(nwd), 10.0)
    assert math.isnan(found.start.autograd)
    assert found.start.left == pytest.approx(-math.sqrt(0.5))
    assert found.start.right == pytest.approx(math.sqrt(0.5))
    assert found.sharp


def test_a_loss_that_takes_single_precision_only():
    weight = torch.tensor([0.5, 0.5])
    loss = checked(lambda pred, target: (pred - target).abs() @ weight / 10)
    found = anatomy(loss, 10.0)
    assert abs(found.end.right - 0.5) <= found.end.right_error < 1e-2
    assert found.sharp


def test_the_section_shows_the_jump_and_is_the_derivative_elsewhere():
    error, loss, derivative = section(losses.giou_loss, 10.0)
    assert (error == -error.flip(0)).all()
    assert derivative[error < 0][-1] == pytest.approx(-1)
    assert derivative[error > 0][0] == pytest.approx(1)
    rise = (loss[2:] - loss[:-2]) / (error[2:] - error[:-2])
    inside = error[1:-1].abs() > 0.01
    torch.testing.assert_close(rise[inside], derivative[1:-1][inside], rtol=1e-3, atol=1e-4)
