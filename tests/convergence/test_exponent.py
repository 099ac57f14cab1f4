"""The fit of the exponent: its interval, and runs by which it is undetermined."""

import pytest
import torch

from spanloc.convergence import fit_exponent


def run(slope, *, noise=0.0, count=200, decades=6, seed=0):
    """Losses that fall over so many decades, and gradients that go with a power of them."""
    random = torch.Generator().manual_seed(seed)
    loss = torch.logspace(0, -decades, count, dtype=torch.float64)
    scatter = noise * torch.randn(2, count, generator=random, dtype=torch.float64)
    return loss * scatter[0].exp(), 3 * loss**slope * scatter[1].exp()


@pytest.mark.parametrize("slope", [0.0, 0.5, 0.75])
def test_an_exact_power_law(slope):
    found = fit_exponent(*run(slope))
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.determinable
    assert found.decades == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("slope", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])  # 2 s
def test_the_interval_covers_the_truth_as_often_as_it_says(slope):
    covered = 0
    for seed in range(40):
        found = fit_exponent(*run(slope, noise=0.3, seed=seed))
        assert abs(found.slope - slope) < 0.1
        assert found.low <= found.slope <= found.high
        covered += found.low <= slope <= found.high
    # 95 % of 40 is 38; with 32 the chance of an honest interval is under 1e-3.
    assert covered >= 33


@pytest.mark.parametrize("slope", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])  # 2 s
def test_the_interval_allows_for_noise_that_lasts(slope):
    covered = 0
    for seed in range(20):
        loss, gradient = run(slope, count=600, decades=2.6)
        random = torch.Generator().manual_seed(seed)
        steps = 0.3 * 0.19**0.5 * torch.randn(2, 600, generator=random, dtype=torch.float64)
        for i in range(1, 600):
            steps[:, i] += 0.9 * steps[:, i - 1]
        found = fit_exponent(loss * steps[0].exp(), gradient * steps[1].exp())
        covered += found.low <= slope <= found.high
    # With blocks drawn one by one it is about 10.
    assert covered >= 15


def test_outliers_do_not_move_the_slope():
    loss, gradient = run(0.5, noise=0.1)
    gradient[::17] *= 1e4
    loss[5::23] *= 1e3
    assert fit_exponent(loss, gradient).slope == pytest.approx(0.5, abs=0.1)


def test_only_steps_near_the_optimum_count():
    # Flat far away, then a power law: as smooth losses do.
    loss = torch.logspace(0, -6, 300, dtype=torch.float64)
    gradient = torch.where(loss > 1e-2, 0.1, loss.sqrt())
    assert fit_exponent(loss, gradient).slope == pytest.approx(0.5, abs=1e-3)


def test_what_is_not_positive_and_finite_is_left_out():
    loss, gradient = run(0.5)
    broken = torch.tensor([0.0, -1.0, torch.nan, torch.inf], dtype=torch.float64)
    found = fit_exponent(
        torch.cat([loss, broken, torch.ones(4)]), torch.cat([gradient, torch.ones(4), broken])
    )
    assert found == fit_exponent(loss, gradient)


@pytest.mark.parametrize(
    ("loss", "gradient", "reason"),
    [
        (torch.ones(200), torch.ones(200), "the loss did not change"),
        (torch.logspace(0, -0.1, 200), torch.ones(200), "the loss changed by a factor of 1.1 only"),
        (torch.logspace(0, -6, 7), torch.ones(7), "7 steps with a gradient"),
        (torch.zeros(100), torch.ones(100), "0 steps with a gradient"),
        (torch.logspace(0, -1, 100), torch.rand(100, generator=torch.Generator().manual_seed(0)) ** 8,
         "the slope lies anywhere"),
    ],
)  # fmt: skip
def test_an_undetermined_exponent_has_a_reason(loss, gradient, reason):
    found = fit_exponent(loss, gradient)
    assert not found.determinable
    assert reason in found.reason
    assert str(found).startswith("undetermined: ")
