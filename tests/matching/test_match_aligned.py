"""Matching by what the model predicts: numbers counted by hand."""

from dataclasses import replace

import pytest
import torch

from spanloc.matching import match_aligned, match_simota
from spanloc.structures import Output, Sample, collate

# The middles of four cells of 4 steps.
POINTS = torch.tensor([[2.0, 4.0], [6.0, 4.0], [10.0, 4.0], [14.0, 4.0]])


def batch_of(spans, labels):
    spans, labels = torch.tensor(spans), torch.tensor(labels)
    return collate([Sample("a", torch.zeros(1, 16), spans, labels)])


def output_of(spans, scores):
    scores = torch.tensor(scores)[None]
    mask = torch.ones(1, len(spans), dtype=torch.bool)
    return Output(torch.tensor(spans)[None], scores.logit(), POINTS[: len(spans)], mask)


@pytest.mark.parametrize("match", [match_aligned, match_simota])
def test_only_points_inside_a_target_answer_for_it(match):
    output = output_of([[2.0, 14.0]] * 4, [[0.5]] * 4)
    assert match(output, batch_of([[2.0, 14.0]], [0])).tolist() == [[-1, 0, 0, -1]]


def test_of_two_points_the_one_with_the_better_span_is_taken():
    spans = [[2.0, 14.0], [2.0, 10.0], [2.0, 14.0], [2.0, 14.0]]
    output, batch = output_of(spans, [[0.5], [0.9], [0.5], [0.5]]), batch_of([[2.0, 14.0]], [0])
    # 0.9 x (8/12)^6 = 0.079 against 0.5 x 1.
    assert match_aligned(output, batch, top=1).tolist() == [[-1, -1, 0, -1]]
    # Where the score alone counts, it is the other.
    assert match_aligned(output, batch, top=1, beta=0.0).tolist() == [[-1, 0, -1, -1]]
    # -ln 0.9 - 3 ln(8/12) = 1.32 against -ln 0.5 = 0.69; the tIoUs, 1.67 in all, make one point.
    assert match_simota(output, batch).tolist() == [[-1, -1, 0, -1]]


def test_a_point_that_two_targets_want_goes_to_the_one_that_it_overlaps_more():
    output = output_of([[0.0, 16.0]] * 4, [[0.5]] * 4)
    batch = batch_of([[4.0, 8.0], [3.0, 16.0]], [0, 0])
    assert match_aligned(output, batch).tolist() == [[-1, 1, 1, 1]]


def test_a_point_far_from_the_middle_comes_after_all_near_ones():
    output = output_of([[0.0, 16.0]] * 4, [[0.9], [0.1], [0.2], [0.8]])
    batch = batch_of([[0.0, 16.0]], [0])
    assert match_simota(output, batch, radius=1.0, top=1).tolist() == [[-1, -1, 0, -1]]
    assert match_simota(output, batch, radius=2.5, top=1).tolist() == [[0, -1, -1, -1]]


@pytest.mark.parametrize("match", [match_aligned, match_simota])
def test_an_unknown_label_takes_the_best_score_of_a_point(match):
    output = output_of([[2.0, 14.0]] * 4, [[0.5, 0.1], [0.2, 0.1], [0.1, 0.9], [0.5, 0.5]])
    batch = batch_of([[2.0, 14.0]], [-1])
    assert match(output, batch, top=1).tolist() == [[-1, -1, 0, -1]]


@pytest.mark.parametrize("match", [match_aligned, match_simota])
def test_a_target_without_any_overlap_has_a_point(match):
    output = output_of([[0.0, 0.1]] * 4, [[0.5]] * 4)
    assert (match(output, batch_of([[4.0, 12.0]], [0])) == 0).any()


@pytest.mark.parametrize("match", [match_aligned, match_simota])
def test_a_head_without_points_and_no_points_for_a_target_are_refused(match):
    output, batch = output_of([[2.0, 14.0]] * 4, [[0.5]] * 4), batch_of([[2.0, 14.0]], [0])
    with pytest.raises(ValueError, match="need a head with points"):
        match(replace(output, points=None), batch)
    with pytest.raises(ValueError, match="top is 0; it must be at least 1"):
        match(output, batch, top=0)
