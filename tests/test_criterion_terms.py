"""Named terms of the total: what a head brings, and outputs of earlier layers."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from conftest import HINTS_OF_LIGHTNING, TheirData, make_batch, points_model, their_trainer

from spanloc import Criterion, SpanLocalizer, Term, losses
from spanloc.convergence import measure
from spanloc.losses.terms import distribution_focal
from spanloc.matching import match_points
from spanloc.models import ConvBackbone, DistributionHead, Localizer, PyramidNeck
from spanloc.ops import tiou


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
    torch.testing.assert_close(found.sum(-1), tiou(pairs.pred.detach(), pairs.target))
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
