"""Tables of other tools as signals: semicolons, decimal commas, tabs, byte order marks, text beside numbers."""

import numpy as np
import pytest
from recordings import table

from spanloc.data.signals import open_signal
from spanloc.data.signals.form import is_number, is_table, separator_of

EXPECTED = [[0.5, -1e3], [np.nan, 2.25], [3, 4]]


def values(signal):
    return signal.read(0, signal.num_steps)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "rows",
    [
        "time;x;acc y|0,00;0,5;-1e3|0,02;;2,25|0,04;3;4",
        "time;x;acc y|0.00;0.5;-1000|0.02;;2.25|0.04;3;4",
        "time\tx\tacc y|0\t0.5\t-1e3|0.02\t\t2.25|0.04\t3\t4",
        'time, x , "acc y"|0,0.5,-1e3|0.02,,2.25|0.04,3,4',
        '"time" ; "x";acc y |0;0,5;-1000|0,02;NA;2,25|0,04;3;4',
    ],
)
def test_the_separator_is_that_of_the_first_line(tmp_path, rows, end, encoding):
    signal = open_signal(table(tmp_path, rows.replace("|", end) + end, encoding=encoding))
    assert (signal.channels, signal.rate) == (("x", "acc y"), 50)
    assert np.array_equal(values(signal), EXPECTED, equal_nan=True)


@pytest.mark.parametrize(
    ("line", "separator"),
    [
        ("a,b", ","), ("a;b", ";"), ("a\tb", "\t"), ("a", ","), ("a;b,c", ";"),
        ("a,b;c\td", "\t"), ('"a;b","c\td"', ","), ("1,5;2,5", ";"),
    ],
)  # fmt: skip
def test_of_several_separators_tab_goes_before_semicolon_before_comma(line, separator):
    assert separator_of(line) == separator


def test_a_tsv_is_separated_by_tabs_whatever_its_names(tmp_path):
    signal = open_signal(table(tmp_path, "x, left\ty;z\n1\t2\n", "x.tsv"))
    assert signal.channels == ("x, left", "y;z")
    assert values(signal).tolist() == [[1, 2]]


@pytest.mark.parametrize("text", ["time  x y\n 0 1 2\n0.5   3 nan \n", "0 1 2\r\n1 3 NA\r\n\r\n"])
def test_lines_of_several_numbers_without_other_separators_are_separated_by_blanks(tmp_path, text):
    signal = open_signal(table(tmp_path, text, "x.txt"), channels=[0, 1], time="0")
    assert signal.rate == (2 if "time" in text else 1)
    assert np.array_equal(values(signal), [[1, 2], [3, np.nan]], equal_nan=True)


@pytest.mark.parametrize(
    "text",
    [
        "Subject 12 50\nx,y,z\n1,2,3\n4,5,6\n", "Rate 50 0\nSubject 3 1\nx;y;z\n1;2;3\n4;5;6\n",
        "My title here\ntime x y z\n0 1 2 3\n1 4 5 6\n", "x y z\n\n1 2 3\n4 5 6\n",
        "time x y z\ns g g g\n0 1 2 3\n1 4 5 6\n", "sep=\nx;y;z\n1;2;3\n4;5;6\n",
    ],
)  # fmt: skip
def test_titles_units_and_empty_lines_do_not_hide_the_separator(tmp_path, text):
    path = table(tmp_path, text, "x.txt")
    signal = open_signal(path)
    assert (signal.channels, is_table(path)) == (("x", "y", "z"), True)
    assert values(signal).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_an_error_in_a_table_of_blanks_names_the_line_and_the_column(tmp_path):
    with pytest.raises(ValueError, match=r"line 4, column 'y' is 'walk'; wanted a number"):
        open_signal(table(tmp_path, "x y\n 1 2\n3  4\n5 walk\n", "x.txt"))
    with pytest.raises(ValueError, match=r"line 3 has 3 columns; wanted 2"):
        open_signal(table(tmp_path, "1 2\n3 4\n5 6 7\n8 9\n", "x.txt"))
    assert open_signal(table(tmp_path, "heart rate\n70\n71\n")).channels == ("heart rate",)


def test_numbers_without_names_have_decimal_commas_beside_semicolons_only(tmp_path):
    signal = open_signal(table(tmp_path, "1,5;2\n3;4,25\n", encoding="utf-8-sig"))
    assert signal.channels is None
    assert values(signal).tolist() == [[1.5, 2], [3, 4.25]]
    assert values(open_signal(table(tmp_path, "1,5\n3,4\n"))).tolist() == [[1, 5], [3, 4]]


def test_whole_numbers_before_the_first_decimal_comma_do_not_matter(tmp_path):
    text = "x;y\n" + "1;2\n" * 300_000 + "1;2,5\n"
    found = values(open_signal(table(tmp_path, text)))
    assert found.shape == (300_001, 2)
    assert found[-1].tolist() == [1, 2.5]


@pytest.mark.parametrize(
    ("field", "points", "known"),
    [
        ("1,5", ".", False), ("1,5", ".,", True), ("1.5", ".,", True), ("1.234,5", ".,", False),
        ("1,2,3", ".,", False), ("1_0", ".,", False), (" NA ", ".", True), ("-1,5e3", ".,", True),
    ],
)  # fmt: skip
def test_what_counts_as_a_number(field, points, known):
    assert is_number(field, points) is known


def test_date_times_give_the_rate_beside_decimal_commas(tmp_path):
    times = ("2024-05-01 12:00:00.00", "2024-05-01 12:00:00.50", "2024-05-01 12:00:01")
    text = "x;time;y\n" + "".join(f"1,5;{time};2\n" for time in times)
    # Where no decimal comma comes, too.
    for said, expected in ((text, 1.5), (text.replace("1,5", "1"), 1)):
        signal = open_signal(table(tmp_path, said))
        assert (signal.channels, signal.rate) == (("x", "y"), 2)
        assert values(signal).tolist() == [[expected, 2]] * 3


def test_several_columns_of_text_are_named_in_one_error(tmp_path):
    path = table(tmp_path, "time,x,label,y,note\n0,1,walk,2,a\n1,3,sit,4,b\n")
    with pytest.raises(ValueError) as caught:
        open_signal(path)
    wanted = "columns 'label', 'note' hold text ('walk' in line 2) and text ('a' in line 2); wanted"
    assert str(caught.value) == f"{path}: {wanted} numbers: choose others with data.channels"


def test_the_line_with_the_separator_of_excel_is_no_row_of_a_recording(tmp_path):
    signal = open_signal(table(tmp_path, "sep=;\nx;y\n1,5;2\n3;4\n"), rate=1)
    assert (signal.channels, values(signal).tolist()) == (("x", "y"), [[1.5, 2], [3, 4]])


def test_a_column_of_clock_times_that_is_not_known_may_be_the_time(tmp_path):
    path = table(tmp_path, "Wann (Uhr);x\n22:15:00;1\n22:15:01;2\n")
    with pytest.raises(
        ValueError, match=r"if it is the time, 'data.columns=\{time: \"Wann \(Uhr\)\"\}'$"
    ):
        open_signal(path)
    assert open_signal(path, time="Wann (Uhr)").rate == 1


def test_text_after_the_first_rows_is_named_with_its_row(tmp_path):
    path = table(tmp_path, "x,label\n1,\n2,walk\n")
    with pytest.raises(ValueError, match=r"line 3, column 'label' is 'walk'.*with data\.channels$"):
        open_signal(path)
    assert values(open_signal(path, channels=["x"])).tolist() == [[1], [2]]


def test_columns_that_are_not_chosen_need_no_names_of_their_own(tmp_path):
    path = table(tmp_path, "x,y,x,\n1,2,3,\n4,5,6,\n")
    with pytest.raises(ValueError, match="line 1 names column 'x' more than once"):
        open_signal(path)
    assert values(open_signal(path, channels=["y"])).tolist() == [[2], [5]]
    assert values(open_signal(path, channels=[2, 1])).tolist() == [[3, 2], [6, 5]]
    with pytest.raises(ValueError, match="has 2 channels 'x'; wanted numbers"):
        open_signal(path, channels=["x"])
    with pytest.raises(ValueError, match="line 1: column 4 has no name"):
        open_signal(path, channels=[3])
