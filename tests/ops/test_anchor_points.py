"""Anchor points and offsets."""

import torch
from conftest import random_spans

from spanloc import ops


def test_offsets_round_trip_and_order():
    points = ops.anchor_points([5, 3, 2], [2, 4, 8])
    spans = random_spans(len(points)).float()
    offsets = ops.encode_offsets(spans, points)
    torch.testing.assert_close(ops.decode_offsets(offsets, points), spans)
    decoded = ops.decode_offsets(offsets.abs(), points)
    assert (decoded[:, 0] <= decoded[:, 1]).all()
