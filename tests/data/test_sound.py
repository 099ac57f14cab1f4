"""Recordings of sound are seen as bands of frequencies, unless the config says otherwise."""

import math

import numpy as np
import pytest
import soundfile
import torch

from spanloc.data import AnnotatedData, read_annotations


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Makes a folder of recordings with one span each."""

    def make(rate=2000, seconds=0.06):
        root = tmp_path_factory.mktemp("sounds")
        (root / "data").mkdir()
        rng = np.random.default_rng(0)
        for i in range(6):
            values = rng.integers(-9000, 9000, 3 * rate).astype(np.int16)
            soundfile.write(root / "data" / f"rec{i}.wav", values, rate)
        rows = "".join(f"rec{i},1.0,{1.0 + seconds},chirp\n" for i in range(6))
        (root / "annotations.csv").write_text(f"sequence,start,end,label\n{rows}")
        return root

    return make


def set_up(root, **settings):
    data = AnnotatedData(root, **settings)
    data.setup()
    return data


@pytest.mark.parametrize(("seconds", "hop"), [(0.01, 0.002), (0.06, 0.005), (1.0, 0.01)])
def test_frames_are_as_close_as_short_spans_need(sounds, seconds, hop):
    data = set_up(sounds(seconds=seconds))
    assert data.features == "log_spectrogram"
    assert data.feature_options == {"hop": hop, "window": 2.5 * hop}
    assert data.num_channels == 64
    assert math.isclose(data.seconds_per_step, hop)
    assert data.input.features == "log_spectrogram"


@pytest.mark.parametrize(("hop", "found", "window"), [(0.02, 0.02, 0.05), (None, 0.005, 0.0125)])
def test_options_that_are_set_stay_and_one_that_is_null_is_left_open(sounds, hop, found, window):
    data = set_up(sounds(), feature_options={"num_bands": 8, "hop": hop})
    assert data.feature_options == {"num_bands": 8, "hop": found, "window": window}
    assert data.num_channels == 8


def test_features_of_annotations_that_were_read_before_are_those_of_the_folder(sounds):
    root = sounds()
    one, other = set_up(root), set_up(read_annotations(root))
    assert torch.equal(one.train_set[0].features, other.train_set[0].features)
    assert (one.notes, one.num_channels) == (other.notes, other.num_channels)


@pytest.mark.parametrize(("rate", "settings"), [(2000, {"features": "none"}), (100, {})])
def test_a_model_sees_the_samples_without_features_and_of_slow_sound(sounds, rate, settings):
    data = set_up(sounds(rate, 0.5), **settings)
    assert (data.features, data.num_channels, data.seconds_per_step) == (None, 1, 1 / rate)
    assert data.input.features is None


def test_options_of_no_features_are_refused(sounds):
    with pytest.raises(ValueError, match="feature_options is set, and no data.features"):
        set_up(sounds(100, 0.5), feature_options={"num_bands": 8})


@pytest.mark.parametrize("rate", [1000, 1600, 4000])
def test_a_window_has_the_samples_that_it_needs(sounds, rate):
    data = set_up(sounds(rate, 0.012))
    assert 0.002 <= data.feature_options["hop"] <= 0.004
    assert round(data.feature_options["window"] * rate) >= 8
    assert len(data.train_set[0].features) == 64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_options": {"hop": "a"}}, "_options.hop is 'a'; wanted a number, above 0"),
        ({"feature_options": {"hop": 0}}, "_options.hop is 0; wanted a number, above 0"),
        ({"feature_options": {"low": -1}}, "_options.low is -1; wanted a number, at least 0"),
        ({"feature_options": {"bands": 8}}, "_options.bands: .* some of window, hop, num_bands, low, high, floor$"),
        ({"features": "mel"}, "s is 'mel'; wanted one of log_spectrogram, none"),
    ],
)  # fmt: skip
def test_settings_of_features_that_cannot_be_are_named_before_files_are_read(settings, message):
    with pytest.raises(ValueError, match=f"^data.feature{message}"):
        AnnotatedData("nowhere", **settings)


def test_sound_beside_other_signals_is_seen_as_samples_and_that_is_said(sounds):
    root = sounds(2000, 0.5)
    values, _ = soundfile.read(root / "data" / "rec0.wav", dtype="float32")
    (root / "data" / "rec0.wav").unlink()
    np.save(root / "data" / "rec0.npy", values)
    data = set_up(root, fps=2000)
    assert data.features is None
    assert any("not all recordings are sound" in note for note in data.notes)
