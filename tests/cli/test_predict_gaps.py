"""``spanloc-predict`` on recordings with missing values, irregular times or other names, and beside other tables."""

import numpy as np
import pytest
import torch
from predicting import NAMES, RATE, predict, signal, write_csv

from spanloc.inference.recordings import find_recordings


def test_missing_values_are_refused_unless_they_are_to_be_filled(
    cli, named_model, tmp_path, capsys
):
    values = signal()
    filled = values.copy()
    filled[50:60, 1] = np.interp(np.arange(50, 60), [49, 60], values[[49, 60], 1])
    values[50:60, 1] = np.nan
    np.save(tmp_path / "a.npy", values)
    np.save(tmp_path / "b.npy", filled)
    stop = predict(cli, named_model, tmp_path, "input=a.npy", f"rate={RATE}")
    assert "column 1 is nan; missing='interpolate' fills missing values" in stop
    words = ("input=[a.npy,b.npy]", f"rate={RATE}", "missing=interpolate")
    found = predict(cli, named_model, tmp_path, *words)
    assert found["a"] == found["b"] != []
    said = capsys.readouterr().out
    assert said.count("a: missing values filled by interpolation; check predictions there") == 1
    assert "b: missing" not in said


def test_rows_at_irregular_times_are_interpolated_and_said(cli, named_model, tmp_path, capsys):
    times = np.arange(0, 20, 1 / RATE) + np.random.default_rng(0).uniform(0, 0.08, 200)
    rows = np.column_stack([times, *(np.sin(times + i) for i in range(3))])
    header = ",".join(["time", *NAMES])
    np.savetxt(tmp_path / "a.csv", rows, "%.4f", ",", header=header, comments="")
    write_csv(tmp_path / "b.csv", np.sin(np.arange(200)[:, None] / RATE + np.arange(3)))
    found = predict(cli, named_model, tmp_path, "input=[a.csv,b.csv]")
    assert "times are not regular: interpolated at equal steps" in capsys.readouterr().out
    best = [max(found[name], key=lambda row: row[3]) for name in "ab"]
    assert best[0][2] == best[1][2]


@pytest.fixture
def clocked(named_model, tmp_path):
    """The model as if it had been trained with ``data.columns={time: Uhr}`` and filled values."""
    checkpoint = torch.load(named_model / "best.ckpt", weights_only=True)
    checkpoint["spanloc"]["input"] |= {"time": "Uhr", "missing": "interpolate"}
    torch.save(checkpoint, tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


def test_a_model_keeps_the_name_of_the_times_and_that_values_are_filled(
    cli, clocked, named_model, tmp_path
):
    values = signal()
    write_csv(tmp_path / "a.csv", values)
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "b.csv").write_text(text.replace("time,", "Uhr,"))
    expected = predict(cli, named_model, tmp_path, "input=a.csv")["a"]
    assert predict(cli, clocked, tmp_path, "input=b.csv")["b"] == expected
    values[50:60, 1] = np.nan
    write_csv(tmp_path / "c.csv", values)
    assert predict(cli, clocked, tmp_path, "input=c.csv")["c"]
    stop = predict(cli, clocked, tmp_path, "input=c.csv", "missing=error")
    assert f"line 52, channel '{NAMES[1]}' is nan" in stop


def test_what_is_done_to_several_recordings_is_one_line_for_each_kind(
    cli, clocked, tmp_path, capsys
):
    for name, rate in (("a", 19), ("b", 21)):
        write_csv(tmp_path / f"{name}.csv", signal(), rate=rate)
    times = np.arange(400) / RATE
    times[100:] += 3
    times[200:] += 4
    rows = np.column_stack([times, np.sin(times), np.cos(times), times])
    header = ",".join(["Uhr", *NAMES])
    np.savetxt(tmp_path / "c.csv", rows, "%.4f", ",", header=header, comments="")
    predict(cli, clocked, tmp_path, "input=[a.csv,b.csv,c.csv]")
    said = capsys.readouterr().out
    assert "2 of 3 recordings ('a', 'b'): resampled from 19 and 21 to 10 Hz" in said
    assert said.count("resampled") == 1
    gaps = "2 gaps (3.1 s from 9.9 s, 4.1 s from 22.9 s)"
    assert f"c: {gaps} filled by interpolation; check predictions there" in said


@pytest.mark.parametrize(
    ("files", "ids", "left"),
    [
        (["s1/a.csv"], ["s1/a"], None),
        (["s1/a.csv", "s2/a.csv", "x.csv"], ["s1/a", "s2/a", "x"], None),
        (["s1/a.edf", "s2/a.edf", "x.edf"], ["s1/a", "s2/a", "x"], None),
        (
            ["s1/a.csv", "s2/a.csv", "patients.csv"],
            ["s1/a", "s2/a"],
            "'patients.csv'",
        ),
        (["data/a.edf", "ann.csv", "ben.csv"], ["a"], "'ann.csv', 'ben.csv'"),
        (
            ["s1/a.edf", "s1/a.csv", "s2/a.edf", "patients.csv"],
            ["s1/a", "s2/a"],
            "'patients.csv', 's1/a.csv'",
        ),
    ],
)
def test_tables_beside_folders_of_recordings_are_left_out_and_recordings_are_not(
    tmp_path, files, ids, left, caplog
):
    tables = () if "ann.csv" in files else ("annotations.csv", "subsets.csv")
    for name in (*tables, *files):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("id,sex,age\nP1,f,4\n" if "pat" in name else "x,y\n1,2\n")
    with caplog.at_level("INFO"):
        assert [one.id for one in find_recordings([str(tmp_path)])] == ids
    line = f"{tmp_path}: the recordings lie in the folders below it; left out: {left}"
    assert caplog.messages == [line] * (left is not None)
