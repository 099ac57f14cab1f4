"""Signals made of signals: any stretch equals that of the whole, and times stay where they are."""

import pickle
import time

import numpy as np
import pytest

from spanloc.data.signals import ArraySignal, Channels, LogSpectrogram, Resampled, Signal
from spanloc.data.signals import resampled as module

RATIOS = [
    (200, 50), (50, 200), (250, 100), (256, 50), (30, 50), (44100, 50), (8000, 441), (99.98, 100),
    (1000, 7), (100, 100), (123.4567, 50),
]  # fmt: skip


def noise(num_steps, channels=2, rate=100.0):
    values = np.random.default_rng(0).normal(5, 2, (num_steps, channels)).astype(np.float32)
    return ArraySignal(values, rate, [f"c{i}" for i in range(channels)], ["V"] * channels, "noise")


def sine(rate, frequency, seconds=20.0):
    times = (np.arange(round(seconds * rate)) + 0.5) / rate
    return np.sin(2 * np.pi * frequency * times)


WRAPPED = {
    "channels": lambda: Channels(noise(1000, 3), ["c2", 0]),
    "spectrogram": lambda: LogSpectrogram(noise(16000, rate=8000)),
    "short hop": lambda: LogSpectrogram(noise(3001, rate=8000), hop=0.001, num_bands=8),
    "long hop": lambda: LogSpectrogram(noise(16001, rate=8000), hop=0.1, window=0.02, num_bands=8),
    "both": lambda: Resampled(LogSpectrogram(Channels(noise(16000, rate=8000), [1])), 30),
} | {
    f"{a} to {b}": lambda a=a, b=b: Resampled(noise(max(300, round(4 * a)), rate=a), b)
    for a, b in RATIOS
}


@pytest.mark.parametrize("name", WRAPPED)
def test_any_stretch_is_that_of_the_whole(name):
    signal = WRAPPED[name]()
    assert isinstance(signal, Signal)
    whole = signal.read(0, signal.num_steps)
    assert whole.shape == (signal.num_steps, signal.num_channels)
    assert np.isfinite(whole).all()
    assert len(signal.channels) == len(signal.units) == signal.num_channels
    copy = pickle.loads(pickle.dumps(signal))
    n, rng = signal.num_steps, np.random.default_rng(1)
    edges = [[0, 0], [0, 1], [n - 1, n], [n, n], [n // 2, n // 2 + 1]]
    for first, last in [*np.sort(rng.integers(0, n + 1, (25, 2)), axis=1).tolist(), *edges]:
        found = copy.read(first, last)
        assert found.shape == (last - first, signal.num_channels)
        np.testing.assert_allclose(
            found, whole[first:last], rtol=0, atol=1e-5 * np.abs(whole).max()
        )


def test_channels_keep_the_order_in_which_they_are_named():
    signal = noise(10, 3)
    chosen = Channels(signal, ["c2", "c0", 1])
    assert chosen.channels == ("c2", "c0", "c1")
    assert (chosen.num_channels, chosen.rate, chosen.units) == (3, 100, ("V", "V", "V"))
    assert np.array_equal(chosen.read(2, 5), signal.read(2, 5)[:, [2, 0, 1]])


@pytest.mark.parametrize(("source", "rate"), [r for r in RATIOS if r[0] < 9000 and r[1] < 9000])
def test_a_sine_stays_where_it_is_in_time(source, rate):
    # Half a step of the coarser rate would be off by half a radian.
    frequency = 0.16 * min(source, rate)
    found = Resampled(ArraySignal(sine(source, frequency), source), rate)
    expected = sine(rate, frequency)
    assert abs(found.num_steps - len(expected)) <= 1
    assert found.rate == rate
    middle = slice(len(expected) // 4, -len(expected) // 4)
    error = found.read(0, len(expected))[middle, 0] - expected[middle]
    assert np.abs(error).max() < (2e-3 if source == 123.4567 else 1e-3)


@pytest.mark.parametrize(("source", "rate"), [(200, 50), (44100, 50), (1000, 7)])
def test_what_the_lower_rate_cannot_hold_is_filtered_out(source, rate):
    for part in (0.55, 0.8, 1.0, 1.3, 2.7):
        found = Resampled(ArraySignal(sine(source, part * rate, 10), source), rate)
        n = found.num_steps
        assert np.abs(found.read(n // 3, 2 * n // 3)).max() < 1e-3, part


@pytest.mark.parametrize(("source", "rate"), [(2000, 50), (22050, 50), (1000, 8)])
def test_no_tone_is_folded_into_the_lower_rate_in_any_pass(source, rate):
    # Each of these would become a tone of a fifth of the lower rate.
    tones = [j * rate + 0.2 * rate for j in range(1, int(source / 2 / rate))]
    values = sum(sine(source, tone, 150 / rate) for tone in tones)
    found = Resampled(ArraySignal(values, source), rate)
    assert np.abs(found.read(60, 90)).max() < 0.01


def test_a_constant_stays_as_it_is_to_the_ends_and_a_short_signal_has_a_step():
    for source, rate in RATIOS:
        signal = Resampled(ArraySignal(np.full((50, 1), 3.0), source), rate)
        np.testing.assert_allclose(signal.read(0, signal.num_steps), 3.0, rtol=1e-6)
    one = Resampled(ArraySignal(np.full((1, 1), 3.0), 44100), 1)
    assert one.num_steps == 1
    np.testing.assert_allclose(one.read(0, 1), [[3.0]], rtol=1e-6)


@pytest.mark.parametrize(("source", "rate"), [(200, 50), (1000, 8), (40, 50)])
def test_beyond_its_ends_a_signal_keeps_its_first_and_last_value(source, rate):
    values = noise(2000, rate=source).read(0, 2000)
    around = np.concatenate([values[:1].repeat(2000, 0), values, values[-1:].repeat(2000, 0)])
    found = Resampled(ArraySignal(values, source), rate)
    longer = Resampled(ArraySignal(around, source), rate)
    before = 2000 * rate / source
    assert before == int(before)
    first = int(before)
    expected = longer.read(first, first + found.num_steps)
    np.testing.assert_allclose(found.read(0, found.num_steps), expected, rtol=0, atol=1e-4)


def test_the_number_of_steps_is_rounded_and_the_ratio_exact():
    assert Resampled(noise(1002, rate=200), 50).num_steps == 250
    assert Resampled(noise(1003, rate=200), 50).num_steps == 251
    assert str(Resampled(noise(1000, rate=99.98), 50).ratio) == "2500/4999"
    # Rates that come from a measurement: off by a twentieth of a step at the end.
    measured = Resampled(noise(10**6, 1, rate=249.9871234), 50)
    assert abs(float(measured.ratio) * 10**6 - 10**6 * 50 / 249.9871234) < 0.05
    assert measured.ratio.denominator < module._MOST_TERMS


def test_rates_must_be_known():
    signal = ArraySignal(np.zeros(10), name="x")
    with pytest.raises(ValueError, match="^x: its rate is not known"):
        Resampled(signal, 50)
    assert Resampled(signal, 50, source_rate=100).num_steps == 5
    with pytest.raises(ValueError, match="rate is -1; wanted"):
        Resampled(signal, -1, source_rate=100)
    with pytest.raises(ValueError, match="^x: its rate is not known"):
        LogSpectrogram(signal)


def test_large_whole_numbers_keep_their_small_steps():
    values = 2**28 + np.arange(400) % 8
    signal = Resampled(ArraySignal(values, 200), 50)
    assert np.abs(signal.read(20, 80) - (2**28 + 3.5)).max() <= 32  # float32 at the very end only
    centred = Resampled(ArraySignal(values - 2**28, 200), 50)
    inner = signal._after(1, 20, 80) - 2**28
    assert np.abs(inner.T - centred.read(20, 80)).max() < 1e-5


def test_a_crop_of_minutes_is_read_in_milliseconds():
    signal = Resampled(noise(200 * 1000, 3, rate=200), 50)
    signal.read(0, 10)
    seconds = []
    for start in range(0, 20000, 4000):
        begin = time.process_time()
        signal.read(start, start + 8000)
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.05


@pytest.mark.parametrize(("rate", "hop"), [(8000, 0.01), (22050, 0.01), (8000, 0.0125)])
def test_a_click_lies_in_the_frame_that_covers_it(rate, hop):
    step = round(hop * rate)
    for sample in (0, 5 * step, 7 * step + 1, 9 * step - 1, 11 * step + step // 2, 2999):
        values = np.zeros(3000)
        values[sample] = 1.0
        signal = LogSpectrogram(ArraySignal(values, rate), hop=hop)
        assert (signal.rate, signal.num_steps) == (rate / step, -(-3000 // step))
        found = signal.read(0, signal.num_steps)
        assert found.mean(1).argmax() == sample // step, sample


def test_a_tone_lies_in_its_band_at_its_level():
    signal = LogSpectrogram(ArraySignal(np.zeros(8000), 8000), num_bands=40)
    centres = [float(name.split()[1]) for name in signal.channels]
    assert centres == sorted(centres)
    # By hand: 2595 log10(1 + 4000 / 700) = 2146 mel; band 19 of 40 lies at 20 / 41 of it: 1774 Hz ...
    assert centres[19] == pytest.approx(700 * (10 ** (2146.06 * 20 / 41 / 2595) - 1), abs=1)
    for band in (3, 10, 19, 30, 38):
        tone = ArraySignal(sine(8000, centres[band], 1.0), 8000)
        found = LogSpectrogram(tone, num_bands=40).read(20, 80)
        assert (found.argmax(1) == band).all()
        assert np.abs(found[:, band]).max() < 4


def test_silence_is_the_floor_and_no_band_is_empty():
    silence = LogSpectrogram(ArraySignal(np.zeros((8000, 2)), 8000), num_bands=128, floor=1e-8)
    assert np.allclose(silence.read(0, 100), -80)
    signal = LogSpectrogram(noise(8000, rate=8000), num_bands=128)
    assert (signal.read(10, 90).std(0) > 0.1).all()
    assert signal.channels[0] == "mel 10 Hz"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"high": 5000}, "bands from 0 to 5000 Hz; wanted 0 <= low < high <= 4000"),
        ({"low": 4000}, "bands from 4000 to 4000"),
        ({"window": 0.0005}, r"a window of 0\.0005 s has \d samples at 8000 Hz; wanted at least 8"),
        ({"num_bands": 0}, "num_bands is 0"),
        ({"floor": 0.0}, "floor is 0"),
    ],
)
def test_a_spectrogram_that_cannot_be_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        LogSpectrogram(noise(8000, rate=8000), **options)
