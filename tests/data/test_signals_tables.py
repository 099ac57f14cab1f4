"""Tables as signals: headers, times, and errors that say where."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from recordings import table

from spanloc.data.signals import NpySignal, open_signal, reading
from spanloc.data.signals.clock import clock_of


def test_the_first_line_names_the_channels_only_if_it_is_not_all_numbers(tmp_path):
    plain = open_signal(table(tmp_path, "1,2\n3,4\n"))
    assert (plain.num_steps, plain.channels) == (2, None)
    assert plain.read(0, 2).tolist() == [[1, 2], [3, 4]]
    named = open_signal(table(tmp_path, b'\xef\xbb\xbf"x, left",y\r\n1,2\r\n3,4\r\n'))
    assert (named.num_steps, named.channels) == (2, ("x, left", "y"))
    assert named.read(1, 2).tolist() == [[3, 4]]


def test_missing_fields_are_nan_and_the_index_of_pandas_is_no_channel(tmp_path):
    signal = open_signal(table(tmp_path, ",x,y\n0,,2\n1,3,NaN\n2,inf,-1e3\n"))
    assert signal.channels == ("x", "y")
    found = signal.read(0, 3)
    assert np.array_equal(found, [[np.nan, 2], [3, np.nan], [np.inf, -1000]], equal_nan=True)


@pytest.mark.parametrize(
    ("head", "times", "rate"),
    [
        ("time", [0, 0.02, 0.04, 0.06], 50),
        ("Timestamp (ms)", [1.7e12, 1.7e12 + 8, 1.7e12 + 16, 1.7e12 + 24], 125),
        ("t", ["2024-05-01 12:00:00.00", "2024-05-01 12:00:00.25", "2024-05-01 12:00:00.5"], 4),
        ("t", ["2024-05-01T12:00:00", "2024-05-01T12:00:01"], 1),
        ("time_us", [5, 15, 25], 1e5),
        ("time", [7.5], None),
    ],
)
def test_a_regular_time_column_gives_the_rate(tmp_path, head, times, rate):
    signal = open_signal(table(tmp_path, f"x,{head}\n" + "".join(f"1,{t}\n" for t in times)))
    assert signal.channels == ("x",)
    assert signal.rate == rate


def test_the_rate_of_rounded_times_has_the_digits_that_they_can_tell(tmp_path):
    rng = np.random.default_rng(0)
    times = np.arange(5000) / 128
    for seen in (np.round(times, 3), times + rng.uniform(-1e-3, 1e-3, 5000), 1.7e9 + times):
        assert clock_of(tmp_path, "t", seen, 1.0, first_row=0).rate == 128
    assert clock_of(tmp_path, "t", np.arange(5000) / 99.98, 1.0, first_row=0).rate == 99.98


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ("0 1 2 4 5 6 7", "line 5 comes 2 s after the one before, at 4 s, where most come after 1 s"),
        ("0 1 2 2 3 4 5", "line 5 comes 0 s after"),
        ("0 1 2 3 1 2 3", "line 6 comes -2 s after .* wanted ascending times"),
        ("0 1 2  3 4 5", "no time in line 5"),
        ("0 0 0", "line 3 comes at the time of the first"),
        ("0 1 2 3 4 5 6 7 8 9 10 11.4 12.8 14.2 15.6 17 18.4 19.8 21.2 22.6 24", "regular: line 9"),
        ("1700000000000 1700000001000", "wanted seconds, or a name that says the unit"),
    ],
)  # fmt: skip
def test_an_irregular_time_column_is_refused_with_the_row(tmp_path, times, said):
    path = table(tmp_path, "time,x\n" + "".join(f"{t},1\n" for t in times.split(" ")))
    with pytest.raises(ValueError, match=rf"x\.csv: column 'time'.*{said}"):
        open_signal(path, on_rate="error")
    signal = open_signal(path, rate=2)
    assert (signal.rate, signal.channels) == (2, ("x",))


def rows_of_a_logger(time):
    lines = (f"{time(i)};{i / 8};1.5;SYNC\n" for i in range(200))
    return "".join(lines).replace(".", ",")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("above", ["", "Logger: DL-850;SN 12345\nOperator: Müller\n\n"])
@pytest.mark.parametrize("units", ["", "-;m/s²;[°C];-\n"])
def test_lines_above_the_names_and_units_below_them_are_none_of_the_steps(
    tmp_path, above, units, encoding
):
    rows = rows_of_a_logger(lambda i: f"2026-11-03 07:58:{12 + i // 100}.{i % 100 * 10:03d}")
    text = f"{above}Time;Acc X;Öl;Status\n{units}{rows}"
    signal = open_signal(table(tmp_path, text.encode(encoding)), channels=["Acc X", "Öl"])
    assert signal.units == (("m/s²", "°C") if units else None)
    assert (signal.rate, signal.num_steps, signal.channels) == (100, 200, ("Acc X", "Öl"))
    assert signal.read(199, 200).tolist() == [[199 / 8, 1.5]]
    assert signal.clock.begins == 1793692692
    assert signal.first_line == 2 + 3 * bool(above) + bool(units)


@pytest.mark.parametrize(
    ("first", "second", "zone", "begins"),
    [
        ("03.11.2026 07:58", "03.11.2026 07:59", "", 1793692730),
        ("07:58", "07:59", "", 28730),
        ("9:59", "10:00", "", 35990),
        ("23:59", "00:00", "", 86390),
        ("2026-11-03T07:58", "2026-11-03T07:59", "+01:00", 1793692730),
        ("2026-11-03T07:58", "2026-11-03T07:59", "-0030", 1793692730),
        ("2026-11-03T07:58", "2026-11-03T07:59", "Z", 1793692730),
    ],
)
def test_a_column_of_clock_times_gives_the_rate_and_the_begin(
    tmp_path, first, second, zone, begins
):
    minutes = [first] * 100 + [second] * 100
    seconds = [f"{(i // 10 + 50) % 60:02d}.{i % 10}{zone}" for i in range(200)]
    rows = "".join(f"{a}:{b},1\n" for a, b in zip(minutes, seconds, strict=True))
    signal = open_signal(table(tmp_path, f"time,x\n{rows}"))
    assert (signal.rate, signal.clock.begins) == (10, begins)


@pytest.mark.parametrize("title", ["Patient,Anna", "# made by x, v2", "# made by x"])
def test_a_title_is_not_the_names_of_the_channels(tmp_path, title):
    signal = open_signal(table(tmp_path, f"{title}\ntime,m\n0.5,1\n1,2\n1.5,3\n"))
    assert (signal.channels, signal.rate, signal.num_steps) == (("m",), 2, 3)


@pytest.mark.parametrize("unit", ["psi", "U/min", "1/min", "[Nm]", "hPa", "µmol/m²·s", "‰"])
def test_any_unit_below_the_names_is_recognised(tmp_path, unit):
    signal = open_signal(
        table(tmp_path, f"time;p;note;q\n;{unit};;-\n0;1,5;a;2\n0,5;2;b;3\n"), channels=["p", "q"]
    )
    assert (signal.units, signal.num_steps, signal.rate) == ((unit.strip("[]"), "-"), 2, 2)


@pytest.mark.parametrize(("unit", "rate"), [("s", 0.05), ("[ms]", 50), ("(us)", 50_000)])
def test_the_row_of_units_gives_the_unit_of_the_times(tmp_path, unit, rate):
    rows = "".join(f"{20 * i},{i}\n" for i in range(9))
    assert open_signal(table(tmp_path, f"time,x\n{unit},g\n{rows}")).rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,y\n1,2\n1,two\n", "line 3, column 'y' is 'two'; wanted a number"),
        ("1,2\n1,2\n1,two\n", "line 3, column 2 is 'two'; wanted a number"),
        ("x,y\n1,2\n1\n", "line 3 has 1 column; wanted 2: the last line of the file is cut off, so delete it"),
        ("x,y\n1,2\n1\n1,2\n", "line 3 has 1 column; wanted 2$"),
        ("x,y\n1,2,3\n", "line 2 has 3 columns; wanted 2"),
        ("x;y\n1;2,5\n1;z\n", "line 3, column 'y' is 'z'; wanted a number"),
        ("x;y\n1.5;2,5\n", "line 2, column 'y' is '2,5' and .* 'x' is '1.5'; wanted decimal commas or"),
        ("x,x\n1,2\n", "line 1 names column 'x' more than once"),
        ("x,,y\n1,2,3\n", "line 1: column 2 has no name"),
        ("x,y\n", "has no rows"),
        ("time\n1\n", "no columns of numbers beside the time"),
        ("\n1,2\n", "line 1 is empty"),
        ("", r"the file is empty \(0 bytes\)"),
        (b"x\n\xff\xfe\n", r"column 'x' holds text \('ÿþ' in line 2\)"),
        (b"x\n1\n\0\xff\n", "not a t"),
        # No units, no title, no table of its own at the end.
        ("time,x,y\n2024-05-31 22:00:00,OL,OL\n2024-05-31 22:01:00,1,2\n", "'OL' in line 2"),
        ("x,label\n1,walk\n2,sit\n", "column 'label' holds text \\('walk' in line 2\\)"),
        ("x,y\nno sensor attached,\n1,2\n", "'no sensor attached' in line 2"),
        ("x,y\n--,--\n1,2\n", "'--' in line 2"),
        ("time,x\n00:00,0\n00:01,1\n", "'00:01' is not a time that can be read"),
        ("x,y\n" + "1,2\n" * 50 + "min,max,mean\n0,1,2\n", "line 52 has 3 columns; wanted 2"),
        ("x,y\n1,2\na,b,c\n", "line 3 has 3 columns; wanted 2"),
        ('"a\nb",c\n1,2\n', "a.* text|line 1|columns"),
        ("x,y\na,b\nc,d\n", r"columns 'x', 'y' hold text \('a' in line 2\)"),
        ("Logger: 7\nx,y\n1,2\n1,two\n", "line 4, column 'y' is 'two'; wanted a number"),
        ("Zeit,x\n11/03/2026 07:58,1\n",
         "column 'Zeit': '11/03/2026 07:58' is not a time that can be read; wanted seconds, or"),
        ("x\n" + "1" * 3_000_000 + "\n", "x.csv: not a table"),
        # More than Arrow takes at once.
        ("x,y\n" + f"{'0' * 99},2\n" * 20_000 + "1,z\n", "line 20002, column 'y' is 'z'"),
    ],
)  # fmt: skip
def test_what_is_off_in_a_table_is_named_with_row_and_column(tmp_path, text, said):
    with pytest.raises(ValueError, match=rf"^/.*x\.csv: .*{said}|^/.*{said}") as error:
        open_signal(table(tmp_path, text))
    assert len(str(error.value)) < 400


def test_a_table_that_takes_too_much_memory_is_refused(tmp_path, monkeypatch):
    path = table(tmp_path, "x,y\n" + "1,2\n" * 1000)
    monkeypatch.setattr(reading, "MOST_BYTES", 7999)
    with pytest.raises(ValueError, match=r"wanted at most .*; save it as \.npy or \.parquet"):
        open_signal(path)
    monkeypatch.setattr(reading, "MOST_BYTES", 8000)
    assert open_signal(path).num_steps == 1000


def test_decoded_files_are_kept_up_to_a_limit_and_read_again_when_they_change(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(reading, "KEPT_BYTES", 5000)
    signals = [open_signal(table(tmp_path, "x\n" + "1\n" * 1000, f"{i}.csv")) for i in range(3)]
    assert len(reading._kept) == 1
    assert [signal.read(0, 1000).sum() for signal in signals] == [1000] * 3
    signals[2].path.write_text("x\n" + "2\n" * 1000 + "\n")
    assert signals[2].read(0, 1000).sum() == 2000
    with pytest.raises(ValueError, match="read-only"):
        signals[2].read(0, 5)[:] = 0


def test_parquet_columns_of_numbers_are_channels_and_their_times_the_rate(tmp_path):
    path = tmp_path / "x.parquet"
    columns = {"x": [1, 2, None], "b": [True, False, True], "h": np.ones(3, np.float16)}
    parquet.write_table(pa.table(columns), path)
    signal = open_signal(path)
    assert (signal.channels, signal.rate) == (("x", "b", "h"), None)
    expected = [[1, 1, 1], [2, 0, 1], [np.nan, 1, 1]]
    assert np.array_equal(signal.read(0, 3), expected, equal_nan=True)
    times = pa.array([0, 250_000, 500_000], pa.timestamp("us", "UTC"))
    parquet.write_table(pa.table({"t": times, "x": [1, 2, 3]}), path)
    assert open_signal(path).rate == 4
    parquet.write_table(pa.table({"time": [0, 1, 2, 4], "x": [1, 2, 3, 4]}), path)
    with pytest.raises(ValueError, match=r"column 'time' is not regular: row 3"):
        open_signal(path, on_rate="error")
    parquet.write_table(pa.table({"x": pa.array([], pa.float32())}), path)
    with pytest.raises(ValueError, match="has no rows"):
        open_signal(path)


def test_a_stretch_of_a_parquet_file_reads_its_row_groups_only(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"x": np.arange(1000.0)}), path, row_group_size=100)
    signal, loaded = open_signal(path), []
    usual = type(signal)._load
    monkeypatch.setattr(type(signal), "_load", lambda s, i: loaded.append(i) or usual(s, i))
    assert signal.read(250, 401)[:, 0].tolist() == list(range(250, 401))
    assert loaded == [2, 3, 4]


def test_an_array_of_numpy_is_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1000, 2)))
    assert isinstance(NpySignal(tmp_path / "x.npy").read(0, 10).base, np.memmap)
