"""Voting on boundaries: laws, a slow loop, and cases counted by hand."""

from functools import partial

import pytest
import torch
from scored_spans import scored_spans

from spanloc import ops

case = partial(scored_spans, 120, spread=25)


def slow_vote(span, label, voters, scores, labels, threshold):
    chosen = []
    for (start, end), score, other in zip(voters, scores, labels, strict=True):
        shared = min(end, span[1]) - max(start, span[0])
        if other == label and shared > 0:
            tiou = shared / (end - start + span[1] - span[0] - shared)
            if tiou >= threshold:
                chosen.append((start, end, score * tiou))
    total = sum(weight for _, _, weight in chosen)
    if not total:
        return list(span)
    return [sum(row[i] * row[2] for row in chosen) / total for i in (0, 1)]


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_vote_is_the_slow_loop(threshold, seed):
    spans, scores, labels = case(seed=seed)
    found = ops.vote(spans[:40], labels[:40], spans, scores, labels, threshold=threshold)
    rows = (spans.tolist(), scores.tolist(), labels.tolist())
    wanted = [
        slow_vote(span, label, *rows, threshold)
        for span, label in zip(spans[:40].tolist(), labels[:40].tolist(), strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_one_candidate_a_span_changes_nothing():
    spans = torch.tensor([[0.1, 3.7], [3.7, 9.3], [20.0, 20.0]])
    scores, labels = torch.tensor([0.9, 0.3, 0.5]), torch.tensor([0, 0, 0])
    assert torch.equal(ops.vote(spans, labels, spans, scores, labels, threshold=0.5), spans)


def test_voters_of_another_label_or_with_a_score_of_0_have_no_vote():
    spans = torch.tensor([[0.0, 10.0], [1.0, 10.0], [0.0, 9.0]])
    scores, labels = torch.tensor([0.9, 0.9, 0.0]), torch.tensor([0, 1, 0])
    assert torch.equal(ops.vote(spans[:1], labels[:1], spans, scores, labels), spans[:1])


def test_a_vote_weighs_score_and_tiou():
    voters = torch.tensor([[0.0, 10.0], [2.0, 10.0]], dtype=torch.float64)
    scores, labels = torch.tensor([0.5, 0.25], dtype=torch.float64), torch.tensor([0, 0])
    found = ops.vote(voters[:1], labels[:1], voters, scores, labels, threshold=0.8)
    # 2 * (0.25 * 0.8) / (0.5 + 0.25 * 0.8)
    assert found[0].tolist() == pytest.approx([0.4 / 0.7, 10.0])


@pytest.mark.parametrize("seed", range(3))
def test_the_result_lies_within_the_hull_of_the_voters_whatever_their_order(seed):
    spans, scores, labels = case(seed=seed)
    found = ops.vote(spans, labels, spans, scores, labels, threshold=0.4)
    for i in range(len(spans)):
        near = spans[(labels == labels[i]) & (ops.tiou(spans, spans[i : i + 1]) >= 0.4)]
        for k in (0, 1):
            assert near[:, k].min() <= found[i, k] <= near[:, k].max()
    assert (found[:, 0] <= found[:, 1]).all()
    assert (found != spans).any()
    order = torch.randperm(len(spans), generator=torch.Generator().manual_seed(seed))
    mixed = ops.vote(spans, labels, spans[order], scores[order], labels[order], threshold=0.4)
    torch.testing.assert_close(mixed, found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_a_vote_moves_with_the_spans(shift):
    spans, scores, labels = case()
    found = ops.vote(spans + shift, labels, spans + shift, scores, labels, threshold=0.5)
    wanted = ops.vote(spans, labels, spans, scores, labels, threshold=0.5)
    torch.testing.assert_close(found - shift, wanted, rtol=0, atol=1e-8)


def test_a_vote_on_nothing_or_by_nobody():
    spans, scores, labels = scored_spans(4)
    assert ops.vote(spans[:0], labels[:0], spans, scores, labels).shape == (0, 2)
    assert torch.equal(ops.vote(spans, labels, spans[:0], scores[:0], labels[:0]), spans)


@pytest.mark.parametrize("threshold", [0.0, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold):
    spans, scores, labels = scored_spans(4)
    with pytest.raises(ValueError, match=r"the tIoU of voters is .*; it must lie in \(0, 1\]"):
        ops.vote(spans, labels, spans, scores, labels, threshold=threshold)
