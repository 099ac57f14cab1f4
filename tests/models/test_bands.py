"""The power in bands of frequencies that a coarse backbone sees."""

import math

import pytest
import torch
from conftest import make_batch

from spanloc.models import ConvBackbone
from spanloc.models.layers import BandPower


@pytest.mark.parametrize("phase", [0.0, 0.4, 0.8])
@pytest.mark.parametrize("frequency", [0.05, 0.2, 0.4])
def test_a_new_layer_has_a_band_for_every_frequency_whatever_the_phase(frequency, phase):
    torch.manual_seed(0)
    layer = BandPower(1, 8, 16, bands=48)
    wave = torch.sin(2 * math.pi * (frequency * torch.arange(640) + phase))
    power = torch.nn.functional.conv1d(wave[None, None], layer.bands.weight, stride=16) ** 2
    pairs = power[0].unflatten(0, (24, 2)).sum(1)
    # Band i is around (i + 0.5) / 48 cycles a step.
    assert (pairs.argmax(0) - (48 * frequency - 0.5)).abs().max() <= 1
    assert pairs.max(0).values.std() < 0.1 * pairs.max()


def test_a_coarse_backbone_tells_loud_from_quiet_noise_of_mean_0_and_one_without_bands_less():
    def apart(bands):
        torch.manual_seed(0)
        backbone = ConvBackbone(1, stride=32, width=16, num_blocks=0, bands=bands)
        loudness = torch.tensor([1.0, 2.0]).repeat_interleave(200)
        noise = torch.randn(400, 1, 320) * loudness[:, None, None]
        with torch.no_grad():
            cells, _ = backbone(noise, torch.ones(400, 320, dtype=torch.bool))
        mean, std = (
            torch.stack(values)
            for values in zip(
                *((c.mean(0), c.std(0)) for c in cells.mean(2).split(200)), strict=True
            )
        )
        return float((mean.diff(dim=0).abs() / std.mean(0)).max())

    assert apart(48) > 2 * apart(0)


@pytest.mark.parametrize(("stride", "bands"), [(16, 48), (18, 48), (18, 0)])
def test_bands_are_seen_where_the_stride_is_above_16(stride, bands):
    backbone = ConvBackbone(3, stride=stride, bands=bands)
    assert len(backbone.bands) == (len(backbone.stem) if stride > 16 and bands else 0)


@pytest.mark.parametrize("bands", [-2, 3])
def test_a_number_of_filters_that_is_odd_or_negative_is_refused(bands):
    with pytest.raises(ValueError, match=f"bands is {bands}; it must be even"):
        ConvBackbone(3, bands=bands)


@pytest.mark.parametrize("channels", [1, 3, 40])
def test_padding_changes_nothing_and_every_filter_gets_a_gradient(channels):
    torch.manual_seed(0)
    backbone, batch = ConvBackbone(channels, stride=20, width=8), make_batch((190, 63))
    features = torch.randn(2, channels, batch.mask.shape[1])
    together, mask = backbone(features + 100 * ~batch.mask[:, None], batch.mask)
    alone, _ = backbone(features[1:, :, :63], batch.mask[1:, :63])
    torch.testing.assert_close(together[1, :, : alone.shape[2]], alone[0], rtol=1e-4, atol=1e-5)
    assert not (together * ~mask[:, None]).any()
    together.square().mean().backward()
    assert len(backbone.bands) == 2
    for layer in backbone.bands:
        assert (layer.bands.weight.grad.abs().sum((1, 2)) > 0).all()


def test_a_coarse_backbone_tells_slow_oscillations_apart_whatever_their_phase():
    torch.manual_seed(0)
    backbone = ConvBackbone(1, stride=256, width=16, num_blocks=0)
    # Periods of 40 and 80 steps: more than the filters of the first layer cover.
    phase, time = 2 * math.pi * torch.rand(2, 100, 1), torch.arange(1024)
    waves = torch.sin(2 * math.pi * time / torch.tensor([40.0, 80.0])[:, None, None] + phase)
    with torch.no_grad():
        cells, _ = backbone(waves.flatten(0, 1)[:, None], torch.ones(200, 1024, dtype=torch.bool))
    first, second = cells[..., 1:-1].unflatten(0, (2, 100)).mean(-1)
    apart = (first.mean(0) - second.mean(0)).abs() / (first.std(0) + second.std(0))
    assert apart.max() > 5


@pytest.mark.parametrize("channels", [1, 2, 5, 24, 40])
def test_every_channel_begins_with_low_and_high_frequencies(channels):
    torch.manual_seed(0)
    weight = BandPower(channels, 8, 16).bands.weight.detach()
    power = torch.fft.rfft(weight).abs() ** 2
    # Of each channel, the strongest band in each quarter of the frequencies.
    quarters = power.unflatten(0, (24, 2)).sum(1)[..., 1:].chunk(4, dim=-1)
    strongest = torch.stack([quarter.amax((0, 2)) for quarter in quarters])
    assert (strongest.amin(0) > 0.3 * strongest.amax(0)).all()


def test_loud_signals_are_finite_in_float16():
    layer = BandPower(1, 8, 16)
    with torch.autocast("cpu", torch.float16):
        found = layer(1000 * torch.randn(1, 1, 160))
    assert found.isfinite().all()
