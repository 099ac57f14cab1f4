"""Criterion, its named terms, and decode."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from conftest import (
    HINTS_OF_LIGHTNING,
    TheirData,
    make_batch,
    points_model,
    query_model,
    single_model,
    their_trainer,
    unchecked,
)

from spanloc import Criterion, Decode, SpanLocalizer, Term, losses, ops
from spanloc.convergence import measure
from spanloc.losses.terms import distribution_focal
from spanloc.matching import match_hungarian, match_points, match_single
from spanloc.models import ConvBackbone, DistributionHead, Localizer, PyramidNeck
from spanloc.structures import Output

MODELS = {
    "points": (points_model, match_points),
    "single": (single_model, match_single),
    "queries": (query_model, match_hungarian),
}
every_model = pytest.mark.parametrize(("model", "assign"), MODELS.values(), ids=MODELS)


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
    for act, kind in (
        (lambda pred: pred.detach().numpy(), "ndarray"),
        (lambda pred: None, "NoneType"),
    ):
        other = Criterion(match_single, lambda pred, target, act=act: act(pred.sum(-1)))
        with (
            unchecked(),
            pytest.raises(
                ValueError, match=rf"the span loss gave a {kind}; wanted a tensor \(1,\)"
            ),
        ):
            other(output, batch)


def test_most_points_start_as_background():
    batch = make_batch((200,), num_targets=(0,))
    scores = points_model()(batch.features, batch.mask).logits.sigmoid()
    assert 0.003 < scores.mean() < 0.03


def squared_start(output, pairs):
    assert output.spans[pairs.sequence, pairs.prediction].equal(pairs.pred)
    return (pairs.pred[:, 0] - pairs.target[:, 0]) ** 2


def distribution_model():
    return Localizer(
        ConvBackbone(3, stride=2, width=8, num_blocks=1),
        PyramidNeck(3, width=8, num_blocks=1),
        DistributionHead(2, width=8, num_layers=1),
    )


@pytest.fixture
def batch():
    return make_batch((60, 41), num_targets=(3, 2))


def test_a_term_enters_the_total_by_its_weight_over_the_pairs(batch):
    output = points_model()(batch.features, batch.mask)
    plain = Criterion(match_points, losses.giou_loss)(output, batch)
    more = Criterion(match_points, losses.giou_loss, terms={"start": Term(squared_start, 0.5)})
    found = more(output, batch)
    errors = (found.pred[:, 0] - found.target[:, 0]) ** 2
    assert list(found.terms) == ["span", "score", "start"]
    torch.testing.assert_close(found.terms["start"], errors.mean())
    torch.testing.assert_close(found.total, plain.total + 0.5 * errors.mean())


def test_a_term_counts_pairs_as_their_sequences_weigh(batch):
    output = points_model()(batch.features, batch.mask)
    heavy = replace(batch, weights=torch.tensor([3.0, 1.0]))
    criterion = Criterion(match_points, losses.giou_loss, terms={"start": Term(squared_start)})
    sums = criterion.sums(output, heavy)
    pairs = sums.pairs[0]
    weights = heavy.weights[pairs.sequence]
    torch.testing.assert_close(sums.terms["start"], (weights * squared_start(output, pairs)).sum())


def test_earlier_layers_add_to_every_term_but_not_to_the_number(batch):
    torch.manual_seed(0)
    first, last = (points_model()(batch.features, batch.mask) for _ in range(2))
    criterion = Criterion(match_points, losses.giou_loss, momentum=0.0)
    one, two = (criterion.sums(o, batch) for o in (first, last))
    both = criterion.sums(replace(last, earlier=(first,)), batch)
    for name in ("span", "score"):
        torch.testing.assert_close(both.terms[name], one.terms[name] + two.terms[name])
    assert both.num_pairs == two.num_pairs
    torch.testing.assert_close(both.span(losses.giou_loss), both.terms["span"])
    total = criterion(replace(last, earlier=(first,)), batch)
    torch.testing.assert_close(total.pred, two.pairs[0].pred.detach())


def test_scores_that_an_earlier_layer_shares_are_trained_once(batch):
    first, last = (points_model()(batch.features, batch.mask) for _ in range(2))
    criterion = Criterion(match_points, losses.giou_loss)
    one = criterion.sums(replace(first, logits=last.logits), batch)
    two = criterion.sums(last, batch)
    both = criterion.sums(replace(last, earlier=(replace(first, logits=last.logits),)), batch)
    torch.testing.assert_close(both.terms["score"], two.terms["score"])
    torch.testing.assert_close(both.terms["span"], one.terms["span"] + two.terms["span"])


def test_score_targets_are_the_overlaps_of_the_matched_spans(batch):
    output = points_model()(batch.features, batch.mask)
    seen = {}

    def remember(logits, targets):
        seen["targets"] = targets
        return losses.quality_focal_loss(logits, targets)

    criterion = Criterion(match_points, losses.giou_loss, remember, score_target="tiou")
    pairs = criterion.sums(output, batch).pairs[0]
    found = seen["targets"][pairs.sequence, pairs.prediction]
    torch.testing.assert_close(found.sum(-1), ops.tiou(pairs.pred.detach(), pairs.target))
    assert not found.requires_grad
    assert seen["targets"].sum() == pytest.approx(found.sum().item())


def test_a_loss_for_soft_targets_gets_them_and_focal_loss_never():
    soft = partial(losses.quality_focal_loss, beta=1.0)
    assert Criterion(match_points, losses.giou_loss, soft).score_target == "tiou"
    assert Criterion(match_points, losses.giou_loss, soft, score_target="one").score_target == "one"
    assert Criterion(match_points, losses.giou_loss).score_target == "one"
    with pytest.raises(ValueError, match="which the focal loss is not for"):
        Criterion(match_points, losses.giou_loss, score_target="tiou")


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"span": Term(squared_start)}, "terms has 'span', which the criterion has itself"),
        ({"a": Term(squared_start, -1.0)}, "terms.a.weight is -1.0; it must be a number"),
    ],
)
def test_terms_that_cannot_be_are_refused(terms, message):
    with pytest.raises(ValueError, match=message):
        Criterion(match_points, losses.giou_loss, terms=terms)


def test_a_term_that_reduces_is_refused(batch):
    mean = Term(lambda output, pairs: squared_start(output, pairs).mean())
    criterion = Criterion(match_points, losses.giou_loss, terms={"mine": mean, "none": None})
    with pytest.raises(ValueError, match=r"the mine loss gave the shape \(\) for \d+ pairs"):
        criterion(points_model()(batch.features, batch.mask), batch)


@HINTS_OF_LIGHTNING
def test_the_measurement_has_every_term_of_the_training():
    data = TheirData([1, 3], count=8)
    torch.manual_seed(0)
    terms = {"distribution": Term(distribution_focal, 0.25)}
    criterion = Criterion(match_points, losses.giou_loss, terms=terms, momentum=0.0)
    task = SpanLocalizer(distribution_model(), criterion)
    trainer = their_trainer(max_steps=2)
    trainer.fit(task, data)
    assert "train/loss_distribution" in trainer.callback_metrics
    found = measure(task, criterion, data.train_dataloader(), {"giou": losses.giou_loss})
    task.zero_grad()
    (batch,) = data.train_dataloader()
    losses_found = criterion(task(batch.features, batch.mask), batch)
    losses_found.total.backward()
    assert found.norms["giou"].total == pytest.approx(losses_found.total.item(), rel=1e-5)
    norm = torch.cat([p.grad.flatten() for p in task.parameters() if p.grad is not None]).norm()
    assert found.norms["giou"].grad_total == pytest.approx(norm.item(), rel=1e-4)


def test_the_measured_total_has_the_earlier_layers_of_the_training(batch):
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = points_model()

        def forward(self, features, mask):
            output = self.model(features, mask)
            return replace(output, earlier=(replace(output, spans=output.spans * 1.1),))

    criterion, model = Criterion(match_points, losses.giou_loss), Twice()
    found = measure(model, criterion, [batch], {"giou": losses.giou_loss}).norms["giou"]
    total = criterion.eval()(model(batch.features, batch.mask), batch).total
    assert found.total == pytest.approx(total.item(), rel=1e-5)
