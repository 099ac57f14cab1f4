"""Laws that every span loss of the group keeps, over every file of ``configs/span_loss``."""

import inspect
import math

import pytest
import reference_losses
import torch
import yaml
from conftest import CONFIGS, random_spans
from span_losses import (
    CONFIGURED,
    SPAN_LOSSES,
    every_loss,
    gradient,
    one_sided,
    pairs_of_length_one,
    spans,
)

from spanloc import losses, ops
from spanloc.convergence import relative_gradient
from spanloc.losses.properties import Properties, properties, table


def test_every_public_loss_has_a_config_and_takes_pairs_alone():
    named = {
        yaml.safe_load(path.read_text())["_target_"].rsplit(".", 1)[1]
        for group in ("span_loss", "score_loss")
        for path in (CONFIGS / group).glob("*.yaml")
    }
    assert named == {name for name in losses.__all__ if inspect.isfunction(getattr(losses, name))}
    for name in named:
        parameters = inspect.signature(getattr(losses, name)).parameters.values()
        assert sum(p.default is p.empty for p in parameters) == 2


def test_a_config_names_the_defaults_of_its_loss():
    # What a loss states holds at its defaults; so a choice by its bare name has to be those.
    pred, target = random_spans(300), random_spans(300, seed=1)
    for loss in CONFIGURED.values():
        torch.testing.assert_close(loss(pred, target), loss.func(pred, target), rtol=0, atol=0)


@every_loss
def test_it_is_what_its_source_says(loss, request):
    expected = reference_losses.LOSSES[request.node.callspec.id]
    pred, target = random_spans(400), random_spans(400, seed=1)
    pred = torch.cat([pred, target[:200] + 0.02 * (pred[:200] - target[:200])])
    target = torch.cat([target, target[:200]])
    assert 100 < (ops.overlap(pred, target) < 0).sum() < 400
    values = [expected(p, t) for p, t in zip(pred.tolist(), target.tolist(), strict=True)]
    torch.testing.assert_close(
        loss(pred, target), torch.tensor(values, dtype=torch.float64), rtol=1e-9, atol=1e-12
    )


@every_loss
def test_zero_at_the_match_and_only_there(loss):
    target = random_spans(200)
    for dtype in (torch.float64, torch.float32):
        assert (loss(target.to(dtype), target.to(dtype)) == 0).all()
    for shift in ([1e-3, 0.0], [0.0, -1e-3], [0.1, 0.1], [-1e-6, 0.0], [-5.0, 9.0], [30.0, 30.0]):
        above = (loss(target + torch.tensor(shift), target) > 0).all()
        assert above == properties(loss).separates


@every_loss
def test_its_values_fill_the_range(loss):
    far = spans([1e5, 1e5 + 1e-3], [1e5, 1e5 + 1], [-1e4, 1e5], [0, 1e-9], [1, 1], [-1e-9, 0])
    pred, target = pairs_of_length_one()
    values = torch.cat([loss(pred, target), loss(far, target[:6])])
    upper = properties(loss).upper
    assert values.min() >= 0
    if math.isinf(upper):
        assert values.max() > 1e3
    else:
        assert 0.95 * upper < values.max() < upper * (1 + 1e-3)


@every_loss
def test_its_gradient_is_as_steep_as_it_says_and_no_steeper(loss, request):
    # Short predictions, where some losses are steepest, in the middle and at the ends.
    widths = torch.logspace(-9, 0, 500, dtype=torch.float64)[:, None] * spans([-0.5, 0.5])
    pred, target = pairs_of_length_one()
    pred = torch.cat([pred, widths, widths + 0.5, widths + 1e-3 / 2])
    target = target[:1].expand_as(pred)
    found = relative_gradient(loss, pred, target).max()
    most = properties(loss).steepest
    if "-" not in request.node.callspec.id:  # it is stated of the default phi
        assert 0.98 * most < found < most * (1 + 1e-3)


@every_loss
def test_one_value_per_pair_whatever_the_shape(loss):
    pred, target = random_spans(12), random_spans(12, seed=1)
    values = loss(pred, target)
    assert values.shape == (12,)
    torch.testing.assert_close(
        loss(pred.view(3, 4, 2), target.view(3, 4, 2)), values.view(3, 4), rtol=0, atol=0
    )
    torch.testing.assert_close(loss(pred[5], target[5]), values[5])
    assert loss(pred[:0], target[:0]).shape == (0,)


@every_loss
def test_same_at_every_scale_place_and_mirrored(loss):
    pred, target = random_spans(200), random_spans(200, seed=1)
    values = loss(pred, target)
    same = torch.allclose(loss(pred * 37, target * 37), values)
    assert same == properties(loss).scale_invariant
    torch.testing.assert_close(loss(pred + 512, target + 512), values)
    torch.testing.assert_close(loss(-pred.flip(-1), -target.flip(-1)), values)
    torch.testing.assert_close(
        relative_gradient(loss, pred * 37, target * 37), relative_gradient(loss, pred, target)
    )


def test_an_extent_makes_mpdiou_depend_on_the_unit():
    pred, target = spans([0, 4]), spans([2, 6])
    assert losses.mpdiou_loss(pred, target, extent=10).item() == pytest.approx(2 / 3 + 0.08)
    assert losses.mpdiou_loss(2 * pred, 2 * target, extent=10).item() == pytest.approx(2 / 3 + 0.32)


@every_loss
def test_gradient_is_that_of_the_value_away_from_kinks(loss):
    pred, target = random_spans(300), random_spans(300, seed=1)
    exact = gradient(loss, pred, target)
    off = 0.0
    for end in (0, 1):
        left, right = one_sided(loss, pred, target, end)
        # A kink between the two is not what is looked for here.
        plain = (left - right).abs() < 1e-4
        assert plain.sum() > 290
        error = (exact[:, end] - (left + right) / 2).abs() / (1 + exact[:, end].abs())
        off = max(off, error[plain].max().item())
    assert (off < 2e-6) == properties(loss).exact


def test_the_hull_of_wise_iou_gets_no_gradient():
    pred, target = random_spans(100), random_spans(100, seed=1)
    hull = ops.hull(pred, target)

    def held(pred, target):
        centers = (pred - target).sum(-1) / 2
        return torch.exp((centers / hull).square()) * losses.iou_loss(pred, target)

    torch.testing.assert_close(
        gradient(losses.wise_iou_loss, pred, target), gradient(held, pred, target)
    )


@every_loss
def test_the_match_is_a_minimum_along_each_end_with_gradient_zero(loss):
    target = spans([0, 10], [3, 3.5], [-4, 60])
    assert (gradient(loss, target, target) == 0).all()
    slope = properties(loss).slope / ops.length(target)
    for end in (0, 1):
        left, right = one_sided(loss, target, target, end)
        torch.testing.assert_close(left, -slope, rtol=1e-5, atol=2e-5)
        torch.testing.assert_close(right, slope, rtol=1e-5, atol=2e-5)


@every_loss
@pytest.mark.parametrize("error", [1e-3, 1e-5])
def test_relative_gradient_stays_for_a_sharp_loss_and_vanishes_for_a_smooth_one(loss, error):
    target, slope = random_spans(100), properties(loss).slope
    shift = error * ops.length(target)[:, None] * torch.tensor([0.6, -0.8])
    relative = relative_gradient(loss, target + shift, target)
    if slope:
        # Of one end where the loss is a cone, of both where each has a kink of its own.
        assert relative.min() > slope * (1 - 5 * error)
        assert relative.max() < slope * math.sqrt(2) * (1 + 5 * error)
    else:
        assert relative.max() < 100 * error


@every_loss
def test_one_end_right_leaves_the_other_s_gradient(loss):
    relative = relative_gradient(loss, spans([0, 10.01]), spans([0, 10])).item()
    slope = properties(loss).slope
    assert relative > 0.98 * slope if slope else relative < 0.1


def pull(loss, pred, target):
    """The slope towards the target of moving the whole prediction."""
    moved = gradient(loss, pred, target).sum(-1)
    return moved * torch.sign(pred.sum(-1) - target.sum(-1))


@every_loss
def test_disjoint_spans_are_pulled_together_as_it_says(loss):
    widths, gaps = (0.1, 1.0, 3.0), (0.05, 0.7, 3.0)
    left = spans(*[[-gap - width, -gap] for gap in gaps for width in widths])
    target = spans([0, 1]).expand_as(left)
    for pred in (left, 1 - left.flip(-1)):
        found = pull(loss, pred, target)
        assert (found > 1e-3).all() if properties(loss).apart else (found <= 0).any()


@every_loss
def test_touching_spans_are_pulled_together_as_it_says(loss):
    target = spans([10, 20], [10, 20], [10, 20])
    pred = spans([4, 10], [0, 10], [-20, 10])
    for touching in (pred, 30 - pred.flip(-1)):
        found = pull(loss, touching, target)
        assert (found > 0).all() if properties(loss).touching else (found == 0).any()
    assert properties(loss).touching or not properties(loss).apart


def test_the_docs_have_the_table_of_the_code():
    page = (CONFIGS.parent / "docs" / "losses.md").read_text()
    assert f"\n{table(CONFIGURED)}\n" in page, "run: python scripts/loss_table.py"
    stated = [properties(loss) for loss in CONFIGURED.values()]
    assert all(each.separates and each.scale_invariant for each in stated), (
        "the page says so of all"
    )


def test_a_loss_that_states_nothing_has_no_row():
    def mine(pred, target):
        return losses.giou_loss(pred, target)

    with pytest.raises(ValueError, match=r"mine.* states no properties"):
        table({"mine": mine})
    Properties("mine", upper=2, slope=1, steepest=math.sqrt(2))(mine)
    assert "| `mine` | 0 to 2 | 1 | yes | 1.414 | mine |" in table({"mine": mine})


def test_every_loss_has_its_reference():
    assert set(reference_losses.LOSSES) == set(SPAN_LOSSES)
