"""The compiled loops of the metrics."""

import numpy as np

from spanloc.metrics.kernels.ranked import match_ranked


def test_a_prediction_falls_back_to_the_next_best_free_target():
    targets = np.array([[0.0, 10.0], [2.0, 12.0]])
    spans = np.array([[0.0, 10.0], [0.5, 10.5], [1.0, 11.0]])
    groups = np.zeros(3, np.int64)
    found = match_ranked(spans, groups, targets, np.array([0, 2]), np.arange(2), np.array([0.5]))
    assert found[:, 0].tolist() == [0, 1, -1]
