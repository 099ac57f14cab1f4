"""The head that gives distributions, and the loss of these."""

import math

import pytest
import torch
from conftest import make_batch, single_model, small_model
from test_models import require_gradients

from spanloc import Criterion, losses, ops
from spanloc.losses.terms import Pairs, Term, distribution_focal
from spanloc.matching import match_points, match_single
from spanloc.models import DistributionHead
from spanloc.structures import Output

# Two points with strides of 4 and 8; bins at 0, 1 and 2 strides.
POINTS = torch.tensor([[20.0, 4.0], [40.0, 8.0]])
SIXTHS = torch.tensor([1.0, 2.0, 3.0]).log()


def distribution_model():
    torch.manual_seed(0)
    return small_model(DistributionHead, num_bins=9)


def output_of(bins, step=1.0):
    """One sequence with two predictions, from logits ``(2, 2, bins)``."""
    bins = bins[None]
    offsets = step * torch.arange(bins.shape[-1]).expand_as(bins)
    spans = ops.decode_offsets((bins.softmax(-1) * offsets).sum(-1), POINTS)
    mask = torch.ones(1, 2, dtype=torch.bool)
    extra = {"bins": bins, "offsets": offsets}
    return Output(spans, torch.zeros(1, 2, 1), POINTS, mask, extra)


def pairs_of(output, prediction, offsets):
    """Pairs of these predictions with targets at these offsets, in strides."""
    prediction = torch.tensor(prediction, dtype=torch.int64)
    offsets = torch.tensor(offsets).reshape(-1, 2)
    sequence = torch.zeros_like(prediction)
    target = ops.decode_offsets(offsets, output.points[prediction])
    pred = output.spans[sequence, prediction]
    return Pairs(pred, target, torch.ones(len(prediction)), sequence, prediction)


def test_offsets_are_the_expectations_of_the_bins():
    model, batch = distribution_model(), make_batch((60, 41))
    output = model(batch.features, batch.mask)
    bins, offsets = output.extra["bins"], output.extra["offsets"]
    assert bins.shape == offsets.shape == (2, output.spans.shape[1], 2, 9)
    # From 0 to the largest, evenly.
    assert offsets[0, 0, 0].tolist() == list(range(9))
    expected = (bins.softmax(-1) * offsets).sum(-1)
    found = ops.encode_offsets(output.spans, output.points)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found >= -1e-4).all()


def test_an_offset_can_reach_what_its_level_stands_for():
    head = DistributionHead(1, width=8)
    assert head.offsets[0] == 0
    assert head.offsets[-1] == 8


@pytest.mark.parametrize("options", [{"num_bins": 1}, {"reach": 0.0}])
def test_bins_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="num_bins is .* and reach .*; wanted at least 2"):
        DistributionHead(1, width=8, **options)


def test_the_bins_travel_with_no_weights():
    names = DistributionHead(1, width=8).state_dict()
    assert not any("offsets" in name for name in names)


@pytest.mark.parametrize(
    ("offsets", "left", "right"),
    [
        ([0.0, 1.0], math.log(6), math.log(3)),  # on a bin: it alone
        ([0.5, 2.0], (math.log(6) + math.log(3)) / 2, math.log(2)),
        ([1.25, 0.75], 0.75 * math.log(3) + 0.25 * math.log(2), math.log(6) / 4 + 0.75 * math.log(3)),
        ([5.0, 2.0], math.log(2), math.log(2)),  # beyond the last
        ([-1.0, 2.0], math.log(6), math.log(2)),  # the point lies outside
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [1.0, 0.5])
def test_distribution_focal_by_hand(offsets, left, right, step):
    # Chances of 1/6, 2/6 and 3/6 on every side; the bins may be closer than a stride.
    output = output_of(SIXTHS.expand(2, 2, 3), step)
    for prediction in (0, 1):
        pairs = pairs_of(output, [prediction], [[step * x for x in offsets]])
        found = distribution_focal(output, pairs)
        assert found.tolist() == pytest.approx([(left + right) / 2], rel=1e-5)


def test_each_pair_has_its_own_bins_and_target():
    random = torch.Generator().manual_seed(0)
    output = output_of(torch.randn(2, 2, 5, generator=random))
    offsets = [[0.3, 2.6], [1.9, 3.2], [3.9, 0.1]]
    together = distribution_focal(output, pairs_of(output, [0, 1, 0], offsets))
    alone = [
        distribution_focal(output, pairs_of(output, [p], [x])).item()
        for p, x in zip([0, 1, 0], offsets, strict=True)
    ]
    assert together.tolist() == pytest.approx(alone)
    assert len(set(alone)) == 3


def test_distribution_focal_is_least_on_the_true_offset():
    offsets = torch.tensor([[1.25, 3.5], [0.0, 2.75]])
    low = offsets.floor().long()
    share = offsets - low
    chances = torch.zeros(2, 2, 5)
    chances.scatter_(-1, low[..., None], (1 - share)[..., None])
    chances.scatter_(-1, low[..., None] + 1, share[..., None])
    best = chances.clamp(min=1e-12).log().requires_grad_()
    output = output_of(best)
    pairs = pairs_of(output, [0, 1], offsets.tolist())
    torch.testing.assert_close(pairs.pred, pairs.target, rtol=1e-5, atol=1e-4)
    least = distribution_focal(output, pairs)
    (slope,) = torch.autograd.grad(least.sum(), best)
    assert slope.abs().max() < 1e-6
    random = torch.Generator().manual_seed(0)
    for size in (0.01, 1.0, 10.0):
        other = output_of(best + size * torch.randn(2, 2, 5, generator=random))
        assert (distribution_focal(other, pairs) > least).all()


def test_distribution_focal_of_no_pairs_is_of_no_pairs():
    bins = torch.zeros(2, 2, 3, requires_grad=True)
    output = output_of(bins)
    found = distribution_focal(output, pairs_of(output, [], []))
    assert found.shape == (0,)
    found.sum().backward()
    assert (bins.grad == 0).all()


def test_gradients_of_distribution_focal_are_finite_however_sure_it_is():
    bins = torch.zeros(2, 2, 3)
    bins[..., 0] = 1e4
    bins.requires_grad_()
    output = output_of(bins)
    found = distribution_focal(output, pairs_of(output, [0, 1], [[2.0, 1.5], [0.0, 100.0]]))
    assert found.isfinite().all()
    found.sum().backward()
    assert bins.grad.isfinite().all()
    assert bins.grad.abs().sum() > 0


def test_a_head_without_distributions_is_refused():
    batch = make_batch()
    output = single_model()(batch.features, batch.mask)
    criterion = Criterion(
        match_single, losses.giou_loss, terms={"distribution": Term(distribution_focal)}
    )
    with pytest.raises(ValueError, match="needs a head with distributions: head=distribution"):
        criterion(output, batch)


def test_every_parameter_gets_a_gradient_from_the_term_and_the_scores_alone():
    model, batch = distribution_model(), make_batch((60, 41), num_targets=(3, 1))
    criterion = Criterion(
        match_points, losses.giou_loss, span_weight=0.0, terms={"bins": Term(distribution_focal)}
    )
    found = criterion(model(batch.features, batch.mask), batch)
    assert found.terms["bins"] > 0
    found.total.backward()
    require_gradients(model)
