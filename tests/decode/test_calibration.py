"""Calibrated scores: strictly rising maps, what they are fitted to, and what they leave alone."""

import numpy as np
import pytest
import torch

from spanloc.decode import Isotonic, Temperature, fit_calibration
from spanloc.decode.calibration import LEAST_OWN, brier_score, cross_fitted
from spanloc.decode.estimates import errors_beyond_chance, jackknife
from spanloc.metrics import AveragePrecision, reliability
from spanloc.structures import Predictions, Targets


def drawn(count=4000, temperature=0.5, offset=-0.7, num_labels=1, seed=0):
    """Scores, and whether each is right as a calibration by that temperature has it."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.02, 0.98, count)
    chance = 1 / (1 + np.exp(-(np.log(scores / (1 - scores)) / temperature + offset)))
    return scores, rng.random(count) < chance, rng.integers(num_labels, size=count)


def rows(scores, right, labels):
    """Predictions, of a sequence each, that are right or wrong as said."""
    count = len(scores)
    places, ids = torch.arange(count), tuple(f"s{i:05d}" for i in range(count))
    start = torch.where(torch.from_numpy(right), 0.0, 50.0)
    spans = torch.stack([start, start + 10], 1).double()
    labels = torch.from_numpy(labels)
    true = torch.tensor([[0.0, 10.0]], dtype=torch.float64).expand(count, 2)
    found = Predictions(spans, labels, places, ids, scores=torch.from_numpy(scores))
    return found, Targets(true, labels, places, ids)


def error(calibrate, scores, right, labels):
    calibrated = calibrate(torch.from_numpy(scores), torch.from_numpy(labels)).numpy()
    return reliability(*rows(calibrated, right, labels)).error


def test_a_temperature_is_found_again():
    fitted = fit_calibration(*drawn(), 1)
    assert fitted.temperature[0] == pytest.approx(0.5, rel=0.1)
    assert fitted.offset[0] == pytest.approx(-0.7, abs=0.15)


@pytest.mark.parametrize("kind", ["temperature", "isotonic"])
def test_calibration_lowers_the_errors_on_scores_that_it_has_not_seen(kind):
    fitted = fit_calibration(*drawn(num_labels=2), 2, kind)
    scores, right, labels = drawn(num_labels=2, seed=1)
    before = reliability(*rows(scores, right, labels)).error
    assert before > 0.1
    assert error(fitted, scores, right, labels) < 0.03
    after = fitted(torch.from_numpy(scores), torch.from_numpy(labels)).numpy()
    assert brier_score(after, right) < brier_score(scores, right) - 0.01


@pytest.mark.parametrize(("temperature", "helps"), [(0.5, True), (1.0, False)])
def test_scores_that_are_probabilities_already_gain_nothing_beyond_chance(temperature, helps):
    kept = 0
    for seed in range(8):
        scores, right, labels = drawn(200, temperature, -2.0 * helps, seed=seed)
        found, _ = rows(scores, right, labels)
        groups = np.arange(200) % 10
        _, crossed = cross_fitted(found, right, groups, 1, "temperature")
        gains = (scores - right) ** 2 - (crossed.numpy() - right) ** 2
        error = jackknife([gains[groups != group].mean() for group in range(10)])
        kept += gains.mean() > errors_beyond_chance(10) * error
    assert kept > 6 if helps else kept < 2


@pytest.mark.parametrize("kind", ["temperature", "isotonic"])
@pytest.mark.parametrize("count", [60, 3000])
def test_a_calibration_rises_strictly_and_leaves_average_precision_as_it_is(kind, count):
    scores, right, labels = drawn(count, num_labels=3)
    fitted = fit_calibration(scores, right, labels, 3, kind)
    grid = torch.linspace(1e-4, 1 - 1e-4, 5000, dtype=torch.float64)
    for label in range(3):
        found = fitted(grid, torch.full((5000,), label))
        assert (found.diff() > 0).all()
        assert found.min() >= 0
        assert found.max() <= 1
    found, true = rows(scores.astype(np.float32), right, labels)
    after = fitted(found.scores, found.labels)
    assert after.dtype == torch.float64
    metric = AveragePrecision(classes=["a", "b", "c"])
    again = Predictions(found.spans, found.labels, found.places, found.ids, scores=after)
    assert metric.values(again, true) == metric.values(found, true)


def test_a_label_with_few_of_a_kind_gets_the_map_of_all():
    scores, right, labels = drawn(2000)
    labels[:] = 0
    some = np.flatnonzero(right)[: LEAST_OWN - 1]
    labels[some] = 1
    labels[np.flatnonzero(~right)[:500]] = 1
    fitted = fit_calibration(scores, right, labels, 3)
    assert fitted.temperature[1] == fitted.temperature[2]
    assert fitted.offset[1] == fitted.offset[2]
    assert fitted.temperature[0] != fitted.temperature[1]
    labels[np.flatnonzero(right)[LEAST_OWN]] = 1
    own = fit_calibration(scores, right, labels, 3)
    assert own.temperature[1] != own.temperature[2]


def test_scores_that_separate_right_from_wrong_have_a_map_too():
    scores = np.linspace(0.05, 0.95, 60)
    fitted = fit_calibration(scores, scores > 0.5, np.zeros(60, np.int64), 1)
    found = fitted(torch.from_numpy(scores), torch.zeros(60, dtype=torch.int64))
    assert 0 < found[0] < 0.01
    assert 0.99 < found[-1] < 1


def test_an_isotonic_map_is_the_share_that_is_right():
    scores = np.repeat([0.2, 0.4, 0.6], [100, 100, 100])
    right = np.tile(np.arange(100), 3) < np.repeat([30, 10, 70], 100)
    fitted = fit_calibration(scores, right, np.zeros(300, np.int64), 1, "isotonic")
    # The first two are in the wrong order, and become one.
    np.testing.assert_allclose(fitted.knots[0], [[0.3, 0.2], [0.6, 0.7]], rtol=1e-12)


@pytest.mark.parametrize("right", [True, False])
def test_what_is_all_right_or_all_wrong_cannot_be_calibrated(right):
    which = "right" if right else "wrong"
    with pytest.raises(ValueError, match=f"all 5 predictions are {which}: nothing to calibrate"):
        fit_calibration(np.full(5, 0.5), np.full(5, right), np.zeros(5, np.int64), 1)


def test_maps_that_are_none_are_refused():
    scores, right, labels = drawn(50)
    with pytest.raises(
        ValueError, match="calibration is 'beta'; it may be temperature or isotonic"
    ):
        fit_calibration(scores, right, labels, 1, "beta")
    for temperature, offset in (([0.0], [0.0]), ([1.0], []), ([1.0], [float("nan")])):
        with pytest.raises(ValueError, match="wanted a finite number for each label"):
            Temperature(temperature, offset)
    for knots in ([[0.5, 0.5], [0.4, 0.6]], [[0.5, 0.5], [0.6, 0.5]], [[0.5, 1.0]]):
        with pytest.raises(
            ValueError, match=r"knots\[0\] is .*; wanted scores and shares that rise"
        ):
            Isotonic([knots])
