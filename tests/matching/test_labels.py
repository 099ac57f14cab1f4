"""Labels that a prediction is to have: those of every target with its span."""

from dataclasses import replace

import pytest
import torch

from spanloc.criterion import Criterion
from spanloc.losses import giou_loss
from spanloc.matching import match_points
from spanloc.matching.labels import labels_of_targets
from spanloc.structures import Output, Sample, collate


def batch_of(spans, labels):
    return collate([Sample("a", torch.zeros(1, 40), torch.tensor(spans), torch.tensor(labels))])


@pytest.mark.parametrize(
    ("end", "shared"), [(20.0, True), (19.1, True), (18.0, True), (17.9, False), (40.0, False)]
)
def test_targets_with_almost_the_same_span_have_the_labels_of_both(end, shared):
    found = labels_of_targets(batch_of([[0.0, 20.0], [0.0, end]], [0, 2]), 3)[0]
    both = [1, 0, 1]
    assert found.tolist() == ([both, both] if shared else [[1, 0, 0], [0, 0, 1]])


def test_labels_that_are_unknown_and_padding_add_nothing():
    first = Sample("a", torch.zeros(1, 40), torch.tensor([[0.0, 9.0]]), torch.tensor([1]))
    spans = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 9.0], [3.0, 9.0]])
    second = Sample("b", torch.zeros(1, 40), spans, torch.tensor([0, 1, -1, 1]))
    found = labels_of_targets(collate([first, second]), 2)
    assert found[0].tolist() == [[0, 1], [0, 0], [0, 0], [0, 0]]
    # Empty spans overlap nothing, but have their own label.
    assert found[1, 0, 0] == found[1, 1, 1] == 1
    assert found[1, 2:].tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("points", [True, False])
def test_a_point_learns_both_labels_of_an_event_and_a_query_its_own(points):
    batch = batch_of([[2.0, 6.0], [2.0, 6.0]], [0, 1])
    logits = torch.zeros(1, 40, 3, requires_grad=True)
    place = torch.arange(40.0) + 0.5
    output = Output(
        spans=torch.stack([place - 2, place + 2], -1)[None],
        logits=logits,
        mask=torch.ones(1, 40, dtype=torch.bool),
        points=torch.stack([place, torch.ones(40)], -1),
    )
    matcher = match_points

    def each_its_own(output, batch):
        index = torch.full((1, 40), -1)
        index[0, 3], index[0, 4] = 0, 1
        return index

    if not points:
        output = replace(output, points=None)
        matcher = each_its_own
    Criterion(matcher, giou_loss)(output, batch).total.backward()
    wanted = (logits.grad[0] < 0).long()
    both, first, second = [1, 1, 0], [1, 0, 0], [0, 1, 0]
    assert wanted[3:5].tolist() == ([both, both] if points else [first, second])
    assert not wanted[:, 2].any()
