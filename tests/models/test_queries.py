"""Queries: what they look at, what they learn, and that they can be exported."""

import pytest
import torch
from conftest import make_batch, query_model, unchecked

from spanloc import Criterion, losses, ops
from spanloc.data import SyntheticSequences
from spanloc.matching import match_hungarian
from spanloc.models import QueryHead
from spanloc.structures import collate


def test_queries_begin_all_over_the_sequence():
    model, batch = query_model(num_queries=20), make_batch((200,), num_targets=(0,))
    middles = model(batch.features, batch.mask).spans[0].mean(-1).sort().values
    assert middles[0] < 20
    assert middles[-1] > 180
    assert middles.diff().max() < 30


def test_layers_are_in_the_output_and_each_refines_the_one_before():
    model, batch = query_model(), make_batch((90, 61))
    output = model(batch.features, batch.mask)
    assert len(output.earlier) == 1
    torch.testing.assert_close(output.spans, output.earlier[0].spans, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        model.head.shifts[1][1].bias += torch.tensor([0.5, 0.0])
    moved = model(batch.features, batch.mask)
    assert torch.equal(moved.earlier[0].spans, output.earlier[0].spans)
    assert (moved.spans.mean(-1) > output.spans.mean(-1)).all()
    torch.testing.assert_close(ops.length(moved.spans), ops.length(output.spans))


def test_a_layer_does_not_train_the_references_of_the_next():
    model, batch = query_model(), make_batch((90,), num_targets=(1,))
    model(batch.features, batch.mask).spans.sum().backward()
    assert model.head.shifts[0][1].bias.grad is None
    assert model.head.shifts[1][1].bias.grad.abs().sum() > 0


def test_few_steps_teach_queries_where_spans_are():
    torch.manual_seed(0)
    data = SyntheticSequences(
        64, num_spans=[1, 3], num_channels=3, num_classes=2, length=128, span_length=[16, 40],
        num_distractors=0, noise=0.1,
    )  # fmt: skip
    batches = [collate([data[i + j] for j in range(16)]) for i in range(0, 64, 16)]
    model = query_model(width=16)
    criterion = Criterion(match_hungarian, losses.diou_loss)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    tious = []
    with unchecked():
        for batch in 15 * batches:
            found = criterion(model(batch.features, batch.mask), batch)
            optimizer.zero_grad()
            found.total.backward()
            optimizer.step()
            tious.append(float(ops.tiou(found.pred, found.target).mean()))
    assert tious[0] < 0.5
    assert min(tious[-4:]) > 0.7, tious


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10, "num_heads": 4}, "width is 10; it must be a multiple of num_heads, 4"),
        ({"num_queries": 0}, "num_queries is 0"),
        ({"num_layers": 0}, "num_layers is 0"),
    ],
)
def test_sizes_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        QueryHead(2, 2, **options)
