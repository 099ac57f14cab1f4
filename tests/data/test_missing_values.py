"""Missing values in recordings."""

import numpy as np
import pandas as pd
import pytest

from spanloc.data import AnnotatedData, from_arrays
from spanloc.data.inputs import as_input, without_gaps
from spanloc.data.signals import ArraySignal, Filled, MixedRates

NOTHING_HELD_OUT = {"val_share": 0, "test_share": 0}


def with_gaps(steps, rng, channels=3):
    """Noise with gaps of all lengths, and at least one value in every channel."""
    values = rng.normal(size=(steps, channels)).astype(np.float32)
    for _ in range(8):
        first, channel = rng.integers(steps), rng.integers(channels)
        values[first : first + rng.integers(1, steps), channel] = np.nan
    values[rng.integers(steps)] = 0.5
    return values


@pytest.mark.parametrize("seed", range(4))
def test_missing_values_are_interpolated_between_their_neighbours_in_every_stretch(seed):
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(2, 6000))
    values = with_gaps(steps, rng)
    signal = Filled(ArraySignal(values))
    whole = signal.read(0, steps)
    wanted = pd.DataFrame(values).interpolate(limit_direction="both")
    assert np.allclose(whole, wanted, atol=1e-6)
    for _ in range(20):
        first = int(rng.integers(steps))
        last = int(rng.integers(first, steps)) + 1
        assert np.array_equal(signal.read(first, last), whole[first:last])


def test_values_that_are_there_stay_also_infinite_ones():
    values = np.array([[1.0, np.inf], [np.nan, 2.0], [3.0, np.nan]])
    found = Filled(ArraySignal(values)).read(0, 3)
    assert found.tolist() == [[1, np.inf], [2, 2], [3, 2]]


def test_a_channel_without_any_value_is_refused():
    values = np.ones((50, 2))
    values[:, 1] = np.nan
    signal = Filled(ArraySignal(values, channels=["x", "hr"]))
    with pytest.raises(
        ValueError, match=r"channel 'hr' has no value in the whole recording; leave"
    ):
        signal.read(10, 20)


def spoil(folder, name="s0", channel=0):
    path = folder / "data" / f"{name}.npy"
    values = np.load(path)
    values[20:30, channel] = np.nan
    np.save(path, values)


def test_missing_values_are_refused_with_the_setting_that_fills_them(annotated):
    spoil(annotated)
    data = AnnotatedData(annotated)
    data.setup()
    with pytest.raises(ValueError, match=r"s0\.npy: row 20, column 0 is nan; missing='interpol"):
        data.statistics()
    with pytest.raises(ValueError, match="missing is 'fill'; wanted 'interpolate' or 'error'"):
        AnnotatedData(annotated, missing="fill").setup()


def test_training_sees_interpolated_values_and_a_checkpoint_keeps_the_setting(annotated):
    spoil(annotated)
    data = AnnotatedData(annotated, missing="interpolate", val_share=0)
    data.setup()
    assert all(
        bool(data.train_set[i].features.isfinite().all()) for i in range(len(data.train_set))
    )
    assert all(bool(value.isfinite().all()) for value in data.statistics())
    assert data.input.missing == "interpolate"
    recording = ArraySignal(np.array([[1.0, 0.0], [np.nan, 0.0], [3.0, 0.0]]), 10.0)
    assert as_input(recording, data.input)[0].read(0, 3)[:, 0].tolist() == [1, 2, 3]
    refused, _ = as_input(recording, data.input, missing="error")
    assert np.isnan(refused.read(0, 3)[1, 0])


def test_missing_values_are_filled_before_a_recording_is_resampled(tmp_path):
    time = np.arange(200) / 20
    values = np.stack([np.sin(time), time], 1)
    values[50:55, 0] = np.nan
    signals = {name: values if name == "a" else values[:100] for name in "abc"}
    spans = {"a": [(1, 2)], "b": [(1, 2)], "c": [(1, 2)]}
    rates = {"a": 20, "b": 10, "c": 10}
    data = from_arrays(signals, spans, rate=rates, missing="interpolate", **NOTHING_HELD_OUT)
    data.setup()
    (found,) = (sample.features for sample in data.train_set if sample.id == "a")
    assert found.shape == (2, 100)
    assert np.allclose(found[0, 5:-5], np.sin(np.arange(5, 95) / 10 + 0.025), atol=0.01)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_gap_in_the_times_is_refused_or_filled(tmp_path, suffix):
    times = np.arange(300) / 10
    times[100:] += 5
    table = pd.DataFrame({"Uhr": times, "x": times})
    (tmp_path / "data").mkdir()
    for name in "abc":
        path = tmp_path / "data" / f"{name}.{suffix}"
        table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    rows = "".join(f"{name},16,18\n" for name in "abc")
    (tmp_path / "annotations.csv").write_text(f"sequence,start,end\n{rows}")
    named = {"columns": {"time": "Uhr"}, **NOTHING_HELD_OUT}
    for options, said in (
        ({}, "it has the columns 'Uhr', 'x'; name .* 'data.columns={time: NAME}', or set fps"),
        ({"channels": ["x"]}, "it has the columns 'Uhr', 'x'; name"),
        (named, "5.1 s of its times are missing, from 9.9 s on; data.missing=interp"),
        (named | {"on_rate": "error"}, "column 'Uhr' is not regular: .* data.on_rate=resample"),
        (named | {"unit": "steps"}, "the times of .* are not regular, so that rows are not steps"),
    ):
        with pytest.raises(ValueError, match=said):
            AnnotatedData(tmp_path, **options).setup()
    data = AnnotatedData(tmp_path, missing="interpolate", **named)
    data.setup()
    assert (data.num_channels, data.input.channels, data.input.time) == (1, ["x"], "Uhr")
    assert data.notes[0].startswith("the times of 3 of 3 recordings are not regular: interpolated")
    assert data.notes[1].startswith(
        "gaps in the times of 3 of 3 recordings filled by interpolation, as"
    )
    assert data.notes[1].endswith("1 gap (5.1 s from 9.9 s)")
    sample = data.train_set[0]
    assert sample.spans.tolist() == [[160, 180]]
    assert np.allclose(sample.features[0], np.arange(350) / 10, atol=1e-5)


def test_channels_of_several_rates_are_filled_before_they_are_resampled():
    slow = np.sin(np.arange(60) / 5)[:, None]
    fast = np.zeros((60 * 32, 1))
    parts = [ArraySignal(fast, 32.0), ArraySignal(slow.copy(), 1.0)]
    order = [(0, 0), (1, 0)]
    whole = MixedRates(parts, order).read(0, 60 * 32)
    parts[1] = ArraySignal(np.where(np.arange(60)[:, None] == 30, np.nan, slow), 1.0)
    filled = without_gaps(MixedRates(parts, order), "interpolate")
    found = filled.read(0, 60 * 32)
    assert np.abs(found - whole).max() < 0.05
    for first, last in ((0, 100), (900, 1100), (1800, 1920)):
        assert np.allclose(filled.read(first, last), found[first:last], atol=1e-6)
