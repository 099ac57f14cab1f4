"""Predictions as files: what other programs find in them, clock times, and what is refused."""

import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from recordings import RATE, recording, said, write

from spanloc.data import read_annotations
from spanloc.data.annotations.written import FORMATS, Found, joint, suffix_of

SPANS = [(2.0, 2.5, "نوم, 睡眠", 0.25), (0.0, 1.0, "sit", 0.875), (1.5, 10.0, "sit", 0.125)]
BY_TIME = [SPANS[1], SPANS[2], SPANS[0]]


def saved(tmp_path, kind, *found):
    file = tmp_path / f"x{suffix_of(kind)}"
    write(found or [Found("a", 10.0, SPANS, rate=RATE)], file, kind)
    return file


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_pandas_reads_the_tables(tmp_path, kind):
    start = datetime(2024, 2, 29, 23, 59, 58, 999_600)
    found = [Found("a", 10.0, SPANS, start=start), Found("b", 1.0, []), Found("c", 3.0, SPANS[:1])]
    file = saved(tmp_path, kind, *found)
    frame = pd.read_csv(file) if kind == "csv" else pd.read_json(file, lines=True, dtype=False)
    assert list(frame) == ["sequence", "start", "end", "label", "score", "start_time", "end_time"]
    assert list(frame["sequence"]) == ["a", "a", "a", "b", "c"]
    spans = frame[["start", "end", "label", "score"]].itertuples(index=False, name=None)
    assert [row for row in spans if row[0] == row[0]] == [*BY_TIME, SPANS[0]]
    clock = frame[["start_time", "end_time"]].astype(object)
    assert list(clock.loc[1]) == ["2024-03-01T00:00:00.500", "2024-03-01T00:00:09.000"]
    assert clock.loc[3:].isna().all(axis=None)
    assert "start_time" not in saved(tmp_path, kind).read_text()


def test_the_clock_goes_on_when_it_is_put_forward(tmp_path):
    start = datetime(2024, 3, 31, 1, 59, 59, tzinfo=ZoneInfo("Europe/Berlin"))
    file = saved(tmp_path, "csv", Found("a", 10.0, [(0.5, 2.0, "x", 1)], start=start))
    assert file.read_text().splitlines()[1] == (
        "a,0.5,2.0,x,1.0,2024-03-31T01:59:59.500+01:00,2024-03-31T03:00:01.000+02:00"
    )
    late = Found("a", 1e6, [(0.5, 1e6, "x", 1)], start=datetime(9999, 12, 31, tzinfo=UTC))
    with pytest.raises(ValueError, match=r"x.csv: date value out of range"):
        saved(tmp_path, "csv", late)


def test_a_corrected_annotations_json_is_trained_on_again(tmp_path):
    recording(tmp_path / "data", "a")
    file = tmp_path / "annotations.json"
    write([Found("a", 10.0, SPANS, rate=RATE)], file, "json")
    lines = file.read_text(encoding="utf-8").splitlines()
    assert "subset" not in "".join(lines)  # a new recording is of none
    (line,) = (i for i, text in enumerate(lines) if "نوم, 睡眠" in text)
    lines[line] = lines[line].replace("2.5", "3.0")
    file.write_text("\n".join(lines), encoding="utf-8")
    found = read_annotations(tmp_path)
    assert said(found)["a"][2] == (2.0, 3.0, "نوم, 睡眠")
    assert [record.id for record in found.subsets["training"]] == ["a"]


def test_pandas_reads_the_selection_table(tmp_path, real_data):
    frame = pd.read_csv(saved(tmp_path, "raven"), sep="\t")
    name = "raven/Recording_1_Segment_03.Table.1.selections.txt"
    real = pd.read_csv(real_data / "formats" / name, sep="\t")
    assert list(frame)[:7] == list(real)[:7]
    assert list(frame.dtypes.iloc[:5]) == list(real.dtypes.iloc[:5])
    assert list(frame["View"]) == ["Spectrogram 1"] * 3
    assert list(frame["High Freq (Hz)"]) == [RATE / 2] * 3
    rows = frame[["Begin Time (s)", "End Time (s)", "Annotation", "Score"]]
    assert list(rows.itertuples(index=False, name=None)) == BY_TIME


def test_without_a_rate_selections_are_of_the_waveform(tmp_path):
    text = saved(tmp_path, "raven", Found("a", 10.0, SPANS)).read_text(encoding="utf-8")
    assert text.splitlines()[0].endswith("End Time (s)\tAnnotation\tScore")
    assert text.splitlines()[1] == "1\tWaveform 1\t1\t0.000000\t1.000000\tsit\t0.875"


def test_pympi_reads_the_textgrid(tmp_path):
    praat = pytest.importorskip("pympi.Praat")
    grid = praat.TextGrid(str(saved(tmp_path, "textgrid")))
    assert (grid.xmin, grid.xmax) == (0, 10)
    # As they stand in the file: its methods fill what is not covered.
    tiers = {tier.name: tier.intervals for tier in grid.get_tiers()}
    assert tiers == {
        "sit": [(0, 1, "sit"), (1, 1.5, ""), (1.5, 10, "sit")],
        "نوم, 睡眠": [(0, 2, ""), (2, 2.5, "نوم, 睡眠"), (2.5, 10, "")],
    }
    empty = praat.TextGrid(str(saved(tmp_path, "textgrid", Found("a", 1 / 3, []))))
    assert [tier.intervals for tier in empty.get_tiers()] == [[(0, 1 / 3, "")]]


def test_a_textgrid_looks_as_praat_writes_it(tmp_path, real_data):
    real = (real_data / "formats/textgrid/BroadFocusAlofa.TextGrid").read_text(encoding="utf-8")
    ours = saved(tmp_path, "textgrid").read_text(encoding="utf-8")

    def words(text):
        return {line.split("=")[0].strip() for line in text.replace("[2]", "[1]").splitlines()}

    points = {"number", "mark", "points: size", "points [1]:"}
    assert words(ours) <= words(real)
    assert not any(name in words(ours) for name in points)


def test_label_tracks_and_turns_look_as_their_tools_write_them(tmp_path, real_data):
    folder = real_data / "formats"
    (real, *_) = (folder / "rttm/debug.train.rttm").read_text(encoding="utf-8").splitlines()
    ours = saved(tmp_path, "rttm", Found("trn00", 10.0, SPANS[1:2])).read_text(encoding="utf-8")
    assert ours == "SPEAKER trn00 1 0.000000 1.000000 <NA> <NA> sit 0.875 <NA>\n"
    assert len(ours.split()) == len(real.split())
    (real, *_) = (folder / "audacity/spinetail_with_frequencies.txt").read_text().splitlines()
    ours = saved(tmp_path, "audacity").read_text(encoding="utf-8")
    assert ours.splitlines()[2] == "2.000000\t2.500000\tنوم, 睡眠"
    assert real == "0.101385\t0.367520\tSP"


def test_edfio_reads_the_annotations_and_the_clock(tmp_path):
    edfio = pytest.importorskip("edfio")
    start = datetime(2024, 2, 29, 23, 59, 58, 250_000, tzinfo=timezone(timedelta(hours=3)))
    file = edfio.read_edf(saved(tmp_path, "edf", Found("a", 10.0, SPANS, start=start)))
    rows = [(note.onset, note.onset + note.duration, note.text) for note in file.annotations]
    assert rows == [row[:3] for row in BY_TIME]
    assert file.startdatetime == start.replace(tzinfo=None)
    assert (file.num_signals, file.reserved) == (0, "EDF+C")
    empty = edfio.read_edf(saved(tmp_path, "edf", Found("a", 10.0, [], start=start)))
    assert (empty.annotations, empty.startdatetime) == ((), start.replace(tzinfo=None))
    with pytest.raises(ValueError, match=r"x.edf: EDF only allows dates from 1985"):
        saved(tmp_path, "edf", Found("a", 10.0, SPANS, start=datetime(1984, 12, 31)))


def test_without_edfio_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "edfio", None)
    with pytest.raises(ValueError, match=r"x.edf: .* needs edfio: pip install 'spanloc\[edf\]'"):
        saved(tmp_path, "edf")


def test_tasks_for_label_studio_are_pre_annotations(tmp_path):
    found = [Found("a", 10.0, SPANS[:2], path=tmp_path / "a.csv"), Found("b", 1.0, [])]
    first, second = json.loads(saved(tmp_path, "labelstudio", *found).read_text(encoding="utf-8"))
    assert first["data"] == {"csv_url": str(tmp_path / "a.csv"), "sequence": "a"}
    (prediction,) = first["predictions"]
    assert prediction["score"] == pytest.approx((0.25 + 0.875) / 2)
    assert prediction["result"][1] == {
        "id": "1-2", "from_name": "label", "to_name": "ts", "type": "timeserieslabels", "score": 0.25,
        "value": {"start": 2.0, "end": 2.5, "instant": False, "timeserieslabels": ["نوم, 睡眠"]},
    }  # fmt: skip
    assert second["data"] == {"csv_url": "b.csv", "sequence": "b"}
    assert second["predictions"] == [{"model_version": "spanloc", "result": []}]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Found("../a", 10.0, []), r"id is '../a'; wanted what is safe as the name of a file"),
        (Found("/a", 10.0, []), "id is '/a'"),
        (Found("a//b", 10.0, []), "id is 'a//b'"),
        (Found("", 10.0, []), "id is ''"),
        (Found("C:a", 10.0, []), "id is 'C:a'"),
        (Found("a\\b", 10.0, []), "id is 'a.*b'"),
        (Found("a\nb", 10.0, []), r"id is 'a\\nb'"),
        (Found("睡" * 86, 10.0, []), "id is '睡"),
        (Found("\udc80", 10.0, []), r"id is '\\udc80'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_and_nothing_is_written(tmp_path, found, message):
    for kind in FORMATS:
        file = tmp_path / f"x{suffix_of(kind)}"
        file.write_text("before")
        with pytest.raises(ValueError, match=f"{file.name}: .*{message}") as caught:
            write([found], file, kind)
        assert str(caught.value).isprintable()
        assert [path.read_text() for path in tmp_path.iterdir()] == ["before"], kind
        file.unlink()


def test_what_one_file_cannot_hold_is_named(tmp_path):
    found = [Found("a", 10.0, []), Found("b", 10.0, [])]
    for kind in FORMATS:
        if not joint(kind):
            continue
        with pytest.raises(ValueError, match=r"x.*: sequence 'a' is there 2 times"):
            saved(tmp_path, kind, found[0], *found)
    for kind, name in (("csv", " a"), ("rttm", "a b")):
        with pytest.raises(ValueError, match=f"id is '{name}'; wanted no white space"):
            saved(tmp_path, kind, Found(name, 10.0, []))
    with pytest.raises(ValueError, match=r"format is 'praat'; wanted one of json, csv, jsonl"):
        suffix_of("praat")


def test_the_rounding_of_float32_may_pass_the_end(tmp_path):
    file = saved(tmp_path, "csv", Found("a", 0.1, [(-1e-9, 0.10000000149, "x", 1)]))
    assert file.read_text().splitlines()[1] == "a,0.0,0.1,x,1.0"
