"""Recordings of sound are seen as bands of frequencies, unless the config says otherwise."""

import csv
import math
import wave

import numpy as np
import pytest

from spanloc.data import AnnotatedData


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Makes a folder of recordings with one span each."""

    def make(rate=2000, seconds=0.06):
        root = tmp_path_factory.mktemp("sounds")
        (root / "data").mkdir()
        rng = np.random.default_rng(0)
        for i in range(6):
            with wave.open(str(root / "data" / f"rec{i}.wav"), "wb") as file:
                file.setparams((1, 2, rate, 0, "NONE", ""))
                file.writeframes(rng.integers(-9000, 9000, 3 * rate).astype("<i2").tobytes())
        with (root / "annotations.csv").open("w", newline="") as file:
            spans = [(f"rec{i}", 1.0, 1.0 + seconds, "chirp") for i in range(6)]
            csv.writer(file).writerows([("sequence", "start", "end", "label"), *spans])
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


def test_options_that_are_set_stay(sounds):
    data = set_up(sounds(), feature_options={"num_bands": 8, "hop": 0.02})
    assert data.feature_options == {"num_bands": 8, "hop": 0.02, "window": 0.05}
    assert data.num_channels == 8


@pytest.mark.parametrize(("rate", "settings"), [(2000, {"features": "none"}), (100, {})])
def test_the_samples_themselves(sounds, rate, settings):
    data = set_up(sounds(rate, 0.5), **settings)
    assert (data.features, data.num_channels, data.seconds_per_step) == (None, 1, 1 / rate)
    assert data.input.features is None


def test_options_of_no_features_are_refused(sounds):
    with pytest.raises(ValueError, match="feature_options is set, and no data.features"):
        set_up(sounds(100, 0.5), feature_options={"num_bands": 8})
    with pytest.raises(ValueError, match=r"feature_options.bands: .* wanted some of window, hop"):
        AnnotatedData("nowhere", feature_options={"bands": 8})
    with pytest.raises(ValueError, match="wanted one of log_spectrogram, none"):
        AnnotatedData("nowhere", features="mel")
