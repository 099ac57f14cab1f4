"""Sets of spans that do not overlap, and gaps that are filled."""

import time
from functools import partial

import pytest
import torch
from scored_spans import scored_spans

from spanloc import ops

case = partial(scored_spans, num_labels=2)


def overlaps(spans):
    # Of those that begin together, the one without length first.
    spans = spans[spans[:, 1].argsort(stable=True)]
    spans = spans[spans[:, 0].argsort(stable=True)]
    return bool((spans[1:, 0] < spans[:-1, 1]).any())


@pytest.mark.parametrize("seed", range(12))
def test_the_best_span_stands_then_the_best_that_it_leaves_room_for(seed):
    spans, scores, _ = case(40, seed)
    if seed % 2:
        # Many ties, and spans that touch.
        spans, scores = spans.round(), (scores * 4).ceil() / 4
    wanted: list[int] = []
    for row in scores.argsort(descending=True, stable=True).tolist():
        if spans[row, 1] > spans[row, 0] and not overlaps(spans[[*wanted, row]]):
            wanted.append(row)
    index, kept = ops.exclusive(spans, scores)
    assert index.tolist() == sorted(wanted)
    assert torch.equal(kept, spans[index])


def test_one_good_span_stands_above_two_weak_ones():
    spans = torch.tensor([[0.0, 10.0], [0.0, 4.0], [5.0, 10.0]])
    assert ops.exclusive(spans, torch.tensor([0.5, 0.4, 0.4]))[0].tolist() == [0]


@pytest.mark.parametrize("trim", [0.05, 0.2, 0.45])
def test_spans_that_are_trimmed_do_not_overlap_and_lose_no_more_than_they_may(trim):
    for seed in range(10):
        spans, scores, _ = case(200, seed, spread=100)
        index, kept = ops.exclusive(spans, scores, trim=trim)
        assert not overlaps(kept)
        whole, given = spans[index], trim * ops.length(spans[index])
        assert (kept[:, 0] >= whole[:, 0]).all()
        assert (kept[:, 1] <= whole[:, 1]).all()
        assert (kept[:, 0] - whole[:, 0] <= given + 1e-9).all()
        assert (whole[:, 1] - kept[:, 1] <= given + 1e-9).all()
        assert len(index) > len(ops.exclusive(spans, scores)[0])


def test_of_two_that_are_trimmed_the_better_one_keeps_more():
    spans = torch.tensor([[0.0, 10.0], [9.0, 20.0]])
    _, kept = ops.exclusive(spans, torch.tensor([0.75, 0.25]), trim=0.1)
    # From 9 to 10, three quarters go to the first; each may lose about a step.
    assert kept.tolist() == [[0.0, 9.75], [9.75, 20.0]]


def test_spans_without_length_are_not_chosen():
    spans = torch.tensor([[0.0, 5.0], [5.0, 5.0], [2.0, 2.0], [5.0, 9.0]])
    index, _ = ops.exclusive(spans, torch.full((4,), 0.5))
    assert index.tolist() == [0, 3]


def test_nothing_and_scores_of_0_give_nothing():
    spans, scores, labels = case(3)
    assert len(ops.exclusive(spans, torch.zeros_like(scores))[0]) == 0
    assert ops.exclusive(spans[:0], scores[:0])[1].shape == (0, 2)
    assert len(ops.fill_gaps(spans[:0], scores[:0], labels[:0], longest=1.0)[0]) == 0


def test_the_exclusive_set_of_many_takes_no_quadratic_time():
    spans, scores, labels = case(200_000, spread=1e5)
    ops.exclusive(spans[:9], scores[:9])
    begin = time.perf_counter()
    index, kept = ops.exclusive(spans, scores, trim=0.1)
    ops.fill_gaps(kept, scores[index], labels[index], longest=1.0)
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize("longest", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_filled_gaps_leave_spans_of_a_label_apart_and_a_second_time_changes_nothing(longest, seed):
    spans, scores, labels = case(60, seed, spread=300)
    index, kept = ops.fill_gaps(spans, scores, labels, longest=longest)
    assert longest == 0 or len(index) < len(spans)
    for label in (0, 1):
        mine = kept[labels[index] == label]
        mine = mine[mine[:, 0].argsort()]
        assert (mine[1:, 0] - mine[:-1, 1] > longest).all()
        before = spans[labels == label]
        # Whatever was covered still is, by one that is as good.
        for span, score in zip(before, scores[labels == label], strict=True):
            over = (kept[:, 0] <= span[0]) & (kept[:, 1] >= span[1]) & (labels[index] == label)
            assert over.sum() == 1
            assert scores[index][over].item() >= score
        assert mine.min() == before.min()
        assert mine.max() == before.max()
    again, twice = ops.fill_gaps(kept, scores[index], labels[index], longest=longest)
    assert torch.equal(again, torch.arange(len(index)))
    assert torch.equal(twice, kept)


def test_a_gap_in_which_another_label_lies_is_filled_unless_it_is_blocked():
    spans = torch.tensor([[0.0, 4.0], [4.0, 5.0], [5.0, 9.0]])
    scores, labels = torch.tensor([0.5, 0.6, 0.5]), torch.tensor([0, 1, 0])
    index, kept = ops.fill_gaps(spans, scores, labels, longest=1.0)
    # Of equal scores the first one stays.
    assert index.tolist() == [0, 1]
    assert kept.tolist() == [[0.0, 9.0], [4.0, 5.0]]
    index, kept = ops.fill_gaps(spans, scores, labels, longest=1.0, blocked=True)
    assert index.tolist() == [0, 1, 2]
    assert torch.equal(kept, spans)


@pytest.mark.parametrize("seed", range(5))
def test_blocked_gaps_leave_an_exclusive_set_exclusive(seed):
    spans, scores, labels = case(200, seed, spread=300)
    index, kept = ops.exclusive(spans, scores, trim=0.1)
    more, filled = ops.fill_gaps(kept, scores[index], labels[index], longest=3.0, blocked=True)
    assert len(more) < len(index)
    assert not overlaps(filled)


def test_values_out_of_range_are_refused():
    spans, scores, labels = case(3)
    with pytest.raises(ValueError, match=r"trim is 0.5; it must lie in \[0, 0.5\)"):
        ops.exclusive(spans, scores, trim=0.5)
    with pytest.raises(ValueError, match="the longest gap is -1; it must be at least 0"):
        ops.fill_gaps(spans, scores, labels, longest=-1)
