"""One prediction for each target, at the lowest total cost."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from conftest import make_batch, query_model

from spanloc.matching import match_hungarian
from spanloc.structures import Output


def outputs(batch, count, *, seed=0, num_labels=2):
    """Random predictions in the sequences of a batch."""
    random = torch.Generator().manual_seed(seed)
    ends = torch.rand(len(batch), count, 2, generator=random) * batch.mask.sum(1)[:, None, None]
    logits = 3 * torch.randn(len(batch), count, num_labels, generator=random)
    mask = torch.rand(len(batch), count, generator=random) < 0.8
    mask[:, 0] = True
    return Output(ends.sort(-1).values, logits, None, mask)


def cost_of(output, batch, i, prediction, target):
    """The cost of a pair in plain numbers."""
    pred, true = output.spans[i, prediction].tolist(), batch.spans[i, target].tolist()
    steps = int(batch.mask[i].sum())
    inner = min(pred[1], true[1]) - max(pred[0], true[0])
    outer = max(pred[1], true[1]) - min(pred[0], true[0])
    union = pred[1] - pred[0] + true[1] - true[0] - max(inner, 0)
    giou = max(inner, 0) / union - (outer - union) / outer
    score, label = 0.0, int(batch.labels[i, target])
    if label >= 0:
        p = output.logits[i, prediction, label].double().sigmoid().item()
        right = 0.25 * (1 - p) ** 2 * -torch.tensor(p).log().item()
        score = right - 0.75 * p**2 * -torch.tensor(1 - p).log().item()
    distance = abs(pred[0] - true[0]) + abs(pred[1] - true[1])
    return 2 * score + 5 * distance / steps + 2 * (1 - giou)


def cheapest(output, batch, i):
    """The index of a sequence, found by looking at all pairings."""
    predictions = output.mask[i].nonzero()[:, 0].tolist()
    targets = batch.target_mask[i].nonzero()[:, 0].tolist()
    costs = {(p, t): cost_of(output, batch, i, p, t) for p in predictions for t in targets}
    few = min(len(predictions), len(targets))
    pairings = (
        list(zip(some, others, strict=True))
        for some in permutations(predictions, few)
        for others in (permutations(targets, few) if few < len(targets) else [targets])
    )
    best = min(pairings, key=lambda pairs: sum(costs[pair] for pair in pairs))
    found = dict(best)
    return [found.get(p, -1) for p in range(output.mask.shape[1])]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("num_targets", "count"), [((3, 2, 0), 5), ((4, 1, 5), 3)])
def test_no_other_pairing_costs_less(seed, num_targets, count):
    batch = make_batch((90, 61, 40), num_targets=num_targets, seed=seed)
    batch = replace(batch, labels=torch.where(batch.spans[..., 0] > 20, batch.labels, -1))
    output = outputs(batch, count, seed=seed)
    index = match_hungarian(output, batch)
    for i in range(len(batch)):
        assert index[i].tolist() == cheapest(output, batch, i)


def test_each_target_has_one_prediction_as_far_as_there_are_predictions():
    batch = make_batch((90, 61), num_targets=(20, 3))
    index = match_hungarian(query_model()(batch.features, batch.mask), batch)
    assert sorted(index[0].tolist()) == sorted(set(index[0].tolist()))
    assert (index[0] >= 0).all()  # 12 queries for 20 targets
    assert sorted(index[1][index[1] >= 0].tolist()) == [0, 1, 2]


def test_scores_decide_between_equal_spans_unless_the_label_is_not_known():
    batch = make_batch((40,), num_targets=(1,))
    batch = replace(batch, spans=torch.tensor([[[5.0, 15.0]]]), labels=torch.tensor([[1]]))
    spans = torch.tensor([[[5.0, 15.0], [5.0, 15.0], [5.0, 15.1]]])
    logits = torch.tensor([[[9.0, -2.0], [-9.0, 2.0], [-9.0, 1.9]]])
    output = Output(spans, logits, None, torch.ones(1, 3, dtype=torch.bool))
    assert match_hungarian(output, batch).tolist() == [[-1, 0, -1]]
    assert match_hungarian(output, batch, score_weight=0.0)[0, 2] == -1
    unknown = replace(batch, labels=torch.tensor([[-1]]))
    turned = replace(output, spans=spans.flip(1))
    assert match_hungarian(turned, unknown)[0, 0] == -1
    assert match_hungarian(turned, unknown).max() == 0


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_values_that_are_not_finite_are_matched_to_something(value):
    batch = make_batch((90, 61), num_targets=(3, 2))
    output = outputs(batch, 6)
    output.mask[:] = True
    output.spans[0, 1:5] = value
    output.logits[1, 2:] = value
    index = match_hungarian(output, batch)
    assert (index >= 0).sum(1).tolist() == [3, 2]


@pytest.mark.parametrize("name", ["score_weight", "l1_weight", "giou_weight"])
def test_costs_below_nothing_are_refused(name):
    batch = make_batch((40,), num_targets=(2,))
    with pytest.raises(ValueError, match=f"{name} is -1.0; it must be at least 0"):
        match_hungarian(outputs(batch, 5), batch, **{name: -1.0})
