"""Laws that every loss of the group keeps, over every file of ``configs/span_loss``."""

import inspect
import math
from functools import partial

import pytest
import reference
import torch
import yaml
from conftest import CONFIGS, random_spans

from spanloc import losses, ops
from spanloc.checkpoint import build
from spanloc.convergence import relative_gradient

# Every loss of the group is one or the other; a new one has to say which.
SHARP = {"iou", "giou", "diou"}
SMOOTH = {"smooth_giou", "smooth_l1", "huber_giou"}
# No gradient where prediction and target are disjoint.
FLAT = {"iou"}

SPAN_LOSSES = {
    path.stem: build(yaml.safe_load(path.read_text()))
    for path in sorted((CONFIGS / "span_loss").glob("*.yaml"))
}
SPAN_LOSSES |= {
    f"smooth_giou-{phi}": partial(losses.smooth_giou_loss, phi=phi) for phi in ("log_cosh", "huber")
}
SCORE_LOSSES = {
    path.stem: build(yaml.safe_load(path.read_text()))
    for path in sorted((CONFIGS / "score_loss").glob("*.yaml"))
}
every_loss = pytest.mark.parametrize(
    ("name", "loss"), [pytest.param(n.split("-")[0], f, id=n) for n, f in SPAN_LOSSES.items()]
)
every_score_loss = pytest.mark.parametrize("loss", SCORE_LOSSES.values(), ids=SCORE_LOSSES)


def one_sided(loss, pred, target, end, step=1e-7):
    """Derivatives of one end from the left and from the right, float64."""
    shift = torch.zeros(2, dtype=torch.float64)
    shift[end] = step
    here = loss(pred, target)
    return (here - loss(pred - shift, target)) / step, (loss(pred + shift, target) - here) / step


def gradient(loss, pred, target):
    pred = pred.clone().requires_grad_()
    loss(pred, target).sum().backward()
    return pred.grad


def test_every_loss_says_whether_it_is_sharp():
    assert {name.split("-")[0] for name in SPAN_LOSSES} == SHARP | SMOOTH
    assert not SHARP & SMOOTH


@every_loss
def test_zero_at_the_match_and_only_there(name, loss):
    target = random_spans(200)
    assert (loss(target, target) == 0).all()
    for shift in ([1e-3, 0.0], [0.0, -1e-3], [0.1, 0.1], [-5.0, 9.0], [30.0, 30.0]):
        assert (loss(target + torch.tensor(shift), target) > 0).all()


@every_loss
def test_one_value_per_pair_whatever_the_shape(name, loss):
    pred, target = random_spans(12), random_spans(12, seed=1)
    values = loss(pred, target)
    assert values.shape == (12,)
    torch.testing.assert_close(
        loss(pred.view(3, 4, 2), target.view(3, 4, 2)), values.view(3, 4), rtol=0, atol=0
    )
    torch.testing.assert_close(loss(pred[5], target[5]), values[5])
    assert loss(pred[:0], target[:0]).shape == (0,)
    assert loss(pred.float(), target.float()).dtype == torch.float32


@every_loss
def test_same_at_every_scale_place_and_mirrored(name, loss):
    pred, target = random_spans(200), random_spans(200, seed=1)
    values = loss(pred, target)
    torch.testing.assert_close(loss(pred * 37, target * 37), values)
    torch.testing.assert_close(loss(pred + 512, target + 512), values)
    torch.testing.assert_close(loss(-pred.flip(-1), -target.flip(-1)), values)
    torch.testing.assert_close(
        relative_gradient(loss, pred * 37, target * 37), relative_gradient(loss, pred, target)
    )


@every_loss
def test_gradient_is_that_of_the_value_away_from_kinks(name, loss):
    pred, target = random_spans(300), random_spans(300, seed=1)
    exact = gradient(loss, pred, target)
    for end in (0, 1):
        left, right = one_sided(loss, pred, target, end)
        torch.testing.assert_close(exact[:, end], (left + right) / 2, rtol=1e-5, atol=1e-6)


@every_loss
def test_the_match_is_a_minimum_along_each_end_with_gradient_zero(name, loss):
    target = torch.tensor([[0.0, 10.0], [3.0, 3.5], [-4.0, 60.0]], dtype=torch.float64)
    width = ops.length(target)
    assert (gradient(loss, target, target) == 0).all()
    for end in (0, 1):
        left, right = one_sided(loss, target, target, end)
        slope = 1 / width if name in SHARP else torch.zeros(3, dtype=torch.float64)
        torch.testing.assert_close(left, -slope, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(right, slope, rtol=1e-5, atol=1e-5)


@every_loss
@pytest.mark.parametrize("error", [1e-3, 1e-5])
def test_relative_gradient_stays_for_a_sharp_loss_and_vanishes_for_a_smooth_one(name, loss, error):
    target = random_spans(100)
    shift = error * ops.length(target)[:, None] * torch.tensor([0.6, -0.8])
    relative = relative_gradient(loss, target + shift, target)
    if name in SHARP:
        assert (relative - math.sqrt(2)).abs().max() < 3 * error
    else:
        assert relative.max() < 20 * error


@every_loss
def test_one_end_right_leaves_one_end_s_gradient(name, loss):
    target = torch.tensor([[0.0, 10.0]], dtype=torch.float64)
    pred = torch.tensor([[0.0, 10.01]], dtype=torch.float64)
    expected = 1.0 if name in SHARP else 0.0
    assert abs(relative_gradient(loss, pred, target).item() - expected) < 2e-2


@every_loss
def test_disjoint_spans_are_pulled_together_unless_the_loss_is_flat(name, loss):
    target = torch.tensor([[10.0, 20.0]], dtype=torch.float64)
    left = gradient(loss, torch.tensor([[2.0, 6.0]], dtype=torch.float64), target)
    assert (left == 0).all() if name in FLAT else left[0, 1] < 0


@every_loss
def test_touching_spans_are_pulled_together(name, loss):
    target = torch.tensor([[10.0, 20.0]], dtype=torch.float64)
    assert gradient(loss, torch.tensor([[4.0, 10.0]], dtype=torch.float64), target)[0, 1] < 0
    assert gradient(loss, torch.tensor([[20.0, 26.0]], dtype=torch.float64), target)[0, 0] > 0


@every_loss
def test_finite_for_empty_reversed_far_and_huge_spans(name, loss):
    odd = torch.tensor(
        [[0.0, 0.0], [5.0, 5.0], [7.0, 2.0], [-1e6, 1e6], [1e6, 1e6 + 1], [0.0, 1e-4], [0.0, 4.0]]
    )
    pred = odd[:, None].expand(-1, len(odd), -1).reshape(-1, 2)
    target = odd.sort(-1).values.repeat(len(odd), 1)
    values, slopes = loss(pred, target), gradient(loss, pred, target)
    assert values.isfinite().all()
    assert slopes.isfinite().all()
    assert (values >= 0).all()


def test_giou_is_the_textbook_s_and_iou_until_the_spans_part():
    pred, target = random_spans(500), random_spans(500, seed=1)
    expected = [
        reference.giou_loss(a, b) for a, b in zip(pred.tolist(), target.tolist(), strict=True)
    ]
    values = losses.giou_loss(pred, target)
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64))
    apart = ops.overlap(pred, target) < 0
    assert 50 < apart.sum() < 450
    iou = losses.iou_loss(pred, target)
    assert (iou[apart] == 1).all()
    torch.testing.assert_close(iou[~apart], values[~apart])
    torch.testing.assert_close(iou, 1 - ops.tiou(pred, target))


def test_small_losses_keep_their_digits_in_float32():
    target = torch.tensor([[0.0, 1.0]])
    pred = torch.tensor([[1e-9, 1.0]])
    assert losses.giou_loss(pred, target).item() == pytest.approx(1e-9, rel=1e-5)
    smooth = losses.smooth_giou_loss(pred, target).item()
    assert smooth == pytest.approx(1e-18 / (2 * 0.3), rel=1e-5)


@pytest.mark.parametrize("phi", ["pseudo_huber", "log_cosh", "huber"])
def test_smooth_giou_tends_to_giou_and_has_its_curvature(phi):
    pred, target = random_spans(200), random_spans(200, seed=1)
    loss = partial(losses.smooth_giou_loss, phi=phi)
    torch.testing.assert_close(
        loss(pred, target, smoothing=1e-6), losses.giou_loss(pred, target), rtol=1e-4, atol=1e-4
    )
    target = torch.tensor([[0.0, 10.0]], dtype=torch.float64)
    pred = target + torch.tensor([[1e-4, 2e-4]], dtype=torch.float64)
    share = 2 if phi == "log_cosh" else 1
    expected = 5e-8 / (2 * share * 0.5 * 100)
    assert loss(pred, target, smoothing=0.5).item() == pytest.approx(expected, rel=1e-3)
    far = loss(torch.tensor([[1e4, 2e4]]), torch.tensor([[0.0, 1.0]]))
    assert far.isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, -0.1, 0.71])
def test_smoothing_out_of_range_is_refused(smoothing):
    spans = random_spans(1)
    with pytest.raises(ValueError, match=r"smoothing is .*\(0, 0.7\]"):
        losses.smooth_giou_loss(spans, spans, smoothing=smoothing)


def test_the_forum_s_question():
    """Loss 0, gradient +-1/n just beside the match, as torch 1.7 gave it at the match."""
    target = ops.half_open(torch.tensor([[5.0, 5.0], [2.0, 4.0]], dtype=torch.float64))

    def slopes(shift):
        pred = (target + torch.tensor([[shift, 0.0], [0.0, 0.0]])).requires_grad_()
        losses.iou_loss(pred, target).mean().backward()
        return pred.grad[0, 0].item()

    assert losses.iou_loss(target, target).mean() == 0
    assert slopes(1e-5) == pytest.approx(0.5, abs=1e-4)
    assert slopes(-1e-5) == pytest.approx(-0.5, abs=1e-4)
    assert slopes(0.0) == 0


@every_score_loss
def test_score_losses_are_unreduced_finite_and_best_when_right(loss):
    logits = torch.linspace(-60, 60, 24).view(4, 3, 2).requires_grad_()
    targets = torch.tensor([0.0, 1.0]).expand(4, 3, 2)
    values = loss(logits, targets)
    assert values.shape == (4, 3, 2)
    assert (values >= 0).all()
    values.sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad[..., 0] >= 0).all()
    assert (logits.grad[..., 1] <= 0).all()


def test_focal_loss_without_focus_is_cross_entropy():
    logits, targets = torch.randn(20, 3), torch.rand(20, 3).round()
    torch.testing.assert_close(
        losses.focal_loss(logits, targets, alpha=0.5, gamma=0.0),
        losses.cross_entropy_loss(logits, targets) / 2,
    )


def test_a_focus_with_an_infinite_gradient_is_refused():
    with pytest.raises(ValueError, match="gamma is 0.5; it must be 0 or at least 1"):
        losses.focal_loss(torch.zeros(1, 1), torch.ones(1, 1), gamma=0.5)


def test_what_is_no_span_is_refused():
    spans = torch.rand(3, 4)
    for loss in SPAN_LOSSES.values():
        # The shape checker of the tests speaks first; what a user sees is the ValueError.
        with pytest.raises((ValueError, TypeError)):
            loss(spans, spans)


def test_every_public_loss_has_a_config_and_takes_pairs_alone():
    named = {
        yaml.safe_load(path.read_text())["_target_"].rsplit(".", 1)[1]
        for group in ("span_loss", "score_loss")
        for path in (CONFIGS / group).glob("*.yaml")
    }
    assert named == set(losses.__all__)
    for name in named:
        parameters = inspect.signature(getattr(losses, name)).parameters.values()
        assert sum(p.default is p.empty for p in parameters) == 2
