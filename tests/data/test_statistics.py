"""Statistics of channels: in any unit, of constant ones, and in spite of codes for lost samples."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spanloc.data import from_arrays
from spanloc.data.extremes import EXTREMES, limits_of, usual_range
from spanloc.data.sequences import channel_statistics
from spanloc.data.signals import ArraySignal, Resampled

SCALES = (1e-13, 1e-3, 1.0, 1e9)


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
    assert 1 <= data.extremes()[0] < 1.5


def test_statistics_of_a_channel_with_a_code_are_of_clipped_values():
    clean = recordings(6, steps=30_000)
    signals = {name: signal.copy() for name, signal in clean.items()}
    for signal in signals.values():
        signal[::100, 0] = -9999
    data = data_of(signals)
    ratio, channel = data.extremes()
    assert ratio > 20
    assert channel == "channel 0"
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
    assert data.extremes()[0] < EXTREMES
    assert before[0] < data.statistics()[1][0] < 2 * before[0]


def test_activations_that_are_mostly_zero_are_no_extremes():
    rng = np.random.default_rng(0)
    active = rng.random((30_000, 1)) < 0.06
    values = np.where(active, rng.exponential(1, (30_000, 1)) ** 3, 0).astype(np.float32)
    signals = {"a": values[:15_000], "b": values[15_000:]}
    low, high = usual_range(values)
    assert values.std() > EXTREMES * values.clip(low, high).std()
    data = data_of(signals)
    assert data.extremes()[0] == 1
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


def normalised(sequences):
    """As a localizer does it, in float32."""
    mean, std = channel_statistics(sequences)
    return [(torch.from_numpy(s).float() - mean[:, None]) / std[:, None] for s in sequences]


@pytest.mark.parametrize("offset", [0.0, 3.0, -1000.0])
@pytest.mark.parametrize("scale", SCALES)
def test_a_scaled_copy_has_the_same_normalised_values(scale, offset):
    rng = np.random.default_rng(0)
    plain = [rng.normal(offset, 1, (2, n)).astype(np.float32) for n in (500, 30, 2000)]
    scaled = [(s.astype(np.float64) * scale).astype(np.float32) for s in plain]
    for one, two in zip(normalised(plain), normalised(scaled), strict=True):
        # Of a number of 1000 float32 has 6e-5 left.
        torch.testing.assert_close(one, two, rtol=0, atol=1e-4 * max(1, abs(offset) / 500))
    every = torch.cat(normalised(scaled), dim=1)
    assert every.mean(1).abs().max() < 1e-4
    assert (every.std(1, correction=0) - 1).abs().max() < 1e-4


@pytest.mark.parametrize("scale", [1e-30, *SCALES, 1e30])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 123.456])
def test_a_constant_channel_does_not_blow_up(value, scale):
    constant = np.full((1, 5000), value * scale, np.float32)
    signal = Resampled(ArraySignal(constant.T, 100, name="x"), 30)
    for sequences in (
        [constant, constant[:, :77]],
        # What resampling leaves of a constant is rounding.
        [signal.read(0, signal.num_steps).T, constant],
    ):
        assert channel_statistics(sequences)[1].tolist() == [1.0]
        # Of a value of 1e30, float32 has 1e23 left.
        least = 1e-5 * max(abs(value) * scale, 1e-30)
        assert max(found.abs().max() for found in normalised(sequences)) <= least


def test_channels_of_all_scales_lie_side_by_side():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 1000)) * np.array([1e-13, 1.0, 1e9, 0.0])[:, None]
    _, std = channel_statistics([values])
    assert std[:3].tolist() == pytest.approx(values.std(1)[:3].tolist(), rel=1e-5)
    assert std[3] == 1


def test_a_small_variation_on_a_large_mean_keeps_its_digits():
    # In sums of squares about zero it would be lost.
    values = 1e5 + np.random.default_rng(0).normal(0, 1, (1, 100_000))
    pieces = np.split(values, 100, axis=1)
    mean, std = channel_statistics(pieces)
    assert float(mean) == pytest.approx(values.mean(), rel=1e-7)
    assert float(std) == pytest.approx(values.std(), rel=1e-6)
    assert float(channel_statistics([10 * values])[1]) == pytest.approx(10 * values.std(), rel=1e-6)


def test_sequences_without_steps_count_nothing():
    values = np.random.default_rng(0).normal(size=(2, 50))
    for one, two in zip(
        channel_statistics([np.empty((2, 0)), values, np.empty((2, 0))]),
        channel_statistics([values]),
        strict=True,
    ):
        assert torch.equal(one, two)


@pytest.mark.parametrize(("offset", "share"), [(0.0, 0.0), (1.0, 0.5), (3.0, 0.9)])
def test_offsets_are_the_share_of_variance_between_recordings(offset, share):
    # Offsets of -1 and 1 times that, in two of three channels; the third is constant.
    rng = np.random.default_rng(0)
    signals = {}
    for i in range(70):
        noise = rng.normal(size=(3000, 2)) + offset * (-1) ** (i // 3)
        signals[f"s{i}"] = np.column_stack([noise, np.full(3000, 7.0)])
    assert data_of(signals).offsets() == pytest.approx(share, abs=0.02)


def test_constant_channels_differ_in_nothing():
    assert data_of({name: np.ones((500, 1)) for name in "abc"}).offsets() == 0


def test_changes_are_small_where_a_signal_wanders():
    rng = np.random.default_rng(0)
    steps = np.arange(5000)
    wave = np.sin(2 * np.pi * steps / 1000) * np.sqrt(2)  # of standard deviation 1
    wander = {name: np.column_stack([wave, np.full(5000, 7.0)]) for name in "abc"}
    # sin(a + b) - sin(a) is a sine of amplitude 2 sin(b / 2); 90 % of its values are below sin(0.45 pi) of that.
    amplitude = 2 * np.sqrt(2) * np.sin(np.pi * 5 / 1000)
    ratio = 1.645 / (np.sin(0.45 * np.pi) * amplitude)
    assert data_of(wander).changes(5) == pytest.approx(ratio, rel=0.01)
    jumps = {name: values.copy() for name, values in wander.items()}
    for values in jumps.values():
        values[100::250, 0] += 1
    assert data_of(jumps).changes(5) == pytest.approx(ratio, rel=0.1)
    noise = {name: rng.normal(size=(5000, 1)) for name in "abc"}
    assert data_of(noise).changes(5) == pytest.approx(np.sqrt(0.5), rel=0.02)
    assert data_of({name: np.ones((500, 1)) for name in "abc"}).changes(5) == 1
    assert data_of(noise).changes(6000) == 1
