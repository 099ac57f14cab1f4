"""Suppression: slow loops, caps, and nothing."""

import numpy as np
import pytest
import reference
import torch
from conftest import random_spans

from spanloc import ops


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
    rows = (spans.tolist(), scores.tolist(), labels.tolist())
    assert_same(index, values, reference.soft_nms(*rows, rules[decay], 0.05))


def assert_same(index, values, expected):
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


@pytest.mark.parametrize("suppress", [ops.nms, ops.soft_nms])
def test_suppression_without_labels_is_one_label(suppress):
    spans, scores, labels = suppression_case()
    same = suppress(spans, scores, torch.zeros_like(labels))[0]
    assert suppress(spans, scores)[0].tolist() == same.tolist()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_suppression_of_spans_of_very_different_lengths_is_the_reference(scale):
    random = torch.Generator().manual_seed(0)
    count = 400
    starts = torch.rand(count, generator=random, dtype=torch.float64) * 50 - 25
    lengths = 10 ** (torch.rand(count, generator=random, dtype=torch.float64) * 6 - 4)
    lengths[:3] = torch.tensor([0.0, 1e3, 1e-9])
    spans = torch.stack([starts, starts + lengths], 1) * scale
    scores = torch.rand(count, generator=random, dtype=torch.float64)
    labels = torch.randint(2, (count,), generator=random)
    rows = (spans.tolist(), scores.tolist(), labels.tolist())
    found = ops.nms(spans, scores, labels, threshold=0.2)[0]
    assert found.tolist() == reference.nms(*rows, 0.2)
    expected = reference.soft_nms(*rows, lambda tiou: float(np.exp(-tiou * tiou / 0.4)), 1e-3)
    assert_same(*ops.soft_nms(spans, scores, labels, sigma=0.4), expected)
