"""Curves of starts and ends: how scores and spans heed them, and their loss."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import make_batch, small_model

from spanloc import Criterion, losses
from spanloc.decode.boundaries import at_boundaries
from spanloc.losses.terms import CellTerm, boundary_focal
from spanloc.matching import match_points
from spanloc.models import BoundaryHead
from spanloc.models.heads.boundary import NO_BOUNDARY
from spanloc.structures import Output
from spanloc.training.predicting import require_finite_output

NONE = -25.0


def output_of(spans, starts, ends, num_cells=8, stride=2.0):
    """One sequence; ``starts`` and ``ends`` give the logit of some cells, the others have none."""
    curves = torch.full((1, num_cells, 2), NONE)
    for side, cells in enumerate((starts, ends)):
        for cell, logit in cells.items():
            curves[0, cell, side] = logit
    spans = torch.tensor([spans])
    spans = torch.cat([spans, spans[:, :1].expand(1, num_cells - spans.shape[1], 2)], 1)
    points = torch.stack(
        [(torch.arange(num_cells) + 0.5) * stride, torch.full((num_cells,), stride)], -1
    )
    mask = torch.ones(1, num_cells, dtype=torch.bool)
    return Output(spans, torch.zeros(1, num_cells, 1), points, mask, {"boundaries": curves})


@pytest.mark.parametrize(
    ("span", "starts", "snap", "expected"),
    [
        # The middle of cell 1 is step 3, that of cell 5 is step 11.
        ([4.0, 10.0], {1: 5.0}, 0.5, [3.5, 10.5]),
        ([4.0, 10.0], {1: 5.0}, 1, [3.0, 11.0]),
        # Logit 0 is a chance of 1/2, log 3 one of 3/4: shares of 4/13 and 9/13.
        ([5.0, 12.0], {1: 0.0, 3: math.log(3)}, 1, [3 * 4 / 13 + 7 * 9 / 13, 11.0]),
        # Without a peak nearby an end stays, and hardly moves to one of a chance near 0.
        ([4.0, 10.0], {7: 5.0}, 1, [4.0, 11.0]),
        ([4.0, 10.0], {1: -5.0}, 1, [3.9571, 11.0]),
    ],
)
def test_ends_move_their_share_of_the_way_to_the_mean_of_the_peaks_nearby(
    span, starts, snap, expected
):
    output = output_of([span], starts, {5: 5.0})
    spans, _ = at_boundaries(output, weight=0, snap=snap)
    # A thousandth of the squared chances is kept for staying.
    torch.testing.assert_close(spans[0, 0], torch.tensor(expected), rtol=5e-4, atol=0)


def test_a_score_counts_the_chances_of_both_its_ends():
    output = output_of([[4.0, 10.0]], {1: 0.0}, {5: math.log(3)})
    _, scores = at_boundaries(output, weight=0.5, snap=0)
    assert scores[0, 0, 0].item() == pytest.approx(0.5 * (0.5 * 0.75) ** 0.25)


def test_without_weight_and_snap_nothing_changes():
    output = output_of([[4.0, 10.0]], {1: 5.0}, {5: 5.0})
    spans, scores = at_boundaries(output, weight=0, snap=0)
    assert torch.equal(spans, output.spans)
    assert torch.equal(scores, output.logits.sigmoid())


def test_curves_of_the_padding_are_not_read():
    model, _ = model_and_criterion()
    batch = make_batch((40, 20), num_targets=(2, 1))
    output = model(batch.features, batch.mask)
    assert (output.extra["boundaries"][1, 10:] == NO_BOUNDARY).all()
    assert (output.extra["boundaries"][1, :10] > NO_BOUNDARY + 1).all()


def test_an_end_outside_the_sequence_is_read_at_its_border():
    outside = output_of([[-3.0, 10.0]], {0: 2.0}, {5: 2.0})
    spans, scores = at_boundaries(outside, weight=1, snap=1)
    border = output_of([[0.0, 10.0]], {0: 2.0}, {5: 2.0})
    assert scores[0, 0] == at_boundaries(border, weight=1, snap=1)[1][0, 0] > 0.3
    assert spans[0, 0, 0] == -3


def test_an_end_too_far_from_its_point_is_left_as_it_is():
    # The point of the first prediction is at step 1; boundaries are looked up 8 strides away.
    output = output_of([[1.0, 18.0]], {0: 5.0}, {9: 5.0}, num_cells=12)
    spans, scores = at_boundaries(output, weight=1, snap=1)
    assert spans[0, 0, 1] == 18
    assert scores[0, 0, 0].item() == pytest.approx(0.5 / (1 + math.exp(-5)) ** 0.5, rel=1e-3)


def test_curves_that_are_not_finite_are_named():
    model, _ = model_and_criterion()
    batch = make_batch((40, 20))
    with torch.no_grad():
        model.head.boundary.bias.fill_(torch.nan)
    with pytest.raises(
        FloatingPointError, match="not finite for the sequences sequence-0, sequence-1"
    ):
        require_finite_output(model(batch.features, batch.mask), batch)


def test_the_distance_is_to_the_nearest_boundary_of_many():
    batch = make_batch((400,), num_targets=(30,))
    output = output_of([[4.0, 10.0]], {}, {}, num_cells=200)
    logits = torch.zeros(1, 200, 2)
    value = boundary_focal(replace(output, extra={"boundaries": logits}), batch)
    away = (output.points[:, 0, None, None] - batch.spans[0]).abs().amin(1) / 2
    wanted = torch.exp(-0.5 * away**2)
    expected = (0.5 - wanted) ** 2 * math.log(2)
    torch.testing.assert_close(value[0], expected.sum(-1))


def test_a_span_is_not_turned_round():
    output = output_of([[6.0, 6.5]], {4: 5.0}, {2: 5.0})
    spans, _ = at_boundaries(output, weight=0, snap=1)
    assert (spans[..., 0] <= spans[..., 1]).all()


def loss_of(logit, wanted):
    chance = 1 / (1 + math.exp(-logit))
    cross = -(wanted * math.log(chance) + (1 - wanted) * math.log(1 - chance))
    return (chance - wanted) ** 2 * cross


def test_the_loss_wants_a_peak_at_each_boundary():
    batch = make_batch((16,), num_targets=(1,))
    batch = replace(batch, spans=torch.tensor([[[3.0, 12.0]]]))
    output = output_of([[4.0, 10.0]], {1: 0.0}, {5: 0.0})
    value = boundary_focal(output, batch)
    # A start in the middle of cell 1; an end half a cell from the middles of cells 5 and 6.
    assert value[0, 1].item() == pytest.approx(
        loss_of(0, 1) + loss_of(NONE, math.exp(-8)), rel=1e-4
    )
    assert value[0, 5].item() == pytest.approx(
        loss_of(NONE, math.exp(-8)) + loss_of(0, math.exp(-1 / 8)), rel=1e-4
    )


def model_and_criterion():
    torch.manual_seed(0)
    terms = {"boundaries": CellTerm(boundary_focal, weight=0.5)}
    return small_model(BoundaryHead), Criterion(match_points, losses.giou_loss, terms=terms)


def curve_gradient(model, criterion, batch):
    output = model(batch.features, batch.mask)
    (gradient,) = torch.autograd.grad(criterion(output, batch).total, output.extra["boundaries"])
    return gradient


def test_padding_and_ignored_cells_have_no_loss():
    model, criterion = model_and_criterion()
    batch = make_batch((40, 20), num_targets=(2, 1))
    ignored = torch.tensor([[[10.0, 30.0]], [[0.0, 0.0]]])
    gradient = curve_gradient(model, criterion, replace(batch, ignored=ignored))
    assert (gradient[0, 5:15] == 0).all()
    assert (gradient[0, :5] != 0).all()
    assert (gradient[1, 10:] == 0).all()


def test_a_sequence_counts_by_its_weight():
    model, criterion = model_and_criterion()
    batch = make_batch((40, 40), num_targets=(2, 2))
    gradient = curve_gradient(model, criterion, replace(batch, weights=torch.tensor([1.0, 0.0])))
    assert (gradient[0] != 0).any()
    assert (gradient[1] == 0).all()


def test_a_batch_without_targets_has_a_finite_loss():
    model, criterion = model_and_criterion()
    batch = make_batch((40,), num_targets=(0,))
    assert criterion(model(batch.features, batch.mask), batch).total.isfinite()


def test_curves_that_no_term_trains_are_refused():
    model, _ = model_and_criterion()
    batch = make_batch((40,), num_targets=(1,))
    with pytest.raises(ValueError, match="no term trains the head's curves of boundaries"):
        Criterion(match_points, losses.giou_loss)(model(batch.features, batch.mask), batch)


def test_other_heads_are_refused():
    output = replace(output_of([[4.0, 10.0]], {}, {}), extra={})
    with pytest.raises(ValueError, match="head=boundary"):
        boundary_focal(output, make_batch((16,), num_targets=(1,)))
    with pytest.raises(ValueError, match="sigma is 0; it must be above 0"):
        boundary_focal(
            output_of([[4.0, 10.0]], {}, {}), make_batch((16,), num_targets=(1,)), sigma=0
        )
