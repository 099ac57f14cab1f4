"""Span losses where it is hard: at ties and at the ends of the numbers."""

import pytest
import torch
from conftest import random_spans
from hypothesis import given, settings
from hypothesis import strategies as st
from span_losses import SPAN_LOSSES, every_loss, gradient, one_sided, spans

from spanloc import losses, ops

TIES = {
    "match": [10, 20],
    "start right, end short": [10, 17], "start right, end long": [10, 24],
    "end right, start late": [14, 20], "end right, start early": [3, 20],
    "empty inside": [13, 13], "empty outside": [25, 25],
    "touching": [6, 10], "touching, as long": [20, 30], "middles right": [12, 18],
    "half a length apart": [15, 25], "just apart, as long": [-1, 9],
}  # fmt: skip


@every_loss
def test_the_gradient_at_a_tie_is_the_middle_of_both_sides(loss):
    for at, ends in TIES.items():
        pred, target = spans(ends), spans([10, 20])
        found = gradient(loss, pred, target)[0]
        for end in (0, 1):
            left, right = (side.item() for side in one_sided(loss, pred, target, end, step=1e-8))
            kink = abs(left - right) > 1e-4
            tolerance = 1e-5 * (1 + abs(left) + abs(right))
            if loss is SPAN_LOSSES["wise_iou"] and at != "match":
                continue  # its gradient is not that of its value
            if at.startswith("empty"):
                # As if it were a little longer: a start from its left, an end from its right.
                assert abs(found[end] - (left, right)[end]) < tolerance, at
            elif not kink or at == "match" or " right, " in at:
                assert abs(found[end] - (left + right) / 2) < tolerance, at
            else:
                # Where spans touch and where a loss becomes flat it is that of one side.
                assert min(left, right) - tolerance < found[end] < max(left, right) + tolerance, at


@pytest.mark.parametrize("name", ["iou", "log_iou", "diou", "smooth_iou", "interp_iou"])
def test_touching_spans_have_the_gradient_of_the_overlapping_side(name):
    loss, target = SPAN_LOSSES[name], spans([10, 20])
    touching = gradient(loss, spans([6, 10]), target)
    overlapping = gradient(loss, spans([6, 10 + 1e-9]), target)
    torch.testing.assert_close(touching, overlapping, rtol=1e-6, atol=1e-7)
    assert touching[0, 1] < 0


@every_loss
def test_an_empty_span_at_an_end_has_the_gradient_of_those_beside_it_that_overlap(loss):
    # Touching and tied at once: the middle of what overlaps on either side of the tie.
    target = spans([10, 20])
    sides = spans([10 + 1e-9, 10 + 2e-9], [10 - 1e-9, 10 + 1e-9])
    expected = gradient(loss, sides, target.expand(2, 2)).mean(0, keepdim=True)
    torch.testing.assert_close(
        gradient(loss, spans([10, 10]), target), expected, rtol=1e-5, atol=1e-5
    )


def test_a_tie_at_an_empty_span_does_not_rest_on_subnormal_numbers():
    pred, target = torch.tensor([[10.0, 10.0]]), torch.tensor([[10.0, 20.0]])
    expected = gradient(losses.giou_loss, pred, target)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor keeps subnormal numbers")
    try:
        assert torch.equal(gradient(losses.giou_loss, pred, target), expected)
    finally:
        torch.set_flush_denormal(False)
    torch.testing.assert_close(expected, torch.tensor([[0.05, -0.1]]))


@pytest.mark.parametrize(
    "name", ["giou", "smooth_giou", "interp_iou", "wasserstein", "l1", "smooth_l1", "balanced_l1"]
)
def test_each_end_of_a_reversed_span_is_pulled_to_where_it_belongs(name):
    random = torch.Generator().manual_seed(0)
    pred = 4 * torch.randn(2000, 2, generator=random, dtype=torch.float64)
    pred, target = pred.sort(-1, descending=True).values, spans([0, 1]).expand_as(pred)
    found = gradient(SPAN_LOSSES[name], pred, target) * torch.sign(pred - target)
    assert (found > 0).all()


_SIZES = st.floats(-1e6, 1e6, width=32) | st.sampled_from(
    [0.0, -0.0, 1.0, 2.0, 1e-45, -1e-45, 1e-38, 1e-7, 5e-7, 1e-6, 1.1e-6, 1e6, -1e6, 0.3, 1 + 2**-23]
)  # fmt: skip


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.lists(_SIZES, min_size=3, max_size=5),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_no_spans_have_a_loss_or_a_gradient_that_is_not_finite(ends, dtype):
    # All pairs of all spans between these ends: equal, empty, reversed, touching and apart.
    ends = torch.tensor(ends, dtype=dtype)
    every = torch.cartesian_prod(ends, ends)
    pred = every.repeat_interleave(len(every), 0)
    target = every.repeat(len(every), 1)
    same = (pred == target).all(-1)
    for name, loss in SPAN_LOSSES.items():
        # The function itself: a check of shapes takes longer than the loss.
        values, slopes = loss(pred, target), gradient(loss, pred, target)
        of_target = gradient(lambda target, pred, loss=loss: loss(pred, target), target, pred)
        for found in (values, slopes, of_target):
            wrong = (~found.isfinite()).reshape(len(pred), -1).any(1)
            assert not wrong.any(), (name, pred[wrong][0].tolist(), target[wrong][0].tolist())
        ordered = (pred[:, 0] <= pred[:, 1]) & (target[:, 0] <= target[:, 1])
        assert (values[ordered] >= 0).all(), name
        assert (values[same & ordered] == 0).all(), name
        assert (slopes[same & ordered] == 0).all(), name


@every_loss
def test_a_nan_stays_one(loss):
    pred, target = random_spans(4), random_spans(4, seed=1)
    pred[0, 0] = pred[1, 1] = target[2, 0] = torch.nan
    assert loss(pred, target).isnan().tolist() == [True, True, True, False]


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_comes_in_and_float32_comes_out(loss, dtype):
    # Short ones and overlaps of next to nothing among them.
    least = {"least": 1e-3, "spread": 8.0}
    pred = torch.cat([random_spans(500), random_spans(2000, **least, most=0.02)]).to(dtype)
    target = torch.cat([random_spans(500, seed=1), random_spans(2000, **least, seed=1)]).to(dtype)
    keep = (ops.length(pred) > 0) & (ops.length(target) > 0)
    pred, target = pred[keep], target[keep]
    exact = loss(pred.double(), target.double())
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(pred, target)
    assert found.dtype == torch.float32
    assert exact.dtype == torch.float64
    # Of the very same inputs: what is lost is lost in the loss.
    assert ((found - exact).abs() <= 5e-6 * exact + 5e-6).all()
    assert gradient(loss, pred, target).dtype == dtype
    mixed = loss(pred, target.double())
    torch.testing.assert_close(mixed, exact, rtol=1e-12, atol=1e-12)


@every_loss
def test_small_losses_keep_their_digits_in_float32(loss):
    # Errors of a start at 0 down to 1e-9 of the length; those of an end have no digits below 1e-7.
    shifts = [[1e-9, 0.0], [1e-7, 0.0], [1e-6, 0.0], [-1e-5, 0.0], [1e-4, 1e-4]]
    target = torch.tensor([[0.0, 1.0]]).expand(len(shifts), 2)
    pred = target + torch.tensor(shifts)
    exact = loss(pred.double(), target.double())
    torch.testing.assert_close(loss(pred, target).double(), exact, rtol=1e-3, atol=0)


@every_loss
def test_float32_is_exact_to_a_few_roundings_far_from_the_origin(loss):
    pred, target = random_spans(300).float() + 5000, random_spans(300, seed=1).float() + 5000
    exact = loss(pred.double(), target.double())
    torch.testing.assert_close(loss(pred, target).double(), exact, rtol=1e-5, atol=1e-6)
