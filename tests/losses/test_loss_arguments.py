"""Arguments that span losses refuse."""

import pytest
import torch
from conftest import random_spans, unchecked
from span_losses import every_loss

from spanloc import losses


@pytest.mark.parametrize(
    ("loss", "options", "words"),
    [
        (losses.smooth_iou_loss, {"smoothing": 0.0}, r"smoothing is 0.0; it must lie in \(0, 0.7\]"),
        (losses.smooth_giou_loss, {"smoothing": 0.71}, r"smoothing is 0.71"),
        (losses.smooth_diou_loss, {"smoothing": -0.1}, r"smoothing is -0.1"),
        (losses.log_iou_loss, {"floor": 0.0}, r"floor is 0.0; it must lie in \(0, 1\)"),
        (losses.kl_loss, {"floor": 1.0}, r"floor is 1.0; it must lie in \(0, 1\)"),
        (losses.center_length_loss, {"floor": 2.0}, r"floor is 2.0"),
        (losses.center_length_loss, {"beta": 0.0}, r"beta is 0.0; it must be above 0"),
        (losses.alpha_iou_loss, {"alpha": 0.0}, r"alpha is 0.0; it must be above 0"),
        (losses.inner_iou_loss, {"ratio": -1.0}, r"ratio is -1.0; it must be above 0"),
        (losses.interp_iou_loss, {"alpha": 1.0}, r"alpha is 1.0; it must lie in \[0, 1\)"),
        (losses.mpdiou_loss, {"extent": 0.0}, r"extent is 0.0; it must be above 0"),
        (losses.smooth_l1_loss, {"beta": 0.0}, r"beta is 0.0"),
        (losses.balanced_l1_loss, {"gamma": 0.0}, r"gamma is 0.0"),
        (losses.balanced_l1_loss, {"alpha": 0.02}, r"alpha is 0.02; it must be above gamma / 50"),
        (losses.bounded_iou_loss, {"beta": -1.0}, r"beta is -1.0"),
        (losses.smooth_l1_loss, {"beta": float("nan")}, r"beta is nan"),
        (losses.inner_iou_loss, {"ratio": float("inf")}, r"ratio is inf"),
        (losses.giou_loss, {"eps": 0.0}, r"eps is 0.0; it must be above 0"),
        (losses.huber_loss, {"delta": 0.0}, r"delta is 0.0; it must be above 0"),
        (losses.weighted_sum, {"losses": {}}, "losses is empty"),
        (losses.weighted_sum, {"weights": {"l1": 0, "giou": 0}}, "or all weigh 0; wanted at least"),
        (losses.weighted_sum, {"weights": {"l2": 1.0}}, "weights names 'l2'; the losses are giou, l1"),
        (losses.weighted_sum, {"weights": {"l1": -1.0}}, "the weight of l1 is -1.0"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(loss, options, words):
    with pytest.raises(ValueError, match=words):
        loss(random_spans(1), random_spans(1), **options)


def test_what_is_no_tensor_is_refused():
    spans = random_spans(1)
    for pair, name in (((spans.numpy(), spans), "pred"), ((spans, spans.tolist()), "target")):
        with unchecked(), pytest.raises(TypeError, match=f"{name} is a .*; wanted a torch.Tensor"):
            losses.giou_loss(*pair)


@every_loss
def test_what_is_no_pair_of_spans_is_refused(loss):
    for pred, target in ((torch.rand(3, 4),) * 2, (torch.rand(3, 2), torch.rand(3, 1, 2))):
        with unchecked(), pytest.raises(ValueError, match=r"wanted the same \(\.\.\., 2\) of both"):
            loss(pred, target)
