"""Recordings of different rates and channels become uniform, and say what was done."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from spanloc.data import Record
from spanloc.data.signals import ArraySignal
from spanloc.data.uniform import uniform
from spanloc.structures import Timeline

EEG = ("EEG1", "EEG2")


def record(name, rate, seconds=10.0, channels=EEG, subset="training", known=True, num_channels=2):
    """Of a sine of 2 Hz, with a span from 1 s to 2.5 s and one from 8 s to the end."""
    names = channels if known else None
    count = len(channels) if known else num_channels
    times = (np.arange(round(seconds * rate)) + 0.5) / rate
    values = np.sin(4 * np.pi * times)[:, None] + np.arange(count)
    return Record(
        id=name,
        signal=ArraySignal(values, rate if known else None, names, name=f"/data/{name}.edf"),
        subset=subset,
        subject=None,
        timeline=Timeline(1 / rate, 3.0),
        spans=torch.tensor([[1.0, 2.5], [8.0, seconds]]) * rate,
        labels=torch.tensor([1, 0]),
        weight=1.0,
        ignored=torch.tensor([[4.0, 5.0]]) * rate,
    )


def test_recordings_that_are_uniform_stay_as_they_are():
    records = [record("a", 50), record("b", 50 * (1 + 1e-8), 20)]
    found, notes = uniform(records)
    assert notes == []
    assert [r.signal for r in found] == [r.signal for r in records]
    assert found[0].timeline == found[1].timeline
    assert uniform([]) == ([], [])
    # Names that only some have are no conflict.
    assert uniform([record("a", 50, known=False), record("b", 50)])[1] == []


@pytest.mark.parametrize("known", [True, False])
def test_spans_keep_their_seconds_when_the_rate_changes(known):
    records = [record("a", 50, 30, known=known), record("b", 100, known=known)]
    records.append(record("c", 62.5, 10.01, known=known))
    found, notes = uniform(records)
    assert notes == ["2 of 3 recordings resampled from 62.5 and 100 to 50 Hz"]
    for old, new in zip(records, found, strict=True):
        assert new.timeline == Timeline(1 / 50, 3.0)
        assert new.num_steps == round(old.num_steps * old.timeline.seconds_per_step * 50)
        step = new.timeline.seconds_per_step
        seconds = old.spans * old.timeline.seconds_per_step
        # The end of the recording may be cut by half a step.
        assert (new.spans * step - seconds).abs().max() <= 0.5 * step + 1e-5
        assert torch.allclose(new.spans[0] * step, torch.tensor([1.0, 2.5]))
        assert torch.allclose(new.ignored * step, torch.tensor([[4.0, 5.0]]))
        assert new.spans.dtype == torch.float32
        assert new.spans.max() <= new.num_steps
        assert new.labels.tolist() == [1, 0]
        times = (np.arange(new.num_steps) + 0.5) * step
        values = pickle.loads(pickle.dumps(new.signal)).read(100, 400)
        assert np.abs(values[:, 0] - np.sin(4 * np.pi * times)[100:400]).max() < 1e-3


def test_the_rate_is_that_of_most_seconds_of_training_unless_it_is_given():
    records = [
        record("a", 100, 40, subset="testing"), record("b", 50, 14), record("c", 200, 7),
        record("d", 200, 6),
    ]  # fmt: skip
    # 13 s at 200 Hz, 14 s at 50 Hz; 40 s at 100 Hz are for testing.
    assert {r.timeline.seconds_per_step for r in uniform(records)[0]} == {1 / 50}
    (more, *_), _ = uniform([*records, record("e", 200, 9)])
    assert more.timeline.seconds_per_step == 1 / 200
    assert {r.timeline.seconds_per_step for r in uniform(records, rate=25)[0]} == {1 / 25}
    tests = [replace(r, subset="testing") for r in records]
    assert {r.timeline.seconds_per_step for r in uniform(tests)[0]} == {1 / 100}
    same = [record("a", 50), record("b", 100)]
    assert {r.timeline.seconds_per_step for r in uniform(same)[0]} == {1 / 100}


def test_another_rate_is_refused_on_request_with_the_file():
    records = [record("a", 50, 30), record("b", 100)]
    with pytest.raises(ValueError, match=r"^/data/b\.edf: rate is 100; wanted 50$"):
        uniform(records, on_rate="error")
    with pytest.raises(ValueError, match=r"^/data/a\.edf: rate is 50; wanted 20$"):
        uniform(records, on_rate="error", rate=20)
    assert uniform(records[:1], on_rate="error")[1] == []
    with pytest.raises(ValueError, match="on_rate is 'skip'; wanted 'resample' or 'error'"):
        uniform(records, on_rate="skip")
    with pytest.raises(ValueError, match="rate is -1"):
        uniform(records, rate=-1)


def test_a_span_that_nothing_is_left_of_is_left_out_and_counted():
    # 10.4 s become 10 steps.
    old = record("a", 10, 10.4)
    old = replace(old, spans=torch.tensor([[10.0, 20.0], [101.0, 104.0]]))
    (new,), notes = uniform([old], rate=1)
    assert (new.spans.tolist(), new.labels.tolist()) == ([[1.0, 2.0]], [1])
    assert notes[1] == "1 spans left out, which have no length at 1 Hz"


def test_channels_are_those_that_all_have_in_the_order_of_the_first():
    records = [
        record("a", 50, channels=("EEG2", "EMG", "EEG1")),
        record("b", 50, channels=("EEG1", "EEG2")),
        record("c", 50, channels=("EEG2", "EEG1")),
    ]
    found, notes = uniform(records)
    assert [r.signal.channels for r in found] == [("EEG2", "EEG1")] * 3
    # Channel i of each signal was made with the mean i.
    means = [[round(float(m)) for m in r.signal.read(0, 500).mean(0)] for r in found]
    assert means == [[0, 2], [1, 0], [0, 1]]
    wanted = "channels used: 'EEG2', 'EEG1' (in all 3 recordings); not used: 'EMG'"
    assert notes == [wanted]


def test_a_recording_without_most_of_the_usual_channels_is_named():
    usual = ("C3", "C4", "O1", "chin")
    records = [record(name, 50, channels=usual) for name in "abc"]
    records.append(record("d", 50, channels=("C3-M2", "C4-M2", "O1-M2", "chin")))
    message = (
        r"d\.edf: lacks 3 of the 4 channels that most recordings have: 'C3', 'C4', 'O1'; it has 'C3-M2', .*"
        r"Rename its channels, choose them by number if their order is the same \('data\.channels=\[0,1,2,3\]'\), or "
        "leave it out$"
    )
    with pytest.raises(ValueError, match=message):
        uniform(records)
    assert uniform(records, channels=[0, 1, 2, 3])[0][3].signal.num_channels == 4
    assert uniform(records, channels=["chin"])[0][0].signal.channels == ("chin",)
    for other, end in (
        ("abcd", "choose them by number"),
        ("abc", "Rename its channels, or leave it out"),
    ):
        records[3] = record("d", 50, channels=tuple(other))
        with pytest.raises(ValueError, match=rf"d\.edf: lacks 4 of the 4 channels .*{end}"):
            uniform(records)
    records[3] = record("d", 50, channels=("C3", "C4", "M1"))
    assert uniform(records)[0][0].signal.channels == ("C3", "C4")
    twice = ("x", "x", "y", "y", "z", "z", "EMG")  # names that no recording has once
    both = [record("a", 50, channels=twice), record("b", 50, channels=twice[::-1])]
    assert uniform(both)[0][1].signal.channels == ("EMG",)


def test_volts_are_converted_to_the_units_of_the_first_recording():
    records = [record("a", 50), record("b", 50), record("c", 100)]
    for old, units in zip(
        records, (("uV", "g"), ("\N{MICRO SIGN}V", "g"), ("mV", "mg")), strict=True
    ):
        old.signal.units = units
    found, notes = uniform(records)
    assert [r.signal.units for r in found] == [("uV", "g"), ("\N{MICRO SIGN}V", "g"), ("uV", "g")]
    plain = uniform([record("a", 50), record("b", 50), record("c", 100)])[0][2].signal.read(0, 400)
    np.testing.assert_allclose(found[2].signal.read(0, 400), plain * [1000, 1], rtol=1e-5)
    assert notes[0] == "1 of 3 recordings converted to the units of /data/a.edf: 'uV', 'g'"


def test_a_name_that_a_recording_has_twice_is_not_shared():
    records = [record("a", 50, channels=("x", "x", "EMG")), record("b", 50, channels=("x", "EMG"))]
    assert [r.signal.channels for r in uniform(records)[0]] == [("EMG",)] * 2


def test_channels_are_chosen_by_name_or_number():
    records = [record("a", 50, channels=("EEG1", "EMG")), record("b", 100, channels=("EMG", "x"))]
    found, notes = uniform(records, channels=["EMG"])
    assert [r.signal.channels for r in found] == [("EMG",)] * 2
    assert notes[0] == "channels used: 'EMG' (in all 2 recordings); not used: 'EEG1', 'x'"
    assert notes[1] == "1 of 2 recordings resampled from 50 to 100 Hz"
    found, notes = uniform(records, channels=[1])
    assert [r.signal.channels for r in found] == [("EMG",), ("x",)]
    assert notes[0] == "channels used: '1' (in all 2 recordings)"
    assert uniform(records[:1], channels=["EEG1", "EMG"])[1] == []
    with pytest.raises(ValueError, match=r"b\.edf: has no channel 'EEG1'; it has 'EMG', 'x'$"):
        uniform(records, channels=["EEG1"])
    with pytest.raises(ValueError, match=r"a\.edf: has no channel 2; it has 2, counted from 0"):
        uniform(records, channels=[2])


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ((EEG, 3), r"^/data/1\.edf: has 3 channels without names; /data/0\.edf has 2 channels: 'EEG1', 'EEG2'"),
        ((EEG, ("x", "y")), r"1\.edf: has 2 channels: 'x', 'y'; /data/0\.edf has 2 channels"),
        ((2, 2, 4), r"2\.edf: has 4 channels without names; /data/0\.edf has 2"),
        ((2, EEG, ("x", "y")), r"2\.edf: has 2 channels: 'x', 'y'; /data/1\.edf"),
    ],
)  # fmt: skip
def test_channels_that_cannot_be_matched_are_refused_with_two_files(channels, said):
    records = []
    for i, own in enumerate(channels):
        known = not isinstance(own, int)
        more = {"channels": own} if known else {"num_channels": own}
        records.append(record(str(i), 50, known=known, **more))
    with pytest.raises(ValueError, match=said):
        uniform(records)
    assert {r.signal.num_channels for r in uniform(records, channels=[1, 0])[0]} == {2}
