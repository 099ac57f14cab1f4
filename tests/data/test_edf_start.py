"""The clock time that an EDF file begins at."""

from datetime import date, datetime, time

import numpy as np
import pytest

from spanloc.data.signals import open_signal

edfio = pytest.importorskip("edfio")


def written(path, annotations=(), **options):
    kind, file = (
        (edfio.BdfSignal, edfio.Bdf) if path.suffix == ".bdf" else (edfio.EdfSignal, edfio.Edf)
    )
    values = np.linspace(-1, 1, 200)
    file([kind(values, 50.0, label="x")], annotations=annotations, **options).write(path)
    return path


def start(path):
    return vars(open_signal(path))["start"]


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
@pytest.mark.parametrize("annotated", [False, True])
@pytest.mark.parametrize("microsecond", [0, 250_000])
def test_annotations_and_fractions_of_a_second_do_not_hide_it(
    tmp_path, suffix, annotated, microsecond
):
    notes = [edfio.EdfAnnotation(1.0, 0.5, "lift")] if annotated else []
    options = {
        "recording": edfio.Recording(startdate=date(2024, 5, 31)),
        "starttime": time(22, 15, 7, microsecond),
    }
    path = written(tmp_path / f"a{suffix}", notes, **options)
    assert start(path) == datetime(2024, 5, 31, 22, 15, 7)


def patched(path, *, said=None, day=None, clock=None):
    content = bytearray(path.read_bytes())
    for first, size, text in ((88, 80, said), (168, 8, day), (176, 8, clock)):
        if text is not None:
            content[first : first + size] = text.encode().ljust(size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"said": "night 3", "day": "01.02.84", "clock": "03.04.05"},
            datetime(2084, 2, 1, 3, 4, 5),
        ),
        ({"said": "night 3", "day": "01.02.85"}, datetime(1985, 2, 1)),
        ({"said": "Startdate 2-mar-2090 X X X", "day": "02.03.yy"}, datetime(2090, 3, 2)),
        ({"said": "Startdate 02-XYZ-2010", "day": "02.03.10"}, None),
        ({"said": "Startdate Monday", "day": "02.03.10"}, datetime(2010, 3, 2)),
        ({"said": "Startdate X X X X", "day": "02.03.10", "clock": "03.04.05"}, None),
        ({"said": "Startdate 01-JAN-1985 X X X", "day": "01.01.85"}, None),
        (
            {"said": "night 3", "day": "01.01.85", "clock": "00.00.01"},
            datetime(1985, 1, 1, 0, 0, 1),
        ),
        ({"said": "night 3", "day": "31.02.10"}, None),
        ({"said": "night 3", "day": ""}, None),
        ({"said": "night 3", "day": "02.03.10", "clock": "25.00.00"}, None),
        ({"said": "night 3", "day": "02.03.10", "clock": ""}, None),
    ],
)
def test_it_is_read_from_the_header(tmp_path, fields, expected):
    path = written(tmp_path / "a.edf", [edfio.EdfAnnotation(1.0, 0.5, "lift")])
    assert start(patched(path, **fields)) == expected
