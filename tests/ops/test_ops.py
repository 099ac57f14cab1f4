import math

import numpy as np
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


def test_offsets_round_trip_and_order():
    points = ops.anchor_points([5, 3, 2], [2, 4, 8])
    spans = random_spans(len(points)).float()
    offsets = ops.encode_offsets(spans, points)
    torch.testing.assert_close(ops.decode_offsets(offsets, points), spans)
    decoded = ops.decode_offsets(offsets.abs(), points)
    assert (decoded[:, 0] <= decoded[:, 1]).all()


def suppression_case(count=150, seed=0):
    spans = random_spans(count, seed=seed, spread=40)
    random = torch.Generator().manual_seed(seed)
    # Few distinct scores: ties everywhere.
    scores = torch.randint(1, 12, (count,), generator=random).double() / 12
    labels = torch.randint(3, (count,), generator=random)
    return spans, scores, labels


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_nms_is_the_reference(threshold, seed):
    spans, scores, labels = suppression_case(seed=seed)
    index, values = ops.nms(spans, scores, labels, threshold=threshold)
    expected = reference.nms(spans.tolist(), scores.tolist(), labels.tolist(), threshold)
    assert index.tolist() == expected
    assert values.tolist() == scores[index].tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decay", ["gaussian", "linear"])
def test_soft_nms_is_the_eager_reference(decay, seed):
    spans, scores, labels = suppression_case(seed=seed)
    rules = {
        "gaussian": lambda tiou: float(np.exp(-tiou * tiou / 0.4)),
        "linear": lambda tiou: 1 - tiou if tiou > 0.3 else 1.0,
    }
    index, values = ops.soft_nms(
        spans, scores, labels, decay=decay, sigma=0.4, threshold=0.3, min_score=0.05
    )
    expected = reference.soft_nms(
        spans.tolist(), scores.tolist(), labels.tolist(), rules[decay], 0.05
    )
    assert index.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(values.numpy(), [score for _, score in expected], rtol=1e-12)


@pytest.mark.parametrize("suppress", [ops.nms, ops.soft_nms])
def test_suppression_caps_and_nothing(suppress):
    spans, scores, labels = suppression_case()
    index, _ = suppress(spans, scores, labels, max_per_label=4)
    assert torch.bincount(labels[index]).tolist() == [4, 4, 4]
    whole, _ = suppress(spans, scores, labels)
    capped, _ = suppress(spans, scores, labels, max_total=7)
    assert capped.tolist() == whole[:7].tolist()
    index, values = suppress(spans[:0], scores[:0], labels[:0])
    assert len(index) == len(values) == 0


def test_suppression_without_labels_is_one_label():
    spans, scores, labels = suppression_case()
    for suppress in (ops.nms, ops.soft_nms):
        alone = suppress(spans, scores)[0]
        assert alone.tolist() == suppress(spans, scores, torch.zeros_like(labels))[0].tolist()


def test_a_prediction_falls_back_to_the_next_best_free_target():
    targets = np.array([[0.0, 10.0], [2.0, 12.0]])
    spans = np.array([[0.0, 10.0], [0.5, 10.5], [1.0, 11.0]])
    groups = np.zeros(3, np.int64)
    found = ops.match_ranked(
        spans, groups, targets, np.array([0, 2]), np.arange(2), np.array([0.5])
    )
    assert found[:, 0].tolist() == [0, 1, -1]
