"""Codes for lost samples and spikes do not spoil the statistics of a channel; without them nothing changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spanloc.data import from_arrays
from spanloc.data.extremes import EXTREMES, limits_of, usual_range
from spanloc.data.sequences import channel_statistics
from spanloc.data.signals import ArraySignal


def recordings(count, steps=1000, seed=0):
    """Of noise, of a heavy tail, constant, and of rare events, ``(steps, 4)`` each."""
    rng = np.random.default_rng(seed)
    found = {}
    for i in range(count):
        events = (rng.random(steps) < 0.01) * 1.0
        channels = rng.normal(3, 2, steps), rng.standard_t(3, steps), np.full(steps, 7.0), events
        found[f"r{i:03}"] = np.column_stack(channels).astype(np.float32)
    return found


def data_of(signals):
    spans = [{"sequence": name, "start": 1, "end": 2, "label": "a"} for name in signals]
    data = from_arrays(signals, spans, rate=50, test_share=0.0, val_share=0.0)
    data.setup()
    return data


def plain(signals):
    return channel_statistics(signal.T for signal in signals.values())


@pytest.mark.parametrize(("count", "steps"), [(3, 1000), (40, 500), (2, 30_000)])
def test_statistics_without_extremes_are_those_of_all_values_bit_for_bit(count, steps):
    signals = recordings(count, steps)
    data = data_of(signals)
    for one, two in zip(data.statistics(), plain(signals), strict=True):
        assert torch.equal(one, two)
    assert 1 <= data.extremes() < 1.5


def test_statistics_of_a_channel_with_a_code_are_of_clipped_values():
    clean = recordings(6, steps=30_000)
    signals = {name: signal.copy() for name, signal in clean.items()}
    for signal in signals.values():
        signal[::100, 0] = -9999
    data = data_of(signals)
    assert data.extremes() > 20
    values = np.concatenate([signal[:, 0] for signal in signals.values()]).astype(float)
    low, high = np.quantile(values, (0.05, 0.95))
    clipped = values.clip(low - 5 * (high - low), high + 5 * (high - low))
    mean, std = data.statistics()
    assert float(mean[0]) == pytest.approx(clipped.mean(), abs=0.02)
    assert float(std[0]) == pytest.approx(clipped.std(), rel=0.03)
    assert std[0] < 3 * clean["r000"][:, 0].std()
    for one, two in zip((mean, std), plain(signals), strict=True):
        assert torch.equal(one[1:], two[1:])


def test_a_code_in_recordings_that_are_not_sampled_does_not_count():
    signals = recordings(40, steps=300)
    before = data_of(signals).statistics()[1]
    signals["r001"][50:60, 0] = 32767
    data = data_of(signals)
    assert data.extremes() < EXTREMES
    assert before[0] < data.statistics()[1][0] < 2 * before[0]


def test_activations_that_are_mostly_zero_are_no_extremes():
    rng = np.random.default_rng(0)
    active = rng.random((30_000, 1)) < 0.06
    values = np.where(active, rng.exponential(1, (30_000, 1)) ** 3, 0).astype(np.float32)
    signals = {"a": values[:15_000], "b": values[15_000:]}
    low, high = usual_range(values)
    assert values.std() > EXTREMES * values.clip(low, high).std()
    data = data_of(signals)
    assert data.extremes() == 1
    assert torch.equal(data.statistics()[1], plain(signals)[1])


@pytest.mark.parametrize("code", [None, -9999.0])
def test_offsets_are_seen_in_spite_of_a_code(code):
    signals = {
        name: signal[:, :1] + 9 * (i % 2) for i, (name, signal) in enumerate(recordings(8).items())
    }
    if code is not None:
        for signal in signals.values():
            signal[::500] = code
    assert data_of(signals).offsets() > 0.3


def test_values_that_are_not_finite_have_no_limits():
    for value in (np.nan, np.inf):
        signals = {"a": np.ones((200, 1)), "b": np.zeros((200, 1))}
        records = [
            replace(record, signal=ArraySignal(np.full((200, 1), value)))
            for record in data_of(signals)._all_train
        ]
        assert np.isinf(np.stack(limits_of(records))).all()


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e30])
def test_the_usual_range_has_the_unit_of_the_channel(scale):
    values = np.random.default_rng(0).normal(size=(5000, 1)).astype(np.float32)
    low, high = usual_range(values * np.float32(scale))
    # A normal distribution has 90 % of its values within 1.645 standard deviations.
    assert float(high[0]) / scale == pytest.approx(11 * 1.645, rel=0.05)
    assert float(low[0]) / scale == pytest.approx(-11 * 1.645, rel=0.05)
    assert np.isinf(usual_range(1e7 + 1e-3 * values)).all()
