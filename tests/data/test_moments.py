"""Moments: annotations without a length, which become spans with ``data.moment_seconds``."""

import json
import logging
from functools import partial

import numpy as np
import pytest
from recordings import RATE, error_of, recording, said
from surveyed import survey

from spanloc.data import from_arrays, read_annotations

REMEDY = "moments: data.moment_seconds=0.1 makes spans of them"
TABLE = "sequence,start,end,label\na,2,2,x\na,4,,x\na,6,7,y\n"
SPANS = {"a": [(1.9, 2.1, "x"), (3.9, 4.1, "x"), (6.0, 7.0, "y")]}


def read(folder, text, name="annotations.csv", reader=read_annotations, **options):
    recording(folder / "data", "a")
    (folder / name).write_text(text)
    return reader(folder, fps=RATE, **options)


stopped = partial(read, reader=error_of)


ONLY_POINTS = """File type = "ooTextFile"
Object class = "TextGrid"
0 10 <exists> 1
"TextTier" "marks" 0 10 2
2 "x" 4 "x"
"""
BORIS = (
    "Behavior,Behavior type,Time\nx,POINT,2\nx,POINT,4\ny,START,6\ny,STOP,7\n",
    "Behavior,Start (s),Stop (s)\nx,2,2\nx,4,\ny,6,7\n",
)


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("annotations.csv", TABLE, {}),
        ("annotations.csv", TABLE.replace(",", ";"), {}),
        ("annotations.csv", "sequence,start,duration,label\na,2,0,x\na,4,,x\na,6,1,y\n", {}),
        ("annotations.jsonl", '{"sequence": "a", "start": 2, "label": "x"}\n'
         '{"sequence": "a", "start": 4, "end": null, "label": "x"}\n'
         '{"sequence": "a", "start": 6, "duration": 1, "label": "y"}\n', {}),
        ("a.csv", TABLE.replace("a,", "").replace("sequence,", ""), {"format": "csv"}),
        ("a.txt", "2\t2\tx\n4\t4\tx\n6\t7\ty\n", {"format": "audacity"}),
        ("a.selections.txt", "Begin Time (s)\tEnd Time (s)\tAnnotation\n2\t2\tx\n4\t\tx\n6\t7\ty\n", {}),
        ("a.csv", BORIS[0], {"format": "boris"}),
        ("a.csv", BORIS[1], {"format": "boris"}),
        ("annotations.csv", "sequence,start,end,label\na,100,100,x\na,200,,x\na,300,350,y\n", {"unit": "steps"}),
        ("annotations.csv", "sequence,start,end,label\na,101,101,x\na,201,,x\na,301,350,y\n",
         {"unit": "steps", "first_index": 1, "ends": "inclusive"}),
    ],
)  # fmt: skip
def test_moments_become_spans_of_the_length_that_is_set(tmp_path, name, text, options):
    assert said(read(tmp_path, text, name, **options, moment_seconds=0.2)) == SPANS
    if options.get("ends") != "inclusive":  # there, a start that is the end is a span of one step
        assert stopped(tmp_path, text, name, **options).endswith(REMEDY)


def test_points_of_a_tier_are_read_where_moments_are(tmp_path):
    expected = {"a": SPANS["a"][:2]}
    assert said(read(tmp_path, ONLY_POINTS, "a.TextGrid", moment_seconds=0.2)) == expected
    message = f"the tier 'marks' has points only; {REMEDY}"
    assert message in stopped(tmp_path, ONLY_POINTS, "a.TextGrid")
    both = ONLY_POINTS.replace("> 1", "> 2") + '"IntervalTier" "acts" 0 10 1\n6 7 "y"\n'
    assert said(read(tmp_path, both, "a.TextGrid")) == {"a": SPANS["a"][2:]}
    assert message in stopped(tmp_path, both, "a.TextGrid", tier="marks")
    assert said(read(tmp_path, both, "a.TextGrid", tier="*", moment_seconds=0.2)) == SPANS
    assert said(read(tmp_path, both, "a.TextGrid", tier="marks", moment_seconds=0.2)) == expected


def test_single_symbols_of_wfdb_are_moments(tmp_path):
    # Two bytes each: the code in the upper six bits, the samples since the last one in the others.
    marks = b"".join((code << 10 | gap).to_bytes(2, "little") for code, gap in ((1, 100), (1, 100)))
    recording(tmp_path / "data", "a")
    (tmp_path / "a.hea").write_text("a 1 50 500\n")
    (tmp_path / "a.atr").write_bytes(marks + b"\0\0")
    found = read_annotations(tmp_path, format="wfdb", moment_seconds=0.2)
    assert said(found) == {"a": [(1.9, 2.1, "N"), (3.9, 4.1, "N")]}


def test_arrays_and_json_may_hold_moments(tmp_path):
    data = from_arrays(
        {"a": np.zeros((500, 2))},
        {"a": [(2, None, "x"), (4, 4, "x"), (6, 7, "y")]},
        rate=RATE,
        moment_seconds=0.2,
    )
    assert said(data.annotations) == SPANS
    rows = [{"segment": [at, at], "label": "x"} for at in (2, 4)]
    rows.append({"segment": [6, 7], "label": "y"})
    text = json.dumps({"database": {"a": {"annotations": rows}}})
    assert said(read(tmp_path, text, "annotations.json", moment_seconds=0.2)) == SPANS


def test_a_moment_near_a_border_is_moved_inside_and_one_outside_is_bad(tmp_path):
    rows = "sequence,start,end\n" + "".join(f"a,{at},\n" for at in (0, 0.05, 5, 10))
    found = read(tmp_path, rows, moment_seconds=0.2)
    spans = [span[:2] for span in said(found)["a"]]
    assert spans == [(0.0, 0.2), (0.0, 0.2), (4.9, 5.1), (9.8, 10.0)]
    assert said(read(tmp_path, "sequence,start,end\na,1,1\n", moment_seconds=99))["a"][0][:2] == (
        0,
        10,
    )
    for at, kind in (("-1", "before the start"), ("11", "past the end")):
        text = f"sequence,start,end\na,{at},\na,1,2\n"
        message = stopped(tmp_path, text, moment_seconds=0.2)
        assert f"[{float(at)}, nan], a moment; wanted 0 <= start <= duration (10.0)" in message
        bad = []
        left = read(tmp_path, text, moment_seconds=0.2, bad_spans="clip", found=bad)
        assert [(b.kind, b.row) for b in bad] == [(kind, 0)]
        assert [span[:2] for span in said(left)["a"]] == [(1, 2)]


def test_the_unit_of_moments_is_asked_about(tmp_path):
    text = "sequence,start,end\n" + "".join(f"a,{at}000,\n" for at in range(3, 9))
    message = stopped(tmp_path, text, moment_seconds=0.2)
    assert message.endswith("in milliseconds? data.unit=milliseconds")


def test_a_table_without_ends_needs_the_setting(tmp_path, caplog):
    text = "sequence,start,label\na,2,x\na,4,x\n"
    assert said(read(tmp_path, text, moment_seconds=0.2)) == {"a": SPANS["a"][:2]}
    assert stopped(tmp_path, text).endswith(
        f"'data.columns={{end: NAME}}' (NAME: your column), or duration in place of end; {REMEDY}"
    )
    other = text.replace("label", "stop")
    assert "moment" not in stopped(tmp_path, other)
    assert not caplog.messages
    with caplog.at_level(logging.WARNING):
        read(tmp_path, other, moment_seconds=0.2)
    assert "no column 'end', so all rows are moments; not read: 'stop'" in caplog.text
    columns = {"end": "until"}
    message = stopped(tmp_path, text, moment_seconds=0.2, columns=columns)
    assert "there is no column 'until'" in message
    assert "moments" not in message


def findings(folder, **options):
    return {finding.kind: finding for finding in survey(folder, fps=RATE, **options).findings}


def test_the_check_names_the_setting_and_does_not_take_the_label_out(tmp_path):
    recording(tmp_path / "data", "a")
    (tmp_path / "annotations.csv").write_text(TABLE)
    found = findings(tmp_path)
    assert found["span: empty"].count == 2
    assert REMEDY[1:] in found["span: empty"].advice
    assert "label without spans" not in found
    assert (
        not {"span: empty", "label without spans"} & findings(tmp_path, moment_seconds=0.2).keys()
    )


def test_an_array_of_more_channels_than_steps_is_perhaps_transposed(tmp_path):
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "a.npy", np.zeros((3, 200), np.float32))
    (tmp_path / "annotations.csv").write_text("sequence,start,end,label\na,1,2,x\na,3,4,x\n")
    question = "; 200 channels of 3 steps: is the array transposed?"
    assert "wanted 0 <= start < end <= duration (0.06); 200 chan" in error_of(tmp_path, fps=RATE)
    found = findings(tmp_path)
    assert found["span: past the end"].cases[0].text.endswith(question)
    assert "label without spans" not in found
    # Two arrays with the same columns are what they say.
    np.save(tmp_path / "data" / "b.npy", np.zeros((9, 200), np.float32))
    (tmp_path / "annotations.csv").write_text("sequence,start,end\na,1,2\nb,,\n")
    assert "transposed" not in error_of(tmp_path, fps=RATE)
    entry = {"subset": "training", "duration": 4, "fps": RATE, "annotations": []}
    (tmp_path / "annotations.json").write_text(json.dumps({"database": {"a": entry}}))
    with pytest.raises(ValueError, match=r"a.npy: 3 rows; wanted 200, which .*; 200 channels"):
        read_annotations(tmp_path)
