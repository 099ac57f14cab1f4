"""One prediction per sequence, matched to the first target."""

import pytest
from conftest import make_batch, points_model, single_model

from spanloc.matching import match_single


def test_the_prediction_answers_for_the_first_target_if_there_is_one():
    batch = make_batch((40, 23), num_targets=(2, 0))
    output = single_model()(batch.features, batch.mask)
    assert match_single(output, batch).tolist() == [[0], [-1]]


def test_a_head_with_points_is_refused():
    batch = make_batch((40, 23), num_targets=(2, 0))
    output = points_model()(batch.features, batch.mask)
    with pytest.raises(
        ValueError, match=r"one prediction per sequence, .* gives \d+; .*match_points"
    ):
        match_single(output, batch)
