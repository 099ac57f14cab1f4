"""The clock time that an EDF file begins at."""

from datetime import date, datetime, time

import edfio
import numpy as np
import pytest
from recordings import edf

from spanloc.data.signals import open_signal

CHANNELS = {"x": (50.0, np.linspace(-1, 1, 200))}
NOTES = [(1.0, 0.5, "lift")]


def start(path):
    return vars(open_signal(path))["start"]


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
@pytest.mark.parametrize("annotated", [False, True])
@pytest.mark.parametrize("microsecond", [0, 250_000])
def test_annotations_and_fractions_of_a_second_do_not_hide_it(
    tmp_path, suffix, annotated, microsecond
):
    options = {
        "recording": edfio.Recording(startdate=date(2024, 5, 31)),
        "starttime": time(22, 15, 7, microsecond),
    }
    path = edf(tmp_path / f"a{suffix}", CHANNELS, NOTES if annotated else (), **options)
    assert start(path) == datetime(2024, 5, 31, 22, 15, 7)


@pytest.mark.parametrize(
    ("said", "day", "clock", "expected"),
    [
        ("night 3", "01.02.84", "03.04.05", datetime(2084, 2, 1, 3, 4, 5)),
        ("night 3", "01.02.85", "00.00.00", datetime(1985, 2, 1)),
        ("Startdate 2-mar-2090 X X X", "02.03.yy", "00.00.00", datetime(2090, 3, 2)),
        ("Startdate 02-XYZ-2010", "02.03.10", "00.00.00", None),
        ("Startdate Monday", "02.03.10", "00.00.00", datetime(2010, 3, 2)),
        ("Startdate X X X X", "02.03.10", "03.04.05", None),
        ("Startdate 01-JAN-1985 X X X", "01.01.85", "00.00.00", None),
        ("night 3", "01.01.85", "00.00.01", datetime(1985, 1, 1, 0, 0, 1)),
        ("night 3", "31.02.10", "00.00.00", None),
        ("night 3", "", "00.00.00", None),
        ("night 3", "02.03.10", "25.00.00", None),
        ("night 3", "02.03.10", "", None),
    ],
)
def test_the_start_is_that_of_the_header_or_none(tmp_path, said, day, clock, expected):
    path = edf(tmp_path / "a.edf", CHANNELS, NOTES)
    content = path.read_bytes()
    fields = said.encode().ljust(80) + day.encode().ljust(8) + clock.encode().ljust(8)
    path.write_bytes(content[:88] + fields + content[184:])
    assert start(path) == expected
