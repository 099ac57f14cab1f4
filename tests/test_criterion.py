"""Criterion and decode."""

from functools import partial

import pytest
import torch
from conftest import make_batch, points_model, query_model, single_model, unchecked

from spanloc import Criterion, Decode, losses, ops
from spanloc.matching import match_hungarian, match_points, match_single
from spanloc.structures import Output

MODELS = {
    "points": (points_model, match_points),
    "single": (single_model, match_single),
    "queries": (query_model, match_hungarian),
}
every_model = pytest.mark.parametrize(("model", "assign"), MODELS.values(), ids=MODELS)


def output_at(spans, logits, points=None):
    mask = torch.ones(spans.shape[:2], dtype=torch.bool)
    return Output(spans, logits, points, mask)


@every_model
def test_criterion_by_hand(model, assign):
    batch = make_batch((60, 41), num_targets=(3, 1))
    output = model()(batch.features, batch.mask)
    criterion = Criterion(assign, losses.giou_loss, losses.focal_loss, span_weight=2.0)
    found = criterion(output, batch)
    spans, scores = [], 0.0
    for layer in (output, *output.earlier):
        index = assign(layer, batch)
        spans.append(torch.zeros(()))
        for i in range(len(batch)):
            for p in range(index.shape[1]):
                target = int(index[i, p])
                wanted = torch.zeros(2)
                if target >= 0:
                    wanted[batch.labels[i, target]] = 1
                    spans[-1] = spans[-1] + losses.giou_loss(
                        layer.spans[i, p], batch.spans[i, target]
                    )
                if layer.mask[i, p]:
                    scores += losses.focal_loss(layer.logits[i, p], wanted).sum()
    # The pairs are those of the last layer.
    count = int((assign(output, batch) >= 0).sum())
    assert count == len(found.pred) > 0
    torch.testing.assert_close(found.terms["span"], (spans[0] / count).detach())
    spans = torch.stack(spans).sum()
    torch.testing.assert_close(found.terms["score"], (scores / count).detach())
    torch.testing.assert_close(found.total, 2 * spans / count + scores / count)
    assert not found.pred.requires_grad


def test_the_normaliser_is_a_buffer_that_only_training_moves():
    criterion = Criterion(match_points, losses.giou_loss, momentum=0.5)
    model = points_model()
    counts = []
    for seed in range(2):
        batch = make_batch((60, 41), num_targets=(5, 1), seed=seed)
        output = model(batch.features, batch.mask)
        found = criterion(output, batch)
        counts.append(int((match_points(output, batch) >= 0).sum()))
    assert criterion.normaliser.item() == sum(counts) / 2
    criterion.eval()
    own = criterion(output, batch)
    assert criterion.state_dict()["normaliser"].item() == sum(counts) / 2
    # While evaluating it is the batch's own number, whatever the steps of the training were.
    torch.testing.assert_close(own.total * counts[1], found.total * sum(counts) / 2)


@every_model
@pytest.mark.parametrize("lengths", [(60, 41), (1, 1), (3, 2)])
def test_no_targets_and_shorter_than_a_stride_have_a_finite_loss(model, assign, lengths):
    batch, net = make_batch(lengths, num_targets=(0, 0)), model()
    criterion = Criterion(assign, losses.diou_loss)
    found = criterion(net(batch.features, batch.mask), batch)
    found.total.backward()
    assert found.total.isfinite()
    assert found.terms["span"] == 0
    assert len(found.pred) == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_decode_ranks_cuts_clamps_and_suppresses():
    spans = torch.tensor([[[-3.0, 5.0], [0.0, 5.5], [8.0, 30.0]]] * 2)
    logits = torch.tensor([[[2.0, -9.0], [1.0, -9.0], [0.0, 3.0]]] * 2)
    output = Output(spans, logits, None, torch.tensor([[True, True, True], [True, False, False]]))
    batch = make_batch((20, 20), num_targets=(0, 0))
    found = Decode(min_score=0.1)(output, batch)
    assert found.places.tolist() == [0, 0, 0, 0, 1]
    assert found.ids == batch.ids
    assert found.unit == "steps"
    assert found.labels.tolist() == [1, 0, 0, 0, 0]
    assert found.spans.tolist() == [[8, 20], [0, 5], [0, 5.5], [8, 20], [0, 5]]
    torch.testing.assert_close(found.scores[:2], torch.tensor([3.0, 2.0]).sigmoid())
    hard = Decode(min_score=0.1, suppress=partial(ops.nms, threshold=0.5))(output, batch)
    assert hard.spans.tolist() == [[8, 20], [0, 5], [8, 20], [0, 5]]
    assert len(Decode(min_score=0.1, max_predictions=1)(output, batch).scores) == 2
    assert len(Decode(min_score=0.1, max_candidates=2)(output, batch).scores) == 3
    assert len(Decode(min_score=0.999)(output, batch).scores) == 0


def test_what_does_not_go_together_is_said():
    batch = make_batch()
    output = single_model()(batch.features, batch.mask)
    with pytest.raises(ValueError, match="features have 3 channels; the model takes 5"):
        single_model(num_channels=5)(batch.features, batch.mask)
    with unchecked(), pytest.raises(ValueError, match="span_loss is 'giou'; wanted a function"):
        Criterion(match_single, "giou")
    with pytest.raises(
        ValueError, match=r"matcher is a span loss; wanted Criterion\(matcher, span_"
    ):
        Criterion(partial(losses.giou_loss, eps=1e-3), match_single)
    reduced = Criterion(match_single, lambda pred, target: losses.iou_loss(pred, target).mean())
    with pytest.raises(ValueError, match=r"the span loss gave the shape \(\) for 1 pairs"):
        reduced(output, batch)


def test_most_points_start_as_background():
    batch = make_batch((200,), num_targets=(0,))
    scores = points_model()(batch.features, batch.mask).logits.sigmoid()
    assert 0.003 < scores.mean() < 0.03
