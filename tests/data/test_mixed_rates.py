"""Channels of several rates in one file: chosen by rate, or brought to one without losing their time."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from recordings import edf

from spanloc.data import AnnotatedData, read_annotations
from spanloc.data.signals import EdfSignal, MixedRates, Signal, open_signal
from spanloc.data.uniform import uniform
from spanloc.structures import Timeline

RATES = {"EEG Fpz": 100, "Temp": 1, "EEG Pz": 100, "EMG": 10}
SECONDS = 120
# Beyond both ends a channel keeps its value, which reaches this far into the slowest.
INSIDE = 40


def wave(rate, seconds=SECONDS):
    return np.sin(2 * np.pi * 0.1 * (np.arange(round(seconds * rate)) + 0.5) / rate)


def write(path, rates=None, seconds=SECONDS):
    channels = {name: (rate, wave(rate, seconds)) for name, rate in (rates or RATES).items()}
    return edf(path, channels, [(0, 1, "x")])


def seen(signal):
    """Values away from the ends, and what they should be by the middles of their steps."""
    first, last = (round(second * signal.rate) for second in (INSIDE, SECONDS - INSIDE))
    times = (np.arange(first, last) + 0.5) / signal.rate
    return signal.read(first, last), np.sin(2 * np.pi * 0.1 * times)[:, None]


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_channels_of_several_rates_get_the_highest_and_keep_their_time(tmp_path, suffix):
    signal = open_signal(write(tmp_path / f"x{suffix}"))
    assert isinstance(signal, MixedRates)
    assert isinstance(signal, Signal)
    assert (signal.num_steps, signal.rate, signal.channels) == (12_000, 100, tuple(RATES))
    assert signal.rates == list(RATES.values())
    found, expected = seen(signal)
    assert np.abs(found - expected).max() < 1e-3
    whole = signal.read(0, 12_000)
    for first, last in ((0, 1), (0, 0), (5, 1234), (11_999, 12_000), (11_990, 13_000)):
        part = pickle.loads(pickle.dumps(signal)).read(first, last)
        assert np.allclose(part, whole[first:last], rtol=0, atol=1e-6)


def test_another_rate_of_the_file_is_that_of_all_its_channels(tmp_path):
    signal = open_signal(write(tmp_path / "x.edf"))
    # Said to have twice the rate, it lasts half as long.
    fast = signal.at(50, source_rate=200)
    assert (fast.num_steps, fast.ratio, fast.rate) == (3000, 0.25, 50)
    times = (np.arange(3000) + 0.5) / 50
    expected = np.sin(2 * np.pi * 0.2 * times)[1000:2000, None]
    assert np.abs(fast.read(1000, 2000) - expected).max() < 1e-3


def test_some_of_its_channels_are_read_without_the_others(tmp_path):
    signal = open_signal(write(tmp_path / "x.edf"))
    whole = signal.read(500, 900)
    for numbers in ([2, 0], [1], [3, 2], [1, 3]):
        some = signal.only(numbers)
        assert isinstance(some, EdfSignal) is (numbers == [2, 0])
        assert (some.rate, some.num_steps) == (100, 12_000)
        assert some.channels == tuple(signal.channels[i] for i in numbers)
        assert np.allclose(some.read(500, 900), whole[:, numbers], rtol=0, atol=1e-6)
    assert signal.at(50).only([1]).rate == 50


def test_chosen_channels_of_one_rate_are_read_as_they_are(tmp_path):
    path = write(tmp_path / "x.edf")
    for channels in (["EEG Pz", "EEG Fpz"], [2, 0]):
        signal = open_signal(path, channels=channels, on_rate="error")
        assert isinstance(signal, EdfSignal)
        assert (signal.channels, signal.rate) == (("EEG Pz", "EEG Fpz"), 100)
        assert np.abs(signal.read(0, 12_000) - wave(100)[:, None]).max() < 1e-4
    slow = open_signal(path, channels=["Temp"])
    assert (slow.rate, slow.num_steps) == (1, SECONDS)
    two = open_signal(path, channels=["Temp", "EMG"])
    assert (two.rate, two.num_steps, two.channels) == (10, 1200, ("Temp", "EMG"))


def test_several_rates_are_refused_on_request_with_each_channel(tmp_path):
    path = write(tmp_path / "x.edf")
    with pytest.raises(ValueError) as caught:
        open_signal(path, on_rate="error")
    shown = ", ".join(f"'{name} at {rate} Hz'" for name, rate in RATES.items())
    assert str(caught.value) == (
        f"{path}: its channels differ in their rate: {shown}; wanted one: choose some with "
        "data.channels, or set data.on_rate=resample"
    )
    with pytest.raises(ValueError, match="data.on_rate is 'skip'; wanted 'resample' or 'error'"):
        open_signal(path, on_rate="skip")


@pytest.mark.parametrize("label", ["EDF Annotations", "EDF annotations"])
def test_annotations_are_no_channel_in_any_spelling(tmp_path, label):
    path = write(tmp_path / "x.edf")
    content = path.read_bytes().replace(b"EDF Annotations", label.encode())
    path.write_bytes(content)
    assert open_signal(path).channels == tuple(RATES)
    with pytest.raises(ValueError, match="has no channel 4; it has 4, counted from 0"):
        open_signal(path, channels=[4])
    with pytest.raises(ValueError, match=f"has no channel '{label}'"):
        open_signal(path, channels=[label])


def test_a_signal_without_a_range_matters_only_where_it_is_chosen(tmp_path):
    path = write(tmp_path / "x.edf", {"a": 100, "b": 1})
    content = bytearray(path.read_bytes())
    # Three signals with the annotations: the physical minima begin at 256 + 3 * (16 + 80 + 8).
    content[576:584] = b"1       "
    path.write_bytes(content)
    assert open_signal(path, channels=["a"]).num_steps == 12_000
    with pytest.raises(ValueError, match="signal 'b' has no range"):
        open_signal(path)


def test_a_file_of_one_record_is_read(tmp_path):
    path = write(tmp_path / "x.edf", {"a": 100, "b": 1}, seconds=1)
    signal = open_signal(path)
    assert signal.read(0, 100).shape == (100, 2)
    assert np.isfinite(signal.read(0, 100)).all()
    # One value of the slow channel: there is nothing between it and the ends.
    assert np.ptp(signal.read(0, 100)[:, 1]) < 1e-6


def test_a_stretch_of_a_long_recording_does_not_read_the_rest(tmp_path, monkeypatch):
    path = write(tmp_path / "x.edf", {"EEG": 256, "Temp": 1}, seconds=10)
    # 100,000 s, of which all but the first 10 lie in a hole of the file.
    content = bytearray(path.read_bytes())
    size = (len(content) - int(content[184:192])) // 10
    content[236:244] = b"100000  "
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.truncate(int(content[184:192]) + 100_000 * size)
    asked = []
    usual = EdfSignal.read
    monkeypatch.setattr(
        EdfSignal, "read", lambda s, a, b: asked.append((b - a) / s.rate) or usual(s, a, b)
    )
    signal = open_signal(path)
    signal.read(0, 1)
    tracemalloc.start()
    assert signal.read(256 * 50_000, 256 * 50_030).shape == (256 * 30, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 30 s, and for the slow channel what its filter needs before and after.
    assert max(asked) < 30 + 120
    assert peak < 8e6 < path.stat().st_size / 5


def folder(root, rates, spans="start,end,label\n10,20,a\n30.5,41,b\n"):
    (root / "data").mkdir(parents=True)
    for name, own in rates.items():
        write(root / "data" / f"{name}.edf", own)
    rows = [f"{name},{row}" for name in rates for row in spans.split("\n")[1:-1]]
    (root / "annotations.csv").write_text("sequence,start,end,label\n" + "\n".join(rows) + "\n")
    return root


def test_spans_keep_their_seconds_and_the_notes_say_what_was_resampled(tmp_path):
    root = folder(tmp_path, {"a": RATES, "b": RATES, "c": {"EEG Fpz": 100, "EEG Pz": 100}})
    data = AnnotatedData(root, channels=["EEG Fpz"], val_share=0.4, test_share=0.0)
    data.setup()
    left = "not used: 'EEG Pz', 'EMG', 'Temp'"
    assert data.notes[0] == f"channels used: 'EEG Fpz' (in all 3 recordings); {left}"
    assert not any("resampled" in note for note in data.notes)
    found = read_annotations(root).subsets["training"][:2]
    for rate in (None, 50, 100, 20):
        records, notes = uniform(found, rate=rate)
        (note,) = notes
        others = {own: [] for own in RATES.values() if own != (rate or 100)}
        for name, own in RATES.items():
            if own in others:
                others[own].append(repr(name))
        texts = [f"{', '.join(of)} ({own} Hz, in all 2 recordings)" for own, of in others.items()]
        assert note == f"resampled to {rate or 100} Hz: {'; '.join(texts)}"
        for record in records:
            assert record.timeline == Timeline(1 / (rate or 100), 0.0)
            seconds = record.spans * record.timeline.seconds_per_step
            torch.testing.assert_close(seconds, torch.tensor([[10.0, 20.0], [30.5, 41.0]]))
            values, expected = seen(record.signal)
            assert np.abs(values - expected).max() < 1e-3
    with pytest.raises(ValueError, match=r"a\.edf: its channels differ in their rate"):
        uniform(found, on_rate="error")
    with pytest.raises(ValueError, match=r"a\.edf: its channels differ in their rate"):
        AnnotatedData(root, on_rate="error").setup()


def test_the_note_counts_the_recordings_of_a_rate_and_leaves_out_channels_that_are_not_used(
    tmp_path,
):
    root = folder(tmp_path, {"a": RATES, "b": RATES, "c": RATES | {"EMG": 20, "Temp": 200}})
    found = read_annotations(root).subsets["training"]
    notes = uniform(found)[1]
    assert notes == [
        "resampled to 100 Hz: 'Temp' (1 Hz, in 2 recordings); 'EMG' (10 Hz, in 2 recordings); "
        "'Temp' (200 Hz, in 1 recording); 'EMG' (20 Hz, in 1 recording)"
    ]
    # All that is used of the third has 100 Hz too, whatever the rest of it.
    records, notes = uniform(found, channels=["EEG Pz"])
    assert [note.partition(":")[0] for note in notes] == ["channels used"]
    assert [record.num_steps for record in records] == [100 * SECONDS] * 3


def test_numbers_of_channels_are_those_of_each_file_and_are_taken_once(tmp_path):
    root = folder(tmp_path, {"a": RATES, "b": {"Temp": 1, "EMG": 10, "other": 100}})
    data = AnnotatedData(root, channels=[2], val_share=0.4, test_share=0.0)
    data.setup()
    assert data.num_channels == 1
    names = [r.signal.channels for rs in data.annotations.subsets.values() for r in rs]
    assert names == [("EEG Pz",), ("other",)]
    assert data.notes[0] == "channels used: '2' (in all 2 recordings)"
    # A model that is trained on them takes others by number too.
    assert data.input.numbers == [2]


def test_wfdb_signals_of_several_samples_a_frame_have_their_own_rate(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wfdb = pytest.importorskip("wfdb")
        samples = [wave(100), wave(100), wave(1)]
        wfdb.wrsamp(
            "x", fs=1, units=["mV"] * 3, sig_name=["I", "II", "Temp"], e_p_signal=samples,
            samps_per_frame=[100, 100, 1], fmt=["16"] * 3, write_dir=str(tmp_path),
        )  # fmt: skip
    signal = open_signal(tmp_path / "x.hea")
    assert (signal.num_steps, signal.rate, signal.rates) == (12_000, 100, [100, 100, 1])
    found, expected = seen(signal)
    assert np.abs(found - expected).max() < 1e-3
    one = open_signal(tmp_path / "x.hea", channels=["II"], on_rate="error")
    assert (one.rate, one.channels) == (100, ("II",))
    assert np.abs(one.read(150, 999)[:, 0] - wave(100)[150:999]).max() < 1e-3
