"""Units do not matter: tesla and counts are normalised alike, and constant channels are left alone."""

import numpy as np
import pytest
import torch

from spanloc.data import from_arrays
from spanloc.data.sequences import channel_statistics
from spanloc.data.signals import ArraySignal, Resampled

SCALES = (1e-13, 1e-3, 1.0, 1e9)


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


def test_the_statistics_of_a_data_module_scale_with_the_signals():
    rng = np.random.default_rng(0)
    signals = {f"r{i}": rng.normal(2, 1, (200, 2)) for i in range(6)}
    spans = {name: [(1.0, 4.0, "x")] for name in signals}
    found = []
    for scale in (1.0, 1e-13):
        scaled = {name: signal * scale for name, signal in signals.items()}
        data = from_arrays(scaled, spans, rate=10)
        data.setup()
        found.append([number / scale for number in data.statistics()])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("offset", "share"), [(0.0, 0.0), (1.0, 0.5), (3.0, 0.9)])
def test_the_share_of_variance_that_recordings_have_all_the_time(offset, share):
    # Offsets of -1 and 1 times that, in two of three channels; the third is constant.
    rng = np.random.default_rng(0)
    signals = {}
    for i in range(70):
        noise = rng.normal(size=(3000, 2)) + offset * (-1) ** (i // 3)
        signals[f"s{i}"] = np.column_stack([noise, np.full(3000, 7.0)])
    data = from_arrays(
        signals, [{"sequence": name, "start": 1, "end": 2, "label": "a"} for name in signals],
        rate=100, test_share=0.0, val_share=0.0,
    )  # fmt: skip
    data.setup()
    assert data.offsets() == pytest.approx(share, abs=0.02)


def test_constant_channels_differ_in_nothing():
    signals = {name: np.ones((500, 1)) for name in "abc"}
    spans = [{"sequence": name, "start": 1, "end": 2, "label": "a"} for name in signals]
    data = from_arrays(signals, spans, rate=100, test_share=0.0, val_share=0.0)
    data.setup()
    assert data.offsets() == 0
