"""Span losses by hand and in their limits."""

from functools import partial

import pytest
import torch
import yaml
from conftest import CONFIGS, random_spans
from span_losses import gradient, spans

from spanloc import losses, ops
from spanloc.config.build import build


def test_losses_with_an_option_are_others_in_its_limit():
    pred, target = random_spans(300), random_spans(300, seed=1)
    iou = losses.iou_loss(pred, target)
    for found, expected in (
        (losses.alpha_iou_loss(pred, target, alpha=1.0), iou),
        (losses.inner_iou_loss(pred, target, ratio=1.0), iou),
        (losses.interp_iou_loss(pred, target, alpha=0.0), 2 * iou),
        (losses.alpha_iou_loss(pred, target, alpha=1e-7) * 1e7,
         -(1 - iou).clamp(min=1e-300).log()),
    ):  # fmt: skip
        near = iou < 1
        torch.testing.assert_close(found[near], expected[near], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("phi", ["pseudo_huber", "huber"])
@pytest.mark.parametrize("kind", ["iou", "giou", "diou"])
def test_smooth_losses_tend_to_the_sharp_ones(kind, phi):
    pred, target = random_spans(200), random_spans(200, seed=1)
    smooth = partial(getattr(losses, f"smooth_{kind}_loss"), phi=phi, smoothing=1e-6)
    sharp = getattr(losses, f"{kind}_loss")
    torch.testing.assert_close(smooth(pred, target), sharp(pred, target), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("phi", ["pseudo_huber", "huber"])
def test_smooth_giou_has_its_curvature(phi):
    loss, target = partial(losses.smooth_giou_loss, phi=phi), spans([0, 10])
    expected = 5e-8 / (2 * 0.5 * 100)
    found = loss(target + spans([1e-4, 2e-4]), target, smoothing=0.5)
    assert found.item() == pytest.approx(expected, rel=1e-3)


def test_balanced_l1_is_smooth_at_the_match_and_its_slope_ends_at_gamma_for_every_beta():
    target = spans([0, 10])
    for beta in (0.02, 0.1, 1.0):
        loss = partial(losses.balanced_l1_loss, beta=beta, gamma=2.0)
        at = spans([0, 10 + 1e-9], [0, 10 + 10 * beta - 1e-9], [0, 10 + 10 * beta + 1e-9])
        slope = gradient(loss, at, target.expand(3, 2))[:, 1]
        torch.testing.assert_close(10 * slope, spans(0, 2, 2), rtol=1e-5, atol=1e-6)


def test_a_weighted_sum_is_one_and_its_names_can_be_set_from_outside():
    pred, target = random_spans(50), random_spans(50, seed=1)
    giou, l1 = losses.giou_loss(pred, target), losses.l1_loss(pred, target)
    torch.testing.assert_close(losses.weighted_sum(pred, target), giou + l1)
    config = yaml.safe_load((CONFIGS / "span_loss" / "giou_l1.yaml").read_text())
    config["weights"] = {"giou": 2.0, "l1": 5.0}
    torch.testing.assert_close(build(config)(pred, target), 2 * giou + 5 * l1)


def test_a_sum_of_one_loss_by_its_own_name():
    pred, target = spans([0, 9]), spans([0, 10])
    both = {"iou": losses.iou_loss, "l1": None}
    assert losses.weighted_sum(pred, target, losses=both).item() == pytest.approx(0.1)
    only = losses.weighted_sum(pred, target, losses={"iou": losses.iou_loss}, weights={"iou": 0.5})
    assert only.item() == pytest.approx(0.05)


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
