"""Lengths, overlaps, temporal IoU and offsets."""

import math

import pytest
import reference
import torch
from conftest import random_spans

from spanloc import ops


def test_tiou_is_the_reference_for_pairs_and_tables():
    a, b = random_spans(30), random_spans(40, seed=1)
    table = ops.tiou(a[:, None], b)
    expected = [[reference.tiou(x, y) for y in b.tolist()] for x in a.tolist()]
    torch.testing.assert_close(table, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(ops.tiou(a, b[:30]), table[:, :30].diagonal())


def test_tiou_of_identical_touching_empty_and_reversed_spans():
    a = torch.tensor([[0.0, 4.0], [0.0, 4.0], [3.0, 3.0], [5.0, 1.0], [2.0, 2.0]])
    b = torch.tensor([[0.0, 4.0], [4.0, 6.0], [3.0, 3.0], [0.0, 6.0], [0.0, 4.0]])
    assert ops.tiou(a, b).tolist() == [1, 0, 0, 0, 0]


def test_one_dimensional_identities():
    a, b = random_spans(500), random_spans(500, seed=1)
    error = (a - b).abs().sum(-1)
    both = ops.length(a) + ops.length(b)
    torch.testing.assert_close(ops.overlap(a, b), (both - error) / 2)
    torch.testing.assert_close(ops.hull(a, b), (both + error) / 2)


def test_half_open_makes_the_plus_one_formulas_ours():
    a = torch.tensor([[5, 5], [2, 4]])
    b = torch.tensor([[3, 6], [4, 9]])
    inclusive = torch.minimum(a[:, 1], b[:, 1]) - torch.maximum(a[:, 0], b[:, 0]) + 1
    ours = ops.overlap(ops.half_open(a).double(), ops.half_open(b).double())
    assert ours.tolist() == inclusive.tolist()
    assert ops.length(ops.half_open(a)).tolist() == [1, 3]


@pytest.mark.parametrize(
    ("ties", "shares"), [("split", (0.5, 0.5)), ("first", (1.0, 0.0)), ("second", (0.0, 1.0))]
)
@pytest.mark.parametrize("function", [ops.overlap, ops.hull])
def test_ties_go_where_the_rule_says(function, ties, shares):
    a = torch.tensor([[1.0, 3.0]], requires_grad=True)
    b = torch.tensor([[1.0, 3.0]], requires_grad=True)
    value = function(a, b, ties=ties)
    assert value.item() == 2
    value.sum().backward()
    assert a.grad.tolist() == [[-shares[0], shares[0]]]
    assert b.grad.tolist() == [[-shares[1], shares[1]]]


def test_a_nan_stays_one_under_every_tie_rule():
    for ties in ("split", "first", "second"):
        for a, b in ((math.nan, 1.0), (1.0, math.nan)):
            value = ops.overlap(torch.tensor([[0.0, a]]), torch.tensor([[0.0, b]]), ties=ties)
            assert value.isnan().all()


def test_a_public_name_is_the_function_also_after_its_module_was_imported():
    # A module beside it of the same name would take its place.
    for name in ops.__all__:
        assert callable(getattr(ops, name)), name


def test_offsets_round_trip_and_order():
    points = ops.anchor_points([5, 3, 2], [2, 4, 8])
    spans = random_spans(len(points)).float()
    offsets = ops.encode_offsets(spans, points)
    torch.testing.assert_close(ops.decode_offsets(offsets, points), spans)
    decoded = ops.decode_offsets(offsets.abs(), points)
    assert (decoded[:, 0] <= decoded[:, 1]).all()
