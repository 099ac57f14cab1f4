"""Points matched by place and by length."""

from dataclasses import replace

import pytest
import reference
import torch
from conftest import make_batch, points_model, random_spans, single_model

from spanloc import ops
from spanloc.matching import match_points
from spanloc.structures import Output


@pytest.mark.parametrize("seed", range(4))
def test_points_are_matched_as_by_the_reference(seed):
    batch = make_batch((90, 61, 40), num_targets=(6, 3, 0), seed=seed)
    output = points_model()(batch.features, batch.mask)
    index = match_points(output, batch)
    assert (index >= 0).sum() > 8
    for i in range(len(batch)):
        spans = batch.spans[i][batch.target_mask[i]].tolist()
        expected = reference.match_points(output.points.tolist(), spans, 1.5, 2.0, 4.0)
        expected = [
            j if valid else -1 for j, valid in zip(expected, output.mask[i].tolist(), strict=True)
        ]
        assert index[i].tolist() == expected


def test_every_span_of_at_least_a_stride_has_a_point():
    spans = random_spans(300, spread=200, least=2.0, most=60).float()
    points = ops.anchor_points([140, 70, 35], [2, 4, 8])
    batch = make_batch((280,), num_targets=(0,))
    for span in spans:
        one = replace(batch, spans=span[None, None], target_mask=torch.tensor([[True]]))
        none = torch.zeros(1, len(points), 2)
        output = Output(none, none, points, torch.ones(1, len(points), dtype=torch.bool))
        assert (match_points(output, one) >= 0).any(), span


def test_a_head_without_points_is_refused():
    batch = make_batch()
    output = single_model()(batch.features, batch.mask)
    with pytest.raises(ValueError, match="match_points needs a head with points"):
        match_points(output, batch)


def test_of_two_targets_that_want_a_point_the_shorter_gets_it():
    batch = make_batch((40,), num_targets=(2,))
    points = ops.anchor_points([10], [4])
    none = torch.zeros(1, 10, 2)
    output = Output(none, none, points, torch.ones(1, 10, dtype=torch.bool))
    spans = torch.tensor([[10.0, 30.0], [14.0, 22.0]])
    for order, shorter in (([0, 1], 1), ([1, 0], 0)):
        found = match_points(output, replace(batch, spans=spans[order][None]))
        # The point at 18, in the middle of the one and 2 from that of the other.
        assert found[0, 4] == shorter
        assert found[0, 5] == 1 - shorter
