"""Tables as spreadsheets and other tools write them."""

import numpy as np
import pytest
from recordings import RATE, error_of, recording, said
from surveyed import survey

from spanloc.data import AnnotatedData, from_arrays, read_annotations
from spanloc.files import counted

SPANS = {"a": [(1.5, 2.25, "walk"), (3.0, 4.0, "sit")]}


def write(folder, text, name="annotations.csv"):
    recording(folder / "data", "a", "b")
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def read(folder, text, name="annotations.csv", **options):
    write(folder, text, name)
    return read_annotations(folder, fps=RATE, **options)


def stopped(folder, text, name="annotations.csv", **options):
    write(folder, text, name)
    return error_of(folder, fps=RATE, **options).replace(str(folder), "FOLDER")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("annotations.csv", "sequence;start;end;label\na;1,5;2,25;walk\na;3;4;sit\n"),
        ("annotations.csv", "sequence;start;end;label\na;1.5;2.25;walk\na;3;4;sit\n"),
        ("annotations.csv", "\ufeffsequence\tstart\tend\tlabel\na\t1,5\t2,25\twalk\na\t3\t4\tsit\n"),
        ("annotations.tsv", "sequence\tstart\tend\tlabel\na\t1,5\t2,25\twalk\na\t3\t4\tsit\n"),
        ("annotations.csv", "sequence,start,end,label\na,00:01.5,0:2.25,walk\na,00:00:03,00:04,sit\n"),
        ("annotations.csv", "sequence;start;end;label\na;00:01,5;0:2,25;walk\na;3;00:00:04;sit\n"),
        ("annotations.csv", "Sequence,START,End, Label\na,1.5,2.25,walk\na,3,4,sit\n"),
        ("annotations.csv", "sequence,start,duration,label\na,1.5,.75,walk\na,3,1,sit\n"),
        ("annotations.csv", "sequence,start,end,label\na.npy,1.5,2.25,walk\na,3,4,sit\n"),
        ("annotations.csv", 'sequence,start,end,label,"notes; free",x\t\na,1.5,2.25,walk,none,\na,3,4,sit,,\n'),
        ("annotations.jsonl", '{"Sequence": "a.npy", "start": "0:01.5", "duration": 0.75, "label": "walk"}\n'
         '{"sequence": "a", "Start": 3, "end": 4, "label": "sit"}\n'),
    ],
)  # fmt: skip
def test_what_other_programs_write_is_the_same_table(tmp_path, name, text):
    assert said(read(tmp_path, text, name)) == SPANS


def test_columns_of_bids_are_mapped_and_a_duration_counts_in_its_unit(tmp_path):
    columns = {"sequence": "File", "start": "onset", "duration": "duration", "label": "trial_type"}
    text = "file\tonset\tduration\ttrial_type\tend\na\t1500\t750\twalk\t9\na\t3000\t1000\tsit\t9\n"
    found = read(tmp_path, text, "annotations.tsv", columns=columns, unit="milliseconds")
    assert said(found) == SPANS
    message = stopped(tmp_path, text, "annotations.tsv", columns=columns, ends="inclusive")
    assert "line 1: data.ends is inclusive; that is not for durations" in message
    (tmp_path / "annotations.tsv").unlink()
    one = "onset;duration;label\n1,5;0,75;walk\n3;1;sit\n"
    found = read(tmp_path, one, "a.csv", format="csv", columns={"start": "onset"})
    assert said(found) == SPANS


def test_a_name_with_a_suffix_that_is_a_recordings_own_stays(tmp_path):
    recording(tmp_path / "data", "a.npy")
    found = read(tmp_path, "sequence,start,end\na.npy,1,2\na,2,3\n")
    assert said(found) == {"a.npy": [(1, 2, "span")], "a": [(2, 3, "span")]}


def test_a_clock_counts_milliseconds_too_but_not_steps(tmp_path):
    text = "sequence,start,end,label\na,0:01.5,2250,walk\na,0:03,0:04,sit\n"
    assert said(read(tmp_path, text, unit="milliseconds")) == SPANS
    message = stopped(tmp_path, text, unit="steps")
    assert "line 2: start is '0:01.5', which is minutes and seconds; data.unit is steps" in message
    span = {"sequence": "a", "start": "0:01", "end": "0:02"}
    data = from_arrays({"a": np.zeros((500, 1))}, [span], rate=RATE, unit="milliseconds")
    assert data.annotations.subsets["training"][0].spans.tolist() == [[50, 100]]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("file,onset,offset,class\n", {},
         "FOLDER/annotations.csv: line 1: there are no columns 'sequence', 'start' and 'end'; found 'file', "
         "'onset', 'offset', 'class'; set 'data.columns={sequence: file, start: onset, end: offset, label: class}'"),
        ("who,t0,duration,label\n", {"columns": {"label": "Label"}},
         "there are no columns 'sequence' and 'start'; found 'who', 't0', 'duration', 'label'; set "
         "'data.columns={sequence: NAME, start: NAME, label: Label}'"),
        ("recording,begin_s,end_s,behaviour,animal\n", {},
         "set 'data.columns={sequence: recording, start: begin_s, end: end_s, label: behaviour, subject: "
         "animal}'"),
        ("recording,begin_s,end_s,what,animal\n", {},
         "set 'data.columns={sequence: recording, start: begin_s, end: end_s, label: NAME, subject: animal}' "
         "(NAME: your column; without labels, leave out \"label: NAME\")"),
        ("sequence,t0,end,label\n", {}, "set 'data.columns={start: NAME}' (NAME: your column)"),
        ("file,Begin,length (s)\n", {"columns": {"sequence": "file"}},
         "set 'data.columns={sequence: file, start: Begin, duration: \"length (s)\"}'"),
        ("File name,Start (ms),End [ms],Who does it\n", {},
         "set 'data.columns={sequence: \"File name\", start: \"Start (ms)\", end: \"End [ms]\", label: NAME}' "
         "data.unit=milliseconds (NAME: your column; without labels, leave out \"label: NAME\")"),
        ("sequence,Start,START,end\n", {}, "there is no column 'start'; found 'sequence', 'Start', 'START', 'end'"),
        ("x", {"columns": {"Sequence": "sequence", "Onset": "start"}},
         "data.columns: no field 'Onset'; write {sequence: Sequence, start: Onset}"),
        ("x", {"columns": {"begin": "t"}}, "data.columns: no field 'begin'; wanted some of sequence, start"),
        ("x", {"columns": {"end": "t", "duration": "d"}}, "data.columns: has both end and duration"),
        ("sequence;start;end\na;1,5;2\na;2.5;3\n", {},
         "line 3: start is '2.5', and '1,5' in line 2; wanted decimal commas or points, not both"),
        ('sequence,start,end\na,"1,5",2\n', {}, "line 2: start is '1,5'; wanted a number"),
        ("sequence;start;end\na;1.234,5;2\n", {}, "line 2: start is '1.234,5'; wanted a number"),
        ("sequence,start,end\na,1:75,2\n", {}, "start is '1:75'; wanted a number, mm:ss, hh:mm:ss or a date-time"),
        ("sequence,start,end\na,1:60:00,2\n", {}, "start is '1:60:00'; wanted a number, mm:ss, hh"),
        (f"sequence,start,end\na,{'1' * 400}:00,2\n", {}, ":00'; wanted a number, mm:ss, hh:mm:ss or a date-time"),
        ("", {}, "annotations.csv: the file is empty; wanted text"),
        ('sequence\tstart\tend\n"a"x\t1\t2\n', {}, "annotations.csv: line 2: '\\t' expected after '\"'"),
        (b"\0\1\2", {}, "annotations.csv: binary data; wanted text"),
        ("sequence,start,end,end\na,1,2,3\n", {}, "annotations.csv: line 1: the column 'end' is there twice"),
        ("sequence,start,end,subset\na,1,2,dev\n", {}, "line 2: subset is 'dev'; wanted one of"),
        ("sequence,start,end,subset\na,1,2,training\na,3,4,testing\n", {},
         "line 2: subset of 'a' is 'training' in 1 row, 'testing' in 1 row"),
        ("sequence,start,end,subject\na,1,2,p\na,2,3,q\na,3,4,p\n", {},
         "line 3: subject of 'a' is 'q' in 1 row, 'p' in 2 rows"),
        ("sequence,start,end,subset\na,1,2,training\n", {}, "annotations.csv: there is no row of 'b'"),
        ("sequence,start,end\n../a,1,2\n", {}, "'../a': its array would lie outside"),
        ("sequence,start,end\né,1,2\n".encode("latin-1"), {}, "sequence 'é': there is no such recording in"),
        ("sequence,start,end\nA,1,2\n", {}, "/data; put it there, delete its annotations, or leave out"),
        ("sequence,start,end\nb_.wav,1,2\n", {}, "'b_.wav': there is no such recording"),
        ("sequence,start,end,label\na,1,2,w\na,1,2,\n", {},
         "line 3: the label is empty; fill it in, or leave the span out: data.bad_spans=drop"),
        ("sequence,start,end\na,9,12\n", {},
         "wanted 0 <= start < end <= duration (10.0); data.bad_spans=clip cuts off what is outside"),
    ],
)  # fmt: skip
def test_a_mistake_comes_with_its_remedy(tmp_path, text, options, message):
    assert message in stopped(tmp_path, text, **options)


def test_recordings_that_were_written_in_parts_are_named_where_the_whole_is_missing(tmp_path):
    recording(tmp_path / "data", "a_ankle", "a_wrist", "ab", "night 1")
    text = "sequence,start,end\n{},1,2\n"
    (tmp_path / "annotations.csv").write_text(text.format("a"))
    assert error_of(tmp_path, fps=RATE).endswith("join the columns of 'a_ankle', 'a_wrist'")
    (tmp_path / "annotations.csv").write_text(text.format("night"))
    assert error_of(tmp_path, fps=RATE).endswith(
        "did you mean 'night 1', which has no annotations?"
    )
    (tmp_path / "annotations.csv").write_text(text.format("night") + "night 1,1,2\n")
    assert "; put it there, delete its annotations, or" in error_of(tmp_path, fps=RATE)


@pytest.mark.parametrize(
    ("few", "many", "rare", "warned"),
    [(4, 20, "wvae", True), (8, 80, "wvae", True), (8, 79, "wvae", False), (4, 19, "wvae", False), (1, 20, "wave2", False), (1, 20, "nod", False)],
)  # fmt: skip
def test_a_rare_label_nearly_called_like_a_frequent_one_is_warned_of(
    tmp_path, caplog, few, many, rare, warned
):
    labels = [rare] * few + ["wave"] * many + ["circle"] * many
    rows = (f"a,{i / 20},{i / 20 + 0.05},{label}\n" for i, label in enumerate(labels))
    recording(tmp_path / "data", "a")
    (tmp_path / "annotations.csv").write_text("sequence,start,end,label\n" + "".join(rows))
    read_annotations(tmp_path, fps=RATE)
    text = (
        f"'{rare}' ({counted(few, 'time')}) is nearly 'wave' ({many} times). If it is a misspelling"
    )
    assert (text in caplog.text) == warned == bool(caplog.records)
    if warned:
        assert caplog.text.rstrip().endswith("set 'data.label_map={wvae: wave}'.")
    # Of a trained model the classes are known.
    caplog.clear()
    end = "; did you mean 'wave'?" if rare == "wvae" else "one of classes: 'circle', 'wave'"
    assert error_of(tmp_path, fps=RATE, classes=["circle", "wave"]).endswith(end)
    assert not caplog.records


# Half a second every second, of 10 s at 50 steps per second.
IN_SECONDS = [(i, i + 0.5) for i in range(1, 9)]
SIZES = {"seconds": 1, "milliseconds": 1000, "steps": RATE}


def units_table(unit, label=lambda i: "xy"[i % 2]):
    ends = [(start * SIZES[unit], end * SIZES[unit]) for start, end in IN_SECONDS]
    rows = [f"{name},{a:g},{b:g},{label(i)}" for name in "ab" for i, (a, b) in enumerate(ends)]
    return "\n".join(["sequence,start,end,label", *rows])


def findings(folder, text, **options):
    write(folder, text)
    return {f.kind: f for f in survey(folder, fps=RATE, **options).findings}


@pytest.mark.parametrize("wrong", SIZES)
@pytest.mark.parametrize("right", SIZES)
def test_the_wrong_unit_is_asked_about_in_training_and_in_the_check(tmp_path, right, wrong):
    text, question = units_table(right), f"in {right}? data.unit={right}"
    found = findings(tmp_path, text, unit=wrong)
    kinds = {"span: past the end", "unit"} & found.keys()
    if right == wrong:
        assert not kinds
        return
    # Times in seconds are hundredths of steps; in milliseconds they are 20 times as many as in steps.
    kind = "unit" if SIZES[right] < SIZES[wrong] else "span: past the end"
    assert kinds == {kind}
    assert found[kind].severity == "error"
    assert found[kind].advice == f"I{question[1:]}; with this unit they fit in their recordings."
    assert not {"label without spans", "short spans", "no training spans"} & found.keys()
    assert stopped(tmp_path, text, unit=wrong).endswith(question)


def test_no_unit_is_asked_about_where_one_span_is_wrong_or_no_unit_fits(tmp_path):
    one = f"{units_table('seconds')}\na,90,95,x\n"
    found = findings(tmp_path, one)
    assert "data.bad_spans=clip" in found["span: past the end"].advice
    far = "\n".join(["sequence,start,end,label", "a,1e9,2e9,x", "b,1e9,2e9,x"])
    assert "data.bad_spans=clip" in findings(tmp_path, far)["span: past the end"].advice
    # Single steps all over the recordings are short in whatever unit.
    marks = "\n".join(["sequence,start,end", *[f"a,{i},{i + 1}" for i in range(0, 500, 20)]])
    assert "unit" not in findings(tmp_path, marks, unit="steps")
    # So are those at the beginning of recordings whose rest is empty.
    early = "\n".join(["sequence,start,end", *[f"a,{i},{i + 1}" for i in range(0, 16, 2)]])
    assert "unit" not in findings(tmp_path, early, unit="milliseconds")
    (tmp_path / "annotations.csv").unlink()
    (tmp_path / "data" / "a.txt").write_text("1000\t2000\tx\n")
    # A label track is in seconds.
    assert error_of(tmp_path, fps=RATE).endswith("data.bad_spans=clip cuts off what is outside")


def test_labels_of_several_spellings_are_a_warning_and_those_without_any_a_finding(
    tmp_path, caplog
):
    text = units_table("seconds", lambda i: ("cough", "Cough", "cough", "runny nose", "")[i % 5])
    found = findings(tmp_path, f"{text}\na,9,9.5,Runny  nose\n")
    assert "'Cough' (4 times) is nearly 'cough' (8 times), 'Runny  nose' (1 time) is" in caplog.text
    assert "'data.label_map=\"{Cough: cough, Runny  nose: runny nose}\"'" in caplog.text
    assert found["span: no label"].advice.startswith("Fill it in")
    assert found["span: no label"].cases[0].line.endswith("a, line 6: the label is empty")
    caplog.clear()
    findings(tmp_path, units_table("seconds", lambda i: "aA"[i % 2]))
    assert "is nearly" not in caplog.text


def test_the_folder_above_is_named_where_the_annotations_are_there(tmp_path):
    write(tmp_path, "sequence,start,end\na,1,2\n")
    message = error_of(tmp_path / "data", fps=RATE)
    assert message.endswith(f"they are in the folder above: data.root={tmp_path}")


def test_what_is_given_twice_is_said_plainly(tmp_path):
    recording(tmp_path / "data", *"abcdef")
    rows = [f"{name},1,2" for name in "abcdefa"]
    (tmp_path / "annotations.csv").write_text("\n".join(["sequence,start,end", *rows]))
    data = AnnotatedData(tmp_path, fps=RATE)
    data.setup()
    assert data.notes[0].startswith("1 span given twice: kept; the first: ")
    assert data.notes[0].endswith("'a': line 8: [1.0, 2.0] is given twice")


def test_what_is_held_out_is_said_by_subject_where_these_are_known():
    signals = {f"r{i}": np.zeros((100, 1)) for i in range(9)}
    spans = {name: [(0.2, 0.8, "x")] for name in signals}
    people = {name: f"p{i // 3}" for i, name in enumerate(signals)}
    data = from_arrays(signals, spans, rate=RATE, subjects=people)
    data.setup()
    assert any(note.startswith("held out for testing: subject 'p") for note in data.notes)
    assert "(3 recordings)" in data.notes[0]
    data = from_arrays(signals, spans, rate=RATE)
    data.setup()
    assert any(note.startswith("held out for testing: 'r") for note in data.notes)


def test_the_line_with_the_separator_of_excel_is_none_of_the_table(tmp_path):
    recording(tmp_path / "data", "a")
    for named in ("", ";"):
        text = f"sep={named}\nsequence;start;end\na;1,5;2,5\n"
        (tmp_path / "annotations.csv").write_text(text)
        (record,) = read_annotations(tmp_path, fps=RATE).subsets["training"]
        assert (record.spans / RATE).tolist() == [[1.5, 2.5]]
    (tmp_path / "annotations.csv").write_text(text.replace("1,5", "x"))
    with pytest.raises(ValueError, match=r"csv: line 3: start is 'x'"):
        read_annotations(tmp_path, fps=RATE)


def test_rows_of_a_table_of_numbers_are_lines_of_its_file(tmp_path):
    (tmp_path / "data").mkdir()
    for name, header in (("a", "x,y\n"), ("b", "")):
        (tmp_path / "data" / f"{name}.csv").write_text(f"{header}1,2\n" + "3,\n" + "1,2\n" * 498)
    text = "sequence,start,end\na.csv,1,2\nb.csv,2,3\n"
    (tmp_path / "annotations.csv").write_text(text)
    (finding,) = [f for f in survey(tmp_path, fps=RATE).findings if f.kind == "missing"]
    assert [(case.sequence, case.row) for case in finding.cases] == [
        ("a", "line 3"),
        ("b", "line 2"),
    ]
