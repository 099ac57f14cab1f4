"""Candidates of several sets fused: by hand, laws, and against slow loops."""

from functools import partial

import pytest
import torch
from scored_spans import scored_spans

from spanloc.ops import fuse, tiou

a_set = partial(scored_spans, 40)


def rows(found):
    spans, scores, labels = found
    return [(*s, c, k) for s, c, k in zip(spans.tolist(), scores.tolist(), labels.tolist(), strict=True)]  # fmt: skip


def slow(sets, threshold):
    """The definition, candidate by candidate."""
    made = set()
    for place, one in enumerate(sets):
        for span, score, label in zip(*one, strict=True):
            group = [(span, score)]
            for other, theirs in enumerate(sets):
                same = [
                    (float(tiou(span, s)), c, s)
                    for s, c, k in zip(*theirs, strict=True)
                    if k == label and other != place
                ]
                shared, their_score, their_span = max(
                    same, key=lambda row: row[0], default=(0, 0, 0)
                )
                if shared >= threshold:
                    group.append((their_span, their_score))
            total = sum(c for _, c in group)
            mean = sum(c * s for s, c in group) / total
            row = (*mean.tolist(), float(total / len(sets)))
            # The same candidates in another order have the same mean, but for rounding.
            made.add((*(round(value, 9) for value in row), int(label)))
    return sorted(made)


def test_scores_and_boundaries_are_means_by_hand():
    one = torch.tensor([[0.0, 10.0], [50.0, 60.0]]), torch.tensor([0.6, 0.8]), torch.tensor([0, 1])
    two = torch.tensor([[2.0, 10.0], [51.0, 60.0]]), torch.tensor([0.2, 0.9]), torch.tensor([0, 0])
    found = rows(fuse([one, two]))
    # The two of label 0 weigh 3 to 1, and come out equal: one is left. The others are alone.
    wanted = [(51, 60, 0.45, 0), (0.5, 10, 0.4, 0), (50, 60, 0.4, 1)]
    assert len(found) == len(wanted)
    assert [found[0], *sorted(found[1:])] == [pytest.approx(row) for row in wanted]


@pytest.mark.parametrize("threshold", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("count", [2, 3])
def test_it_is_what_it_says(threshold, count):
    sets = [scored_spans(20, seed) for seed in range(count)]
    # Two sets of almost the same spans, as two models have them.
    spans, scores, labels = sets[0]
    sets[1] = (
        spans + torch.linspace(-0.2, 0.2, len(spans))[:, None].double(),
        scores.flip(0),
        labels,
    )
    found = torch.tensor(sorted(rows(fuse(sets, threshold=threshold))), dtype=torch.float64)
    wanted = torch.tensor(slow(sets, threshold), dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_equal_sets_give_what_one_gives(count):
    one = a_set(0)
    order = one[1].argsort(descending=True)
    one = tuple(field[order] for field in one)
    for field, wanted in zip(fuse([one] * count), one, strict=True):
        assert torch.equal(field, wanted)


def test_the_order_of_the_sets_does_not_matter():
    sets = [a_set(seed) for seed in range(3)]
    one, other = fuse(sets, threshold=0.4), fuse(sets[::-1], threshold=0.4)
    torch.testing.assert_close(one[1], other[1], rtol=1e-12, atol=0)
    assert (one[1].diff() <= 0).all()


def test_an_empty_set_halves_the_scores():
    one = a_set(0)
    empty = tuple(field[:0] for field in one)
    spans, scores, _ = fuse([one, empty])
    order = one[1].argsort(descending=True)
    assert torch.equal(spans, one[0][order])
    assert torch.equal(scores, one[1][order] / 2)
    assert len(fuse([empty, empty])[0]) == 0


def test_values_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"the tIoU of counterparts is 0; it must lie in \(0, 1\]"):
        fuse([a_set(0)], threshold=0)
    with pytest.raises(ValueError, match="there is no set of candidates to fuse"):
        fuse([])
