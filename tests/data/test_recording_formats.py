"""Formats with a file for each recording: what they say, from the tools' own files and from small ones."""

import json
import shutil
import warnings

import numpy as np
import pytest
from recordings import RATE, edf, error_of, recording, said

from spanloc.data import read_annotations

AUDACITY = "0.5\t1.0\twalk\n\\\t100.0\t200.0\n2.000000\t2.500000\tsit down\n"
RAVEN = (
    "Selection\tView\tBegin Time (s)\tEnd Time (s)\tAnnotation\n"
    "1\tWaveform 1\t0.5\t1\twalk\n1\tSpectrogram 1\t0.5\t1\twalk\n"
    "2\tWaveform 1\t2\t2.5\tsit down\n"
)
TEXTGRID = '''File type = "ooTextFile"
Object class = "TextGrid"

0
10
<exists>
2
"IntervalTier" "acts" 0 10 4
0 0.5 ""
0.5 1 "walk"
1 2 " "
2 2.5 "sit down"
"TextTier" "marks" 0 10 1
3 "x ""y"""
'''
BORIS_8 = (
    "Observation id,Media file name,Time,Subject,Behavior,Behavior type\n"
    "o,a.mp4,0.5,p,walk,START\no,a.mp4,1.0,p,walk,STOP\n"
    "o,a.mp4,2.0,p,sit down,START\no,a.mp4,2.5,p,sit down,STOP\n"
)
BORIS_7 = (
    "Observation id,o\n\nMedia file(s)\n\n\nTime,Media file path,Subject,Behavior,Comment,Status\n"
    "0.5,a.mp4,p,walk,,START\n1.0,a.mp4,p,walk,,STOP\n"
    "2.0,a.mp4,p,sit down,,START\n2.5,a.mp4,p,sit down,,STOP\n"
)
BORIS_AGGREGATED = (
    "Observation id,Subject,Behavior,Behavior type,Start (s),Stop (s),Duration (s)\n"
    "o,p,walk,STATE,0.5,1.0,0.5\no,p,sit down,STATE,2.0,2.5,0.5\n"
)
RTTM = (
    "SPKR-INFO a 1 <NA> <NA> <NA> unknown walk <NA>\n"
    "SPEAKER a 1 0.500 0.500 <NA> <NA> walk <NA> <NA>\n"
    "SPEAKER a 1 2.000 0.500 <NA> <NA> sit_down <NA> <NA>\n"
)
TEXTS = {
    "audacity": ("a.txt", AUDACITY, {}),
    "raven": ("a.Table.1.selections.txt", RAVEN, {}),
    "textgrid": ("a.TextGrid", TEXTGRID, {}),
    "boris": ("a.csv", BORIS_8, {"format": "boris"}),
    "boris 7": ("a.csv", BORIS_7, {"format": "boris"}),
    "boris aggregated": ("a.csv", BORIS_AGGREGATED, {"format": "boris"}),
    "csv": ("a.csv", "start,end,label\n0.5,1,walk\n2,2.5,sit down\n", {"format": "csv"}),
    "rttm": ("any.rttm", RTTM, {"label_map": {"sit_down": "sit down"}}),
}
EXPECTED = {"a": [(0.5, 1.0, "walk"), (2.0, 2.5, "sit down")]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_file_beside_its_recording_is_read(tmp_path, name, encoding):
    file, text, options = TEXTS[name]
    recording(tmp_path, "a")
    (tmp_path / "README.txt").write_text("Not a label track.")
    (tmp_path / file).write_text(text, encoding=encoding)
    found = read_annotations(tmp_path, fps=RATE, **options)
    assert said(found) == EXPECTED
    assert found.classes == ["sit down", "walk"]


@pytest.mark.parametrize(
    ("file", "text", "kind", "message"),
    [
        ("a.txt", "0.5 1.0 walk\n", "auto", "line 1: '0.5 1.0 walk'; wanted start, end and label"),
        ("a.txt", "0,5 s\t1,0\twalk\n", "auto", "line 1: start is '0.5 s'; wanted a number"),
        ("a.txt", "0.5\t0.5\twalk\n", "auto", "'a': line 1: span is [0.5, 0.5]; wanted 0 <= start"),
        ("a.selections.txt", "Selection\tView\n1\tx\n", "auto", "no columns 'Begin Time (s)' and 'End"),
        ("a.TextGrid", "hello", "auto", "a.TextGrid: not a TextGrid of Praat in text form"),
        ("a.TextGrid", TEXTGRID[:140], "auto", "not a whole TextGrid: wanted"),
        ("a.csv", BORIS_8[:-len("o,a.mp4,2.5,p,sit down,STOP ")], "boris", "line 4: 'sit down' starts and never stops"),
        ("a.csv", BORIS_8.replace("STOP", "HALT"), "boris", "line 3: 'walk': 'HALT': "),
        ("a.csv", BORIS_8.replace("Time", "At"), "boris", "line 1: wanted the columns 'Start (s)'"),
        ("a.rttm", "SPEAKER a 1 0.5\n", "auto", "line 1: 4 fields; wanted SPEAKER"),
        ("a.rttm", RTTM.replace("0.500 0", "x 0"), "auto", "line 2: start is 'x'; wanted a number"),
        ("a.eaf", "<x", "auto", "a.eaf: not a file of ELAN"),
        ("a.atr", "x", "auto", "a.atr: not a WFDB annotation file"),
        ("b.json", "{}", "labelstudio", "b.json: wanted a list of tasks"),
        ("b.json", '[{"data": {"csv": "x.csv"}}]', "labelstudio", "task 0: data is {'csv': 'x.csv'}"),
        ("b.json", '[{"data": {"csv": "a.csv"}}]', "labelstudio", "task 0: annotations is None"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_of_a_recording_is_named(tmp_path, file, text, kind, message):
    recording(tmp_path, "a")
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError) as caught:
        read_annotations(tmp_path, fps=RATE, format=kind)
    assert message in str(caught.value)
    assert file in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_tier_is_said_where_there_are_several(tmp_path):
    recording(tmp_path, "a")
    text = TEXTGRID.replace('"TextTier" "marks" 0 10 1\n3', '"IntervalTier" "words" 0 10 1\n3 4')
    (tmp_path / "a.TextGrid").write_text(text)
    assert "a.TextGrid: set data.tier to one of 'acts', 'words'" in error_of(tmp_path, fps=RATE)
    message = error_of(tmp_path, fps=RATE, tier="x")
    assert "there is no tier 'x'; set data.tier to one of 'acts', 'words'" in message
    assert said(read_annotations(tmp_path, fps=RATE, tier="acts")) == EXPECTED
    assert said(read_annotations(tmp_path, fps=RATE, tier="words")) == {"a": [(3, 4, 'x "y"')]}


def test_elan_files_are_read_by_tier(tmp_path):
    eaf = pytest.importorskip("pympi.Elan").Eaf()
    recording(tmp_path, "a")
    for tier in ("acts", "words", "empty"):
        eaf.add_tier(tier)
    for start, end, label in ((500, 1000, "walk"), (2000, 2500, "sit down")):
        eaf.add_annotation("acts", start, end, label)
    eaf.to_file(str(tmp_path / "a.eaf"))
    assert said(read_annotations(tmp_path, fps=RATE)) == EXPECTED
    assert said(read_annotations(tmp_path, fps=RATE, tier="words")) == {"a": []}
    eaf.add_annotation("words", 100, 200, "x")
    eaf.to_file(str(tmp_path / "a.eaf"))
    with pytest.raises(ValueError, match=r"a.eaf: set data.tier to one of .*'acts', 'words'"):
        read_annotations(tmp_path, fps=RATE)


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    recording(tmp_path, "a")
    (tmp_path / "a.eaf").write_text("<x/>")
    monkeypatch.setitem(__import__("sys").modules, "pympi.Elan", None)
    assert "a.eaf: reading .eaf needs pympi.Elan: pip install 'span" in error_of(tmp_path)


def test_edf_annotations_that_last_are_spans(tmp_path):
    notes = [(0.5, 0.5, "walk"), (2.0, 0.5, "sit down"), (4.0, None, "mark")]
    edf(tmp_path / "a.edf", {"x": (RATE, np.arange(500) % 2.0)}, notes)
    found = []
    content = read_annotations(tmp_path, format="edf", bad_spans="drop", found=found)
    assert said(content) == EXPECTED
    assert [(bad.kind, bad.row) for bad in found] == [("empty", 2)]
    message = error_of(tmp_path, format="edf")
    assert "a.edf: sequence 'a': annotation 3: span is [4.0, nan" in message


def test_edf_labels_beside_data_take_the_place_of_annotations_in_the_recordings(tmp_path):
    (tmp_path / "data").mkdir()
    notes = [(0.5, 0.5, "walk"), (2.0, 0.5, "sit down")]
    for name, own in {"a": (), "b": [(3.0, 1.0, "of the recorder")], "c": notes}.items():
        edf(tmp_path / "data" / f"{name}.edf", {"x": (RATE, np.arange(500) % 2.0)}, own)
    for name in ("a", "b"):
        edf(tmp_path / f"{name}.edf", {}, notes)
    assert "files named as recordings ('a.edf' and 1 more): data.format=edf?" in error_of(tmp_path)
    labels = EXPECTED["a"]
    assert said(read_annotations(tmp_path, format="edf")) == dict.fromkeys("abc", labels)
    message = error_of(tmp_path, format="edf", extension="_e2.edf")
    assert message.startswith("data.extension is '_e2.edf', which is for format=wfdb")
    edf(tmp_path / "a.edf", {"x": (RATE, np.arange(500) % 2.0)})
    assert said(read_annotations(tmp_path, format="edf"))["a"] == []


def wfdb_annotations(folder, samples, symbol=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wfdb = pytest.importorskip("wfdb")
        wfdb.wrann("a", "ii", np.array(samples), symbol, write_dir=str(folder), **options)


def test_wfdb_waves_lie_between_their_parentheses(tmp_path):
    recording(tmp_path, "a", seconds=40)
    # The third wave has no onset, as T waves of some data sets; the last is after a long pause.
    samples = [25, 30, 50, 100, 110, 125, 150, 160, 1900, 1905, 1910]
    wfdb_annotations(tmp_path, samples, list("(p)(N)t)(u)"), fs=RATE)
    found = []
    options = {"extension": "ii", "found": found}
    content = read_annotations(tmp_path, bad_spans="drop", **options)
    assert said(content) == {"a": [(0.5, 1.0, "p"), (2.0, 2.5, "N"), (38.0, 38.2, "u")]}
    assert [(bad.kind, bad.row) for bad in found] == [("empty", 2)]
    assert "a.ii: sequence 'a': sample 150: span is [3.0, nan" in error_of(tmp_path, **options)
    later = read_annotations(tmp_path, bad_spans="drop", ends="inclusive", **options)
    assert said(later)["a"][:2] == [(0.5, 1.02, "p"), (2.0, 2.52, "N")]


def test_wfdb_rates_and_labels_may_be_in_a_header_and_in_notes(tmp_path):
    recording(tmp_path / "data", "a")
    labels = {"custom_labels": [(42, "X", "my wave")]}
    notes = ["", "(AFIB", ""]
    wfdb_annotations(
        tmp_path, [25, 30, 50], label_store=np.array([39, 42, 40]), aux_note=notes, **labels
    )
    message = error_of(tmp_path, extension="ii")
    assert "a.ii: does not say its sampling frequency, nor does a.hea" in message
    (tmp_path / "a.hea").write_text("# a comment\na 0 50/100(3) 500 12:00\n")
    found = read_annotations(tmp_path, extension="ii", format="wfdb")
    assert said(found) == {"a": [(0.5, 1.0, "X")]}
    (tmp_path / "a.ii").write_bytes(b"\x19\x9c\x05")
    message = error_of(tmp_path, extension="ii", format="wfdb")
    assert "a.ii: not a WFDB annotation file, or not all of it" in message


REGIONS = [
    {"value": {"start": 0.5, "end": 1.0, "instant": False, "timeserieslabels": ["walk"]}},
    {"value": {"start": 2.0, "end": 2.5, "timeserieslabels": ["sit down"]}},
    {"value": {"choices": ["good"]}},
]


def test_label_studio_exports_name_the_recording(tmp_path):
    recording(tmp_path / "data", "a", "b")
    data = {"csv": "/data/upload/1/0a1b2c3d-a.csv"}
    task = {"id": 7, "data": data, "annotations": [{"result": REGIONS}, {"was_cancelled": True}]}
    (tmp_path / "export.json").write_text(json.dumps([task]))
    assert said(read_annotations(tmp_path, fps=RATE, format="labelstudio")) == EXPECTED
    task["annotations"] *= 2
    (tmp_path / "export.json").write_text(json.dumps([task]))
    message = error_of(tmp_path, fps=RATE, format="labelstudio")
    assert "task 0 ('a'): 2 annotations; wanted one" in message


def real(tmp_path, real_data, kind, *files, **names):
    for file in files:
        shutil.copy(real_data / "formats" / kind / file, tmp_path / file)
    for name, seconds in names.items():
        recording(tmp_path, name, seconds=seconds)


def test_selection_tables_of_raven(tmp_path, real_data):
    file = "Recording_1_Segment_03.Table.1.selections.txt"
    real(tmp_path, real_data, "raven", file, Recording_1_Segment_03=300)
    with pytest.raises(
        ValueError, match=r"no column 'Annotation'; set data.columns=.*, 'Species'$"
    ):
        read_annotations(tmp_path, fps=RATE)
    found = read_annotations(tmp_path, fps=RATE, columns={"label": "Species"})
    assert said(found)["Recording_1_Segment_03"][0] == (7.257, 7.892, "EATO")


def test_speaker_turns_and_what_was_annotated(tmp_path, real_data):
    files = ("debug.development.rttm", "debug.development.uem")
    real(tmp_path, real_data, "rttm", *files, dev00=30, dev01=40)
    found = read_annotations(tmp_path, fps=RATE)
    assert said(found)["dev00"][0] == (1.44, 13.312, "MEE009")
    whole, longer = found.subsets["training"]
    assert whole.ignored.tolist() == []
    assert longer.ignored.tolist() == [[30 * RATE, 40 * RATE]]


@pytest.mark.parametrize(
    ("kind", "suffix", "name", "seconds", "options", "count", "place", "spans"),
    [
        ("audacity", ".txt", "spinetail_with_frequencies", 60, {}, 18, 0,
         [(0.101, 0.368, "SP"), (0.507, 3.042, "CRER")]),
        ("textgrid", ".TextGrid", "the_north_wind_and_the_sun.short.utf16", 1.3, {}, 15, 0, [(0.068, 0.089, "ð")]),
        ("textgrid", ".TextGrid", "the_north_wind_and_the_sun.utf8", 1.3, {}, 15, 0, [(0.068, 0.089, "ð")]),
        ("textgrid", ".TextGrid", "bobby_phones_elan", 1.3, {}, 13, 0, [(0.065, 0.084, "B")]),
        ("textgrid", ".TextGrid", "mary_longfile_with_negative_zero", 1.88, {"tier": "word"}, 4, 0,
         [(0.315, 0.676, "mary")]),
        ("table", ".csv", "HHL15-3___20150402_202543", 2000,
         {"format": "csv", "columns": {"start": "onset_s", "end": "offset_s"}}, 11, 1, [(20.786, 30.532, "P50")]),
    ],
)  # fmt: skip
def test_files_of_tools_are_read(
    tmp_path, real_data, kind, suffix, name, seconds, options, count, place, spans
):
    real(tmp_path, real_data, kind, f"{name}{suffix}", **{name: seconds})
    rows = said(read_annotations(tmp_path, fps=RATE, **options))[name]
    assert len(rows) == count
    assert rows[place : place + len(spans)] == spans
