"""``spanloc-predict``: rates and channels that differ from those of training, and mistakes in one line."""

import dataclasses
import shlex
import shutil
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import torch
from predicting import PREDICT, RATE, outputs, predict, signal, spans_of, write_csv

import spanloc
from spanloc.cli import predict as predict_command
from spanloc.cli.train import _show_result
from spanloc.inference.recordings import find_recordings


def smooth(rate, *, seconds=20):
    """The same slow signal at any rate, values in the middle of their steps."""
    times = (np.arange(seconds * rate) + 0.5) / rate
    return np.column_stack([np.sin(times + i) for i in range(3)])


def close(found, other):
    assert [row[2] for row in found] == [row[2] for row in other]
    np.testing.assert_allclose([row[:2] for row in found], [row[:2] for row in other], atol=0.05)


def test_another_unit_is_a_warning_that_says_what_to_do(
    cli, named_model, tmp_path, monkeypatch, capsys
):
    task = spanloc.load(named_model)
    task.input = dataclasses.replace(task.input, units=["g", "g", "g"])
    monkeypatch.setattr(predict_command, "load_models", lambda *args, **options: task)
    write_csv(tmp_path / "a.csv", signal())
    names, rows = (tmp_path / "a.csv").read_text().split("\n", 1)
    (tmp_path / "a.csv").write_text(f"{names}\ns,g,mV,g\n{rows}")
    predict(cli, named_model, tmp_path, "input=a.csv")
    said = "a: the unit of 'y' is 'mV', in training it was 'g': convert the values to the unit of training"
    assert f"[WARNING] {said}\n" in capsys.readouterr().out


@pytest.mark.parametrize("rate", [25, 50, 7.5])
def test_another_rate_is_resampled_and_said(cli, named_model, tmp_path, rate, capsys):
    write_csv(tmp_path / "same.csv", smooth(RATE))
    write_csv(tmp_path / "other.csv", smooth(rate, seconds=20.1), rate=rate)
    found = predict(cli, named_model, tmp_path, "input=[same.csv,other.csv]")
    assert f"other: resampled from {rate:g} to {RATE} Hz" in capsys.readouterr().out
    assert len(found["same"]) == len(found["other"]) > 3
    ends = [row[1] for row in found["other"]]
    # Of a step that is only partly there, nothing is past the end.
    assert max(ends) <= len(smooth(rate, seconds=20.1)) / rate
    best = [max(found[name], key=lambda row: row[3]) for name in ("same", "other")]
    assert best[0][2:3] == best[1][2:3]
    np.testing.assert_allclose(best[0][:2], best[1][:2], atol=0.3)


def test_another_rate_is_refused_where_that_is_wanted(cli, named_model, tmp_path):
    write_csv(tmp_path / "a.csv", smooth(50), rate=50)
    stop = predict(cli, named_model, tmp_path, "input=a.csv", "on_rate=error")
    assert stop.endswith("error: a.csv: rate is 50; wanted 10 (on_rate)")


def test_a_rate_that_the_file_does_not_say_is_set_or_assumed(cli, named_model, tmp_path, capsys):
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", smooth(20))
    said = predict(cli, named_model, tmp_path, "input=a.npy", "rate=20")
    assert max(row[1] for row in said["a"]) <= 20
    assert "the rate is not" not in capsys.readouterr().out
    assumed = predict(cli, named_model, tmp_path, "input=[a.npy,b.npy]")
    assert max(row[1] for row in assumed["a"]) > 20
    # One line for all of them.
    printed = capsys.readouterr().out
    assert printed.count("the rate is not") == 1
    assert "2 of 2 recordings: the rate is not in the file: taken as 10 Hz, as in" in printed
    # One that cannot be predicted on does not count.
    np.save(tmp_path / "c.npy", np.zeros((40, 2)))
    predict(cli, named_model, tmp_path, "input=[a.npy,b.npy,c.npy]")
    assert "2 of 3 recordings ('a', 'b'): the rate is not in the file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stride", "rate", "warned"), [(16, 20, True), (16, 15, False), (None, 20, False)]
)
def test_the_rate_of_the_frames_of_a_video_is_a_warning(
    cli, named_model, tmp_path, monkeypatch, capsys, stride, rate, warned
):
    task = spanloc.load(named_model)
    task.config["data"]["feature_stride"] = stride
    monkeypatch.setattr(predict_command, "load_models", lambda *args, **options: task)
    np.save(tmp_path / "a.npy", smooth(20))
    predict(cli, named_model, tmp_path, "input=a.npy", f"rate={rate}")
    said = f"[WARNING] rate={rate}, but the features of training have 10 vectors per second. rate is that of the vectors"
    assert (said in capsys.readouterr().out) == warned


@pytest.mark.parametrize("name", ["it's (1), a=b", "2024"])
def test_the_command_that_a_training_ends_with_works_in_a_folder_of_any_name(
    cli, named_model, tmp_path, capsys, name
):
    shutil.copytree(named_model, tmp_path / name)
    write_csv(tmp_path / "a.csv", signal())
    with chdir(tmp_path):
        _show_result({}, Path(name, "best.ckpt"), Path(name))
    line = capsys.readouterr().out.splitlines()[-1]
    command, model, _ = shlex.split(line.split(": ", 1)[1])
    assert command == "spanloc-predict"
    found = cli("predict", model, "input=a.csv", *PREDICT, folder=tmp_path)
    assert found == tmp_path, found


def test_channels_are_taken_by_their_names(cli, named_model, tmp_path):
    values = signal()
    write_csv(tmp_path / "a.csv", values)
    expected = predict(cli, named_model, tmp_path, "input=a.csv")["a"]
    # In another order, with one more, and with a column of text.
    mixed = np.column_stack([values[:, [2, 0]], values[:, 0] * 9, values[:, 1]])
    write_csv(tmp_path / "b.csv", mixed, names=("z", "x", "w", "y"))
    lines = (tmp_path / "b.csv").read_text().splitlines()
    text = "\n".join(f"{line},{'note' if i == 0 else 'calm'}" for i, line in enumerate(lines))
    (tmp_path / "c.csv").write_text(f"{text}\n")
    found = predict(cli, named_model, tmp_path, "input=[b.csv,c.csv]")
    close(found["b"], expected)
    close(found["c"], expected)


@pytest.mark.parametrize("chosen", ["[r,p,q]", "[2,0,1]"])
def test_channels_are_chosen_by_other_names_or_by_numbers(cli, named_model, tmp_path, chosen):
    values = signal()
    write_csv(tmp_path / "a.csv", values)
    expected = predict(cli, named_model, tmp_path, "input=a.csv")["a"]
    write_csv(tmp_path / "b.csv", values[:, [1, 2, 0]], names=("p", "q", "r"))
    close(predict(cli, named_model, tmp_path, "input=b.csv", f"channels={chosen}")["b"], expected)
    np.save(tmp_path / "d.npy", values[:, [1, 2, 0]])
    if "r" not in chosen:
        close(
            predict(cli, named_model, tmp_path, "input=d.npy", f"channels={chosen}")["d"], expected
        )


@pytest.mark.parametrize(
    ("names", "words", "said"),
    [
        (
            "xyw",
            [],
            "a.csv: it lacks the channels 'z'; it has 'x', 'y', 'w'; to choose them by hand: channels=[...], "
            "in the order of training",
        ),
        ("xy", [], "a.csv: it lacks the channels 'z'; it has 'x', 'y'"),
        (None, [], "a.npy: it has 2 channels; the model was trained on 3: 'x', 'y', 'z'"),
        ("xyz", ["channels=[x,y,w]"], "a.csv: has no channel 'w'; it has 'x'"),
        ("xyz", ["channels=x"], "channels is 'x'; wanted a list of names or numbers"),
        ("xyz", ["rate=0"], "a.csv: rate is 0"),
    ],
)
def test_what_does_not_fit_the_model_is_one_line(
    refused, named_model, tmp_path, names, words, said
):
    if names is None:
        np.save(tmp_path / "a.npy", signal(channels=2))
    else:
        write_csv(tmp_path / "a.csv", signal(channels=len(names)), names=tuple(names))
    line = predict(refused, named_model, tmp_path, "input=.", *words)
    assert said in line
    assert "data." not in line
    # Two channels cannot be chosen to be three.
    assert names != "xy" or line.endswith("it has 'x', 'y'")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["input=a.csv", "checkpoint=none"], "none: no such file or folder (checkpoint)"),
        (["input=none.csv"], "none.csv: no such file or folder (input)"),
        (["input=*.wav"], "*.wav: no recording matches, no file of .npy"),
        (["input=empty"], "empty: there is no recording in it, no file of .npy"),
        (["input=[a.csv,a.npy]"], "would both be 'a'; name only one of them, or a pattern for one of them"),
        ([], "input is not set; add input=... to the command"),
        (["input=a.csv", "format=edf", "joint=true"], "a file of format=edf is of one recording"),
        (["input=a.csv", "min_score=2"], "min_score is 2.0; it must lie in [0, 1)"),
        (["input=a.csv", "start=noon"], "start is 'noon'; wanted a time such as 2024-05-31T22:15"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_setting_is_one_line_and_leaves_nothing(
    refused, named_model, tmp_path, words, said
):
    write_csv(tmp_path / "a.csv", signal())
    write_csv(tmp_path / "a.npy", signal())
    (tmp_path / "empty").mkdir()
    assert said in predict(refused, named_model, tmp_path, *words)
    assert not (tmp_path / "out").exists()


def test_ids_of_a_list_that_would_be_the_same_are_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("P03/a.csv", "P03/b.csv", "P03/b.npy", "P11/a.csv"):
        write_csv(tmp_path / "lab" / name, signal(steps=9))

    def ids(*inputs):
        return [one.id for one in find_recordings(inputs)]

    assert ids("lab/P03/b.csv", "lab/P11/a.csv") == ["b", "a"]
    expected = ["P03/b", "P03/a", "P11/a"]
    assert ids("lab/P03/b.csv", "lab/P03/a.csv", str(tmp_path / "lab/P11/a.csv")) == expected
    assert ids("lab/P03/*.csv", "lab/P11") == ["P03/a", "P03/b", "P11/a"]
    with pytest.raises(ValueError, match=r"'P03/b'; name only one .* such as 'lab/P03/\*\.npy'"):
        ids("lab/P03", "lab/P11")
    assert ids("lab/P03/*.npy", "lab/P03/a.csv", "lab/P11") == ["P03/b", "P03/a", "P11/a"]


def test_low_scores_are_left_out(cli, named_model, tmp_path):
    write_csv(tmp_path / "a.csv", signal())
    every = predict(cli, named_model, tmp_path, "input=a.csv")["a"]
    limit = sorted(score for *_, score in every)[len(every) // 2]
    words = ("input=a.csv", f"min_score={limit - 1e-7:.9f}", "decode.exclusive=false")
    less = predict(cli, named_model, tmp_path, *words)["a"]
    assert less == [row for row in every if row[3] >= limit]
    assert 0 < len(less) < len(every)


def test_one_file_of_all_or_one_of_each(cli, named_model, tmp_path):
    for name in "ab":
        write_csv(tmp_path / f"{name}.csv", signal())
    words = ("input=[a.csv,b.csv]", "format=[json,audacity]")
    cli("predict", f"checkpoint={named_model}", *PREDICT, *words, "joint=false", folder=tmp_path)
    assert outputs(tmp_path / "out") == ["a.json", "a.txt", "b.json", "b.txt"]
    shutil.rmtree(tmp_path / "out")
    cli("predict", f"checkpoint={named_model}", *PREDICT, *words, folder=tmp_path)
    assert outputs(tmp_path / "out") == ["a.txt", "b.txt", "predictions.json"]


def test_a_model_of_one_span_gives_it_whatever_its_score(cli, trained, tmp_path):
    np.save(tmp_path / "a.npy", signal(channels=4))
    words = (f"checkpoint={trained['single']}", "input=a.npy", "hydra.run.dir=out", "rate=10")
    assert cli("predict", *words, folder=tmp_path) == tmp_path
    ((start, end, _, _),) = spans_of(tmp_path / "out" / "predictions.json")["a"]
    assert 0 <= start < end <= 20


def test_a_checkpoint_without_facts_of_its_input_gives_seconds(cli, named_model, tmp_path):
    write_csv(tmp_path / "a.csv", signal())
    expected = predict(cli, named_model, tmp_path, "input=a.csv")["a"]
    checkpoint = torch.load(named_model / "best.ckpt", weights_only=True)
    assert checkpoint["spanloc"]["config"]["seconds_per_step"] == 1 / RATE
    del checkpoint["spanloc"]["input"]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    assert predict(cli, "old.ckpt", tmp_path, "input=a.csv")["a"] == expected
    np.save(tmp_path / "a.npy", signal())
    assert max(row[1] for row in predict(cli, "old.ckpt", tmp_path, "input=a.npy")["a"]) <= 20


def test_a_single_bad_file_is_named_once_and_last(cli, named_model, tmp_path, capsys):
    np.save(tmp_path / "a.npy", signal().T)
    stop = predict(cli, named_model, tmp_path, "input=a.npy", "rate=10")
    assert (
        "a.npy: it has 200 channels; the model was trained on 3: 'x', 'y', 'z'; transposed?" in stop
    )
    printed = capsys.readouterr()
    assert "channels" not in printed.out + printed.err
    assert "recordings" not in printed.out
