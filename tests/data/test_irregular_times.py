"""Tables whose rows lie at irregular times."""

import json

import numpy as np
import pandas as pd
import pytest
from recordings import error_of
from surveyed import survey

from spanloc.data import AnnotatedData, read_annotations
from spanloc.data.inputs import open_recording
from spanloc.data.quotes import as_written
from spanloc.data.signals import Regular, Resampled, open_signal
from spanloc.data.signals.channels import some_channels
from spanloc.files import counted


@pytest.fixture
def written(tmp_path):
    """A table of times and of values that rise by 2 a second, as a CSV file."""

    def write(times, suffix="csv"):
        path = tmp_path / f"x.{suffix}"
        table = pd.DataFrame({"time": times, "x": 2.0 * np.asarray(times), "y": 1.0})
        table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
        return path

    return write


def jittered(steps=3000, rate=50.0, seed=0):
    steps = np.random.default_rng(seed).uniform(0.4, 1.6, steps) / rate
    return np.cumsum(steps) - steps[0]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_at_irregular_times_are_interpolated_at_equal_steps(written, suffix):
    times = jittered()
    signal = open_signal(written(times, suffix))
    assert isinstance(signal, Regular)
    assert signal.gap is None
    assert signal.rate == pytest.approx(50, rel=0.1)
    assert signal.num_steps == int(times[-1] * signal.rate) + 1
    whole = signal.read(0, signal.num_steps)
    # A line is interpolated without error.
    wanted = np.stack([2 * np.arange(signal.num_steps) / signal.rate, np.ones(signal.num_steps)], 1)
    assert np.allclose(whole, wanted, atol=1e-4)
    for first, last in ((0, 1), (7, 40), (signal.num_steps - 3, signal.num_steps + 9)):
        assert np.array_equal(signal.read(first, last), whole[first:last])
    assert signal.read(signal.num_steps, signal.num_steps + 5).shape == (0, 2)


def test_rows_of_one_packet_share_the_time_to_the_next(written):
    signal = open_signal(written(np.repeat(np.arange(300) / 5, 10)))
    assert signal.rate == 50
    assert signal.num_steps == 3000


def test_steps_in_a_gap_are_missing_and_the_others_keep_their_time(written):
    times = np.arange(1000) / 128
    times[600:] += 2
    signal = open_signal(path := written(np.round(times, 3)))
    assert signal.rate == 128
    assert signal.gaps == [signal.gap]
    start, length = signal.gap
    assert (start, length) == (pytest.approx(599, abs=0.1), pytest.approx(257, abs=0.2))
    found = signal.read(0, signal.num_steps)
    for one in (some_channels(signal, ["y"]), open_signal(path, channels=["y"])):
        assert (one.gaps, one.channels) == (signal.gaps, ("y",))
        np.testing.assert_array_equal(one.read(0, signal.num_steps), found[:, 1:])
    found = found[:, 0]
    assert np.isnan(found).sum() == pytest.approx(256, abs=1)
    known = np.flatnonzero(~np.isnan(found))
    assert np.allclose(found[known], 2 * known / 128, atol=1e-3)


def test_a_lost_row_is_interpolated(written):
    signal = open_signal(written([0, 1, 2, 4, 5, 6, 7]))
    assert (signal.rate, signal.num_steps) == (1, 8)
    assert signal.read(0, 8)[:, 0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]


@pytest.mark.parametrize("rate", [40.0, 50.0, 1000.0])
def test_another_rate_is_interpolated_from_the_rows_at_once_unless_it_is_much_lower(written, rate):
    signal = open_signal(written(jittered()))
    near = signal.at(rate)
    assert isinstance(near, Regular)
    assert near.rate == rate
    assert near.num_steps == round(signal.num_steps * rate / signal.rate)
    # The middles of steps stay where they are; also at 20 times the rate, nothing is missing.
    times = (np.arange(100, 110) + 0.5) / rate - 0.5 / signal.rate
    assert np.allclose(near.read(100, 110)[:, 0], 2 * times, atol=1e-4)
    assert np.isfinite(near.read(0, near.num_steps)).all()
    assert isinstance(signal.at(5.0), Resampled)


@pytest.fixture
def clocked(tmp_path):
    """A folder of recordings that begin at some time, with annotations in a text."""

    def write(begins, text, time="time"):
        (tmp_path / "data").mkdir(exist_ok=True)
        for name in "ab":
            times = np.arange(300) / 10
            if isinstance(begins, str):
                times = pd.to_datetime(begins) + pd.to_timedelta(times, "s")
            else:
                times = begins + times
            table = pd.DataFrame({time: times, "x": np.sin(np.arange(300.0))})
            table.to_csv(tmp_path / "data" / f"{name}.csv", index=False)
        (tmp_path / "annotations.csv").write_text(f"sequence,start,end,label\n{text}")
        return tmp_path

    return write


@pytest.mark.parametrize("begins", ["2024-05-31 22:15:00", 80100.0, 1717193700.0])
def test_clock_times_of_annotations_are_counted_from_the_first_row(clocked, begins, caplog):
    text = "".join(
        f"{n},22:15:{i:02}.5,22:15:{i + 2:02},x\n" for n in "ab" for i in range(0, 27, 3)
    )
    folder = clocked(begins, text)
    for record in read_annotations(folder).subsets["training"]:
        expected = [[10 * i + 5.0, 10 * i + 20.0] for i in range(0, 27, 3)]
        np.testing.assert_allclose(record.spans, expected, atol=1e-3)
    (warning,) = caplog.messages
    assert warning.endswith(
        "annotations.csv: the annotations are clock times: converted to seconds from the first row of "
        "each recording (2 recordings; a begins at 22:15:00)"
    )
    # It says once where recordings begin.
    data = AnnotatedData(folder, test_share=0)
    data.setup()
    assert not any("begins at" in note for note in data.notes)
    # Some hours later there is no recording.
    folder = clocked(begins, text.replace("22:", "05:"))
    (past,) = [one for one in survey(folder).findings if one.kind == "span: past the end"]
    assert past.advice.startswith("Check the rate")


@pytest.mark.parametrize(("hour", "off"), [("21", "an hour"), ("23", "an hour"), ("20", "2 hours")])
@pytest.mark.parametrize("right", [0, 30])
def test_clock_times_that_are_some_hours_off_are_said_as_clock_times(clocked, hour, off, right):
    # With enough right ones, the times are counted from the first row.
    rows = [f"a,22:15:{i % 20:02},22:15:{i % 20 + 1:02},x" for i in range(right)]
    folder = clocked("2024-05-31 22:15:00", "\n".join([*rows, f"b,{hour}:15:01.2,{hour}:15:04,x"]))
    message = error_of(folder)
    assert message.endswith(
        f": the span is from {hour}:15:01.2 to {hour}:15:04, the recording from 22:15:00 to 22:15:30; "
        f"is one of the two clocks {off} off?"
    )
    (past,) = [one for one in survey(folder).findings if one.kind == "span: past the end"]
    assert past.advice.startswith(f"Is one of the two clocks {off} off? Correct the times")
    moments = clocked("2024-05-31 22:15:00", f"b,{hour}:15:01.2,,x")
    assert f"from {hour}:15:01.2 to {hour}:15:01.2, the" in error_of(moments, moment_seconds=0.5)


@pytest.mark.parametrize(("clocks", "numbers"), [(20, 1), (11, 10), (1, 20)])
def test_clock_times_and_seconds_in_one_table_are_told_apart(clocked, caplog, clocks, numbers):
    rows = [f"a,22:15:{i:02}.5,22:15:{i + 1:02},x" for i in range(clocks)]
    rows += [f"b,{i}.5,{i + 1},x" for i in range(numbers)]
    a, b = read_annotations(clocked("2024-05-31 22:15:00", "\n".join(rows))).subsets["training"]
    for record, count in ((a, clocks), (b, numbers)):
        np.testing.assert_allclose(record.spans, [[10 * i + 5, 10 * i + 10] for i in range(count)])
    assert f"; numbers are read as seconds ({counted(numbers, 'row')})" in caplog.text
    # Minutes and seconds that fit are counted from the first row already.
    folder = clocked("2024-05-31 22:15:00", "a,0:01,0:02,x\na,3,4,x\nb,5,6,x\n")
    assert read_annotations(folder).subsets["training"][0].spans.tolist() == [[10, 20], [30, 40]]


def test_ends_in_clock_times_have_no_noise_in_errors(clocked):
    rows = [f"a,22:15:{i:02},22:15:{i + 1:02},x" for i in range(10)]
    folder = clocked("2024-05-31 22:15:00", "\n".join([*rows, "b,22:15:03.1,22:15:01.7,x"]))
    assert "span is [3.1, 1.7]; wanted" in error_of(folder)


def test_a_rate_that_the_recordings_contradict_is_a_warning(clocked, caplog):
    folder = clocked(0.0, "a,1,2,x\nb,1,2,x\n")
    read_annotations(folder, fps=10)
    assert not caplog.messages
    read_annotations(folder, fps=50)
    (message,) = caplog.messages
    assert message.endswith("data.fps=50 is not used: the recordings say 10 Hz themselves")


def test_clock_times_are_recognised_in_all_recordings_of_a_folder_together(tmp_path):
    (tmp_path / "data").mkdir()
    for name, begins in (("a", "2024-05-30 22:00:00"), ("b", "2024-06-02 00:30:00+02:00")):
        times = pd.date_range(begins, periods=480, freq="min")
        pd.DataFrame({"time": times, "x": 1.0}).to_csv(
            tmp_path / "data" / f"{name}.csv", index=False
        )
    rows = "a,23:00:00,23:10:00 a,01:00:00,01:10:00 b,01:00:00,01:10:00 b,03:00:00,03:10:00"
    text = "\n".join(["sequence,start,end", *rows.split()])
    (tmp_path / "annotations.csv").write_text(text)
    first, second = read_annotations(tmp_path).subsets["training"]
    assert first.spans.tolist() == [[60, 70], [180, 190]]
    assert second.spans.tolist() == [[30, 40], [150, 160]]


def test_one_span_past_the_end_does_not_move_the_others(clocked):
    rows = "".join(f"{n},{i},{i + 1},x\n" for n in "ab" for i in (10, 20, 32))
    with pytest.raises(ValueError, match=r"span is \[32.0, 33.0\]; wanted .* duration \(30.0\)"):
        read_annotations(clocked(5.0, rows))


def test_stretches_that_were_annotated_are_counted_from_the_first_row_too(clocked):
    folder = clocked("2024-05-31 22:00:00", "")
    (folder / "annotations.csv").unlink()
    rows = [{"segment": [79205, 79210], "label": "x"}]
    entry = {"annotated": [[79200, 79220]], "annotations": rows}
    content = {"database": dict.fromkeys("ab", entry)}
    (folder / "annotations.json").write_text(json.dumps(content))
    record, _ = read_annotations(folder).subsets["training"]
    assert record.spans.tolist() == [[50, 100]]
    assert record.ignored.tolist() == [[200, 300]]


def test_dates_of_annotations_and_times_past_midnight_are_counted_from_the_first_row(clocked):
    first = "31.05.2024 23:59:50.5,2024-06-01 00:00:00"
    dates = [first, "2024-06-01T00:00:01,2024-06-01 00:00:19"]
    of_day = ["23:59:50.5,00:00:00", "00:00:01,00:00:19"]
    for rows in (of_day, dates):
        content = "".join(f"{name},{row},x\n" for name in "ab" for row in rows)
        folder = clocked("2024-05-31 23:59:50", content)
        for record in read_annotations(folder).subsets["training"]:
            np.testing.assert_allclose(record.spans, [[5, 100], [110, 290]], atol=1e-3)
    folder = clocked(0.0, content)
    with pytest.raises(ValueError, match="a date needs a recording with clock times"):
        read_annotations(folder)


@pytest.mark.parametrize(
    ("begins", "shown"),
    [("2024-05-31 22:15:00", "2024-05-31 22:15:00"), (80100.25, "80100.25 s")],
)
def test_a_late_beginning_is_a_date_or_exact_seconds(clocked, begins, shown):
    data = AnnotatedData(clocked(begins, "a,1,2,x\nb,1,2,x\n"), test_share=0)
    data.setup()
    assert any(
        f"a.csv begins at {shown}: times of spans count from the first" in n for n in data.notes
    )


def test_a_recording_whose_column_of_times_has_another_name_is_named_with_the_remedy(clocked):
    folder = clocked(0.0, "a,1,2,x\nb,1,2,x\n", time="Uhr")
    (found,) = survey(folder).findings
    case = found.cases[0]
    assert (found.kind, found.count) == ("no rate", 2)
    assert case.file == str(folder / "data" / "a.csv")
    assert case.text == "it has the columns 'Uhr', 'x'"
    assert found.advice.startswith("Name the column with the time: 'data.columns={time: NAME}'. If")


def test_a_clock_that_was_set_is_refused_with_its_row(written):
    times = [*np.arange(5) / 50, 1.7e9, 1.7e9 + 0.02]
    with pytest.raises(
        ValueError, match=r"line 7 comes 1\.7e\+09 s after .* was a clock set\? Cut"
    ):
        open_signal(written(times))


def test_times_of_float32_that_begin_late_are_regular(tmp_path):
    times = (80_000 + np.arange(20_000) / 100).astype(np.float32)
    pd.DataFrame({"time": times, "x": 1.0}).to_parquet(tmp_path / "x.parquet")
    signal = open_signal(tmp_path / "x.parquet")
    assert (signal.num_steps, signal.rate) == (20_000, 100)


def test_times_that_may_be_milliseconds_are_a_finding(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "annotations.csv").write_text("sequence,start,end\na,1,2\n")
    cases = ("", 33, True), ("", 1, False), ("_ms", 33, False), ("_s", 60, False)
    for unit, step, found in cases:
        times = [f"{step * i},{i % 7}" for i in range(100)]
        text = "\n".join([f"time{unit},x", *times])
        (tmp_path / "data" / "a.csv").write_text(text)
        first = survey(tmp_path, bad_spans="drop").findings[0]
        assert (first.kind == "slow") == found == ("{time: time_ms}', with" in first.advice)


def test_a_unit_may_follow_the_name_or_number_of_a_column_in_training_and_prediction(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "annotations.csv").write_text("sequence,start,end\na,1,2\nb,1,2\nc,1,2\n")
    rows = "\n".join(f"{40 * i},{i % 7}" for i in range(100))
    for names, time in (("", "0"), ("Uhr,x\n", "Uhr"), ("Uhr_ms,x\n", "Uhr_ms")):
        for name in "abc":
            (tmp_path / "data" / f"{name}.csv").write_text(names + rows)
        if time != "Uhr_ms":
            (found, *_) = survey(tmp_path, columns={"time": time}, bad_spans="drop").findings
            time = f"{time}_ms"
            assert (found.kind, found.severity) == ("slow", "warning")
            assert as_written({"time": time}) in found.advice
        data = AnnotatedData(tmp_path, columns={"time": time})
        data.setup()
        assert data.input.time == time
        signal = open_recording(tmp_path / "data" / "a.csv", data.input)
        assert (signal.rate, signal.num_channels) == (25, 1)
