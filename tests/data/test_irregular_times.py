"""Tables whose rows lie at irregular times."""

import numpy as np
import pandas as pd
import pytest

from spanloc.data.signals import Regular, Resampled, open_signal


@pytest.fixture
def written(tmp_path):
    """A table of times and of values that rise by 2 a second, as a CSV file."""

    def write(times, suffix="csv"):
        path = tmp_path / f"x.{suffix}"
        table = pd.DataFrame({"time": times, "x": 2.0 * np.asarray(times), "y": 1.0})
        table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
        return path

    return write


def jittered(steps=3000, rate=50.0, seed=0):
    steps = np.random.default_rng(seed).uniform(0.4, 1.6, steps) / rate
    return np.cumsum(steps) - steps[0]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_at_irregular_times_are_interpolated_at_equal_steps(written, suffix):
    times = jittered()
    signal = open_signal(written(times, suffix))
    assert isinstance(signal, Regular)
    assert signal.gap is None
    assert signal.rate == pytest.approx(50, rel=0.1)
    assert signal.num_steps == int(times[-1] * signal.rate) + 1
    whole = signal.read(0, signal.num_steps)
    # A line is interpolated without error.
    wanted = np.stack([2 * np.arange(signal.num_steps) / signal.rate, np.ones(signal.num_steps)], 1)
    assert np.allclose(whole, wanted, atol=1e-4)
    for first, last in ((0, 1), (7, 40), (signal.num_steps - 3, signal.num_steps + 9)):
        assert np.array_equal(signal.read(first, last), whole[first:last])
    assert signal.read(signal.num_steps, signal.num_steps + 5).shape == (0, 2)


def test_rows_of_one_packet_share_the_time_to_the_next(written):
    signal = open_signal(written(np.repeat(np.arange(300) / 5, 10)))
    assert signal.rate == 50
    assert signal.num_steps == 3000


def test_steps_in_a_gap_are_missing_and_the_others_keep_their_time(written):
    times = np.arange(1000) / 128
    times[600:] += 2
    signal = open_signal(written(np.round(times, 3)))
    assert signal.rate == 128
    start, length = signal.gap
    assert (start, length) == (pytest.approx(599, abs=0.1), pytest.approx(257, abs=0.2))
    found = signal.read(0, signal.num_steps)[:, 0]
    assert np.isnan(found).sum() == pytest.approx(256, abs=1)
    known = np.flatnonzero(~np.isnan(found))
    assert np.allclose(found[known], 2 * known / 128, atol=1e-3)


def test_a_lost_row_is_interpolated(written):
    signal = open_signal(written([0, 1, 2, 4, 5, 6, 7]))
    assert (signal.rate, signal.num_steps) == (1, 8)
    assert signal.read(0, 8)[:, 0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]


def test_another_rate_is_interpolated_from_the_rows_at_once_unless_it_is_much_lower(written):
    signal = open_signal(written(jittered()))
    near = signal.at(40.0)
    assert isinstance(near, Regular)
    assert near.rate == 40
    assert np.allclose(near.read(100, 110)[:, 0], 2 * np.arange(100, 110) / 40, atol=1e-4)
    assert isinstance(signal.at(5.0), Resampled)


def test_channels_can_be_chosen_of_a_table_with_irregular_times(written):
    signal = open_signal(written(jittered()), channels=["y"])
    assert signal.channels == ("y",)
    assert np.array_equal(signal.read(0, 5), np.ones((5, 1)))
