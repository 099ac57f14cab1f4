"""What a model says of recordings that are not like those of its training."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import points_model, points_task
from pages import ROOT, blocks, page
from predicting import predict, signal, write_csv

from spanloc.cli.train import _roots, _show_result
from spanloc.data.inputs import as_input, in_order, open_recording, require_units
from spanloc.data.signals import ArraySignal, LogSpectrogram
from spanloc.facts import DataFacts, InputFacts
from spanloc.inference.streaming import Stream

SOUND = InputFacts(1, 16000.0, features="log_spectrogram", feature_options={"num_bands": 3})


@pytest.fixture
def task():
    task = points_task(points_model(), classes=["a", "b"])
    task.input, task.facts = SOUND, DataFacts(3, 2, 5.0, 30.0)
    return task


def test_integers_are_refused_where_the_model_takes_features_of_sound(task):
    values = np.zeros(16000, np.int16)
    wanted = "dtype is int16; wanted floats .* divide int16 by 32768"
    with pytest.raises(ValueError, match=f"array: {wanted}"):
        task.predict(values, 16000)
    with pytest.raises(ValueError, match=f"the chunk: {wanted}"):
        Stream(task).push(values)
    task.predict(values / 32768, 16000)
    Stream(task).push(values / 32768)
    task.input = InputFacts(3, 10.0)
    task.predict(np.zeros((50, 3), np.int16))


@pytest.mark.parametrize(
    ("rate", "notes"),
    [
        (16000, []),
        (16010, []),
        (16100, ["resampled from 16100 to 16000 Hz"]),
        (15000, ["resampled from 15000 to 16000 Hz"]),
        (8000, ["resampled from 8000 to 16000 Hz: it has nothing above 4000 Hz, so the model may miss spans"]),
    ],
)  # fmt: skip
def test_a_rate_is_noted_if_it_is_more_than_rounding_and_warned_of_if_it_is_lower(rate, notes):
    _, found = as_input(ArraySignal(np.zeros(32000), rate), SOUND)
    assert [note.text for note in found] == notes


def test_volts_are_converted_to_the_unit_of_training_and_other_units_are_one_warning():
    facts = InputFacts(4, 5.0, 0.0, list("abcd"), ["uV", "\N{MICRO SIGN}V", "mV", "g"])
    values = np.arange(40.0).reshape(10, 4)

    def converted(*units):
        signal = ArraySignal(values, 10.0, channels=list("abcd"), units=units)
        found, notes = as_input(signal, facts)
        return found.read(0, 5), [note.text for note in notes[:-1]]

    same, notes = converted("uV", "uV", "mV", "g")
    assert notes == []
    found, notes = converted("mV", "mV", "V", "m/s2")
    np.testing.assert_allclose(found, same * [1000, 1000, 1000, 1], rtol=1e-5)
    assert notes == [
        "the unit of 'a', 'b' is 'mV', in training it was 'uV': the values are converted",
        "the unit of 'c' is 'V', in training it was 'mV': the values are converted",
        "the unit of 'd' is 'm/s2', in training it was 'g': convert the values to the unit of training",
    ]
    with pytest.raises(ValueError, match="unit of the data is 'mV'; the model was trained on 'uV'"):
        require_units(replace(facts, units=["uV", "mV", "mV", "g"]), facts)
    require_units(replace(facts, units=["uV", "uV", "mV", "mg"]), facts)
    require_units(None, facts)
    found, notes = converted("g", "g", "mV", "g")
    assert notes[0].startswith("the unit of 'a', 'b' is 'g', in training it was 'uV': convert the")
    np.testing.assert_array_equal(found, same)


def test_low_rates_of_several_recordings_are_one_warning(cli, named_model, tmp_path, capsys):
    for name, rate in (("a", 5), ("b", 8)):
        write_csv(tmp_path / f"{name}.csv", signal(), rate=rate)
    predict(cli, named_model, tmp_path, "input=.")
    said = "2 of 2 recordings: resampled from 5 and 8 to 10 Hz: they have nothing above half their rate"
    assert f"[WARNING] {said}, so the model may miss spans\n" in capsys.readouterr().out


def test_a_folder_is_called_one(tmp_path, task):
    with pytest.raises(ValueError, match="it is a folder; wanted the file of a recording"):
        task.predict(tmp_path)
    with pytest.raises(ValueError, match=r"a\.doc: suffix is '\.doc'"):
        open_recording(tmp_path / "a.doc", SOUND)


@pytest.mark.parametrize(
    ("there", "trained", "advice"),
    [(2, 1, "[0]"), (4, 3, "[0,1,2]"), (9, 8, "[0,1,2,3,...]"), (1, 2, None)],
)
def test_too_many_channels_are_to_be_chosen_by_number(there, trained, advice):
    recording = ArraySignal(np.zeros((50, there)))
    hint = f"; to choose them by hand: channels={advice}, numbers from 0" if advice else "$"
    wanted = f"it has {there} channels; the model was trained on {trained}"
    with pytest.raises(ValueError, match=wanted + (re.escape(hint) if advice else hint)):
        in_order(recording, InputFacts(trained))


def test_channels_without_a_name_of_training_are_taken_by_number_if_training_took_them_so():
    values = np.arange(8.0).reshape(2, 4)
    trained = InputFacts(2, channels=["C3-A2", "C4-A1"], numbers=[1, 3])
    signal, notes = as_input(ArraySignal(values, channels=["a", "C3", "b", "C4"]), trained)
    assert signal.read(0, 1).tolist() == [[1, 3]]
    (note,) = notes
    assert note.text.endswith("taken by number, as in training: 'C3', 'C4'")
    # Also where recordings of training had other names there.
    signal, _ = as_input(
        ArraySignal(values, channels=["a", "C4", "b", "C3"]), replace(trained, channels=None)
    )
    assert signal.read(0, 1).tolist() == [[1, 3]]
    # By name where names are the same, and an error where only some of them are, or a number is not there.
    signal, notes = as_input(ArraySignal(values[:, :2], channels=["C4-A1", "C3-A2"]), trained)
    assert (signal.read(0, 1).tolist(), notes) == ([[1, 0]], [])
    for other, facts in (
        (["C4-A1", "x", "y", "z"], trained),
        (["x", "y", "z"], trained),
        (["a", "C3", "b", "C4"], replace(trained, numbers=None)),
    ):
        with pytest.raises(ValueError, match="it lacks the channels 'C3-A2'"):
            as_input(ArraySignal(values[:, : len(other)], channels=other), facts)


def test_the_same_advice_on_several_recordings_is_given_once_and_works(
    cli, named_model, tmp_path, capsys
):
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", signal(channels=4))
    predict(cli, named_model, tmp_path, "input=.")
    printed = capsys.readouterr().out
    assert printed.count("it has 4 channels") == 3
    (advice,) = re.findall(r"by hand: '(\S+)', numbers", printed)
    assert set(predict(cli, named_model, tmp_path, "input=.", advice)) == set("abc")


def test_the_next_command_allows_the_packages_of_the_model_alone(tmp_path, capsys):
    plain = {
        "module": {
            "localizer": {
                "_target_": "spanloc.models.Localizer",
                "backbone": {"_target_": "mine.Net"},
            },
            "criterion": {
                "_target_": "spanloc.criterion.Criterion",
                "loss": {"_target_": "losses.of"},
            },
            "optimizer": {"_target_": "torch.optim.AdamW"},
        }
    }
    _show_result(
        {},
        tmp_path / "best.ckpt",
        tmp_path,
        (),
        _roots(plain, ("optimizer", "scheduler", "criterion.")) - {"spanloc"},
    )
    assert capsys.readouterr().out.endswith(" input=FILES 'allow=[mine]'\n")


def test_labels_that_are_no_classes_may_be_ignored_in_an_evaluation(
    cli, refused, named_model, tmp_path
):
    write_csv(tmp_path / "new" / "data" / "a.csv", signal())
    rows = ["sequence,start,end,label", "a,3,6,walk", "a,8,9,noise"]
    (tmp_path / "new" / "annotations.csv").write_text("\n".join(rows))
    words = (f"checkpoint={named_model}", "data.root=new", "hydra.run.dir=out")
    assert "noise" in refused("evaluate", *words, folder=tmp_path)
    found = cli("evaluate", *words, "data.ignore=[noise]", folder=tmp_path)
    assert found == tmp_path, found
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["diagnosis"]["num_targets"] == 1


def test_the_features_of_a_model_of_sound_are_made_as_the_page_says(task, tmp_path, monkeypatch):
    soundfile = pytest.importorskip("soundfile")
    (code,) = (code for code in blocks(page("export.md"), "python") if "LogSpectrogram" in code)
    values = np.random.default_rng(0).normal(0, 0.1, 8000)
    soundfile.write(tmp_path / "recording.wav", values, 16000, "FLOAT")
    monkeypatch.setattr("spanloc.load", lambda path: task)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    wanted = LogSpectrogram(ArraySignal(values.astype(np.float32), 16000.0), num_bands=3)
    np.testing.assert_allclose(np.load("recording.npy"), wanted.read(0, 50), atol=1e-3)


def test_the_numpy_example_wants_the_features_of_a_model_of_sound(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from predict_onnx import read

    np.save(tmp_path / "wave.npy", np.zeros((50, 1), np.float32))
    wanted = r"shape \(50, 1\); wanted \(steps, 64\)"
    for of, more in (({"features": "log_spectrogram"}, ", the log_spectrogram of"), (None, "$")):
        with pytest.raises(SystemExit, match=wanted + more):
            read(str(tmp_path / "wave.npy"), {"num_channels": 64, "input": of})
