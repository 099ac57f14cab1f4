"""Tables of annotations, subsets, and which format a folder holds."""

from functools import partial
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest
from recordings import RATE, error_of, recording, said

from spanloc.data import read_annotations

TABLE = [("a", 0.5, 1.0, "walk"), ("a", 2.0, 2.5, "sit"), ("b", 1.0, 4.0, "walk")]
FRAME = pd.DataFrame(TABLE, columns=["sequence", "start", "end", "label"])
WRITERS = {
    "csv": lambda path: FRAME.to_csv(path, index=False),
    "tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t", encoding="utf-8-sig"),
    "jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True),
    "parquet": FRAME.to_parquet,
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_table_is_read_whatever_its_suffix(tmp_path, suffix):
    recording(tmp_path / "data", "a", "b", "c")
    WRITERS[suffix](tmp_path / f"annotations.{suffix}")
    found = read_annotations(tmp_path, fps=RATE)
    assert found.classes == ["sit", "walk"]
    assert said(found) == {
        "a": [(0.5, 1.0, "walk"), (2.0, 2.5, "sit")],
        "b": [(1.0, 4.0, "walk")],
    }
    assert [len(found.subsets[name]) for name in found.subsets] == [2, 0, 0]


def test_columns_of_other_names_and_subsets_of_other_names(tmp_path):
    recording(tmp_path, "1", "2")
    (tmp_path / "annotations.csv").write_text(
        "file,onset_s,offset_s,what,split,who\n1,0,1,x,train,ann\n2,,,,val,bob\n"
    )
    columns = {"sequence": "file", "start": "onset_s", "end": "offset_s", "label": "what",
               "subset": "split", "subject": "who"}  # fmt: skip
    names = {"train": "training", "val": "validation"}
    found = read_annotations(tmp_path, fps=RATE, columns=columns, subset_map=names)
    assert said(found) == {"1": [(0, 1, "x")], "2": []}
    assert [(r.id, r.subject) for r in found.subsets["validation"]] == [("2", "bob")]


def test_a_table_of_lines_with_a_mistake_is_named(tmp_path):
    recording(tmp_path, "a")
    for line, message in (
        ("{", "line 2: not valid JSON"),
        ("3", "line 2: wanted an object"),
        ('{"sequence": "a", "start": 1, "end": 2}', "line 2: some rows have a label, and some"),
        ('{"sequence": ["a"], "start": 1, "end": 2}', "line 2: sequence is ['a']; wanted a name"),
        ('{"sequence": "a", "start": true, "end": 2, "label": "x"}', "line 2: start is True"),
    ):
        first = '{"sequence": "a", "start": 1, "end": 2, "label": "x"}\n'
        (tmp_path / "annotations.jsonl").write_text(first + line)
        assert message in error_of(tmp_path, fps=RATE)
    (tmp_path / "annotations.jsonl").unlink()
    (tmp_path / "annotations.parquet").write_bytes(b"PAR1")
    assert "annotations.parquet: not a Parquet file" in error_of(tmp_path, fps=RATE)


def test_subsets_come_from_a_file_or_from_folders(tmp_path, caplog):
    for name, subset in (("a", "training"), ("b", "testing")):
        recording(tmp_path / subset, name)
        (tmp_path / subset / f"{name}.txt").write_text("0\t1\tx\n")

    def subsets():
        found = read_annotations(tmp_path, fps=RATE).subsets.values()
        return [[(record.id, record.subject) for record in records] for records in found]

    assert subsets() == [[("a", None)], [], [("b", None)]]
    (tmp_path / "data").mkdir()
    (tmp_path / "testing" / "b.npy").rename(tmp_path / "data" / "b.npy")
    assert subsets() == [[("a", None)], [], [("b", None)]]
    assert not caplog.messages
    for name in ("notes", "todo"):
        (tmp_path / f"{name}.txt").write_text("of the day\n")
    subsets()
    (line,) = caplog.messages
    assert line.endswith(": not read, as no recording has these names: 'notes.txt', 'todo.txt'")
    texts = tmp_path / "texts"
    (texts / "data").mkdir(parents=True)
    for name in "ab":
        (texts / "data" / f"{name}.txt").write_text("1 2\n" * 200)
        (texts / f"{name}.txt").write_text("0\t1\tx\n")
    caplog.clear()
    assert said(read_annotations(texts, fps=RATE)) == {name: [(0, 1, "x")] for name in "ab"}
    assert not caplog.messages
    file = tmp_path / "subsets.csv"
    file.write_text("Sequence;Subset;Subject\na.npy;validation;p\nb;training;q\n")
    assert subsets() == [[("b", "q")], [("a", "p")], []]
    file.write_text("sequence,subset\na,validation\nb,training\nc,training\n")
    assert subsets() == [[("b", None)], [("a", None)], []]
    assert "subsets.csv: there are no recordings of its rows 'c'" in caplog.text
    file.write_text("sequence,subset\na,validation\n")
    assert "subsets.csv: there is no row of the sequence 'b'" in error_of(tmp_path, fps=RATE)
    file.write_text("sequence,subset\na,dev\n")
    assert "subsets.csv: line 2: subset is 'dev'; wanted one of" in error_of(tmp_path, fps=RATE)
    file.write_text("sequence,subject\na,p\nb,q\n")
    (tmp_path / "data" / "b.npy").rename(tmp_path / "testing" / "b.npy")
    assert subsets() == [[("a", "p")], [], [("b", "q")]]
    file.write_text("sequence,split,subject\na,testing,p\nb,training,q\n")
    assert "columns are 'sequence', 'split', 'subject'; wanted" in error_of(tmp_path, fps=RATE)


def test_names_are_the_same_with_accents_as_a_mac_writes_them_and_as_others_do(tmp_path):
    mac, other = (normalize(form, "día") for form in ("NFD", "NFC"))
    (tmp_path / "data").mkdir()
    text = f"{normalize('NFD', 'time,código,año')}\n0,1,pájaro\n0.1,1,pájaro\n0.2,2,\n"
    (tmp_path / "data" / f"{mac}.csv").write_text(text)
    (tmp_path / "subsets.csv").write_text(f"sequence,subset\n{other},testing\n")
    read = read_annotations(tmp_path, columns={"label": "año"}, background=[])
    (record,) = read.subsets["testing"]
    assert (record.id, read.classes, record.signal.channels) == (other, ["pájaro"], ("código",))
    (tmp_path / f"{mac}.txt").write_text("0\t0.1\tx\n")
    (tmp_path / f"{mac}.rttm").write_text(f"SPEAKER {mac} 1 0 0.1 <NA> <NA> x <NA> <NA>\n")
    for kind, name in (("table", mac), ("table", f"{mac}.csv"), ("audacity", ""), ("rttm", "")):
        (tmp_path / "annotations.csv").write_text(f"sequence,start,end,label\n{name},0,0.1,x\n")
        found = read_annotations(tmp_path, format=kind, channels=["código"])
        (record,) = found.subsets["testing"]
        assert (record.id, record.spans.tolist()) == (other, [[0, 1]])


@pytest.mark.parametrize("setting", ["NFC", "NFD"])
def test_columns_are_found_whichever_spelling_of_accents_files_and_settings_have(tmp_path, setting):
    file = {name: normalize("NFD", name) for name in ("début", "é", "ü")}
    chosen = {name: normalize(setting, name) for name in file}
    (tmp_path / "data").mkdir()
    steps = {file["début"]: np.arange(10) / 10, file["é"]: np.arange(10), file["ü"]: ["w"] * 10}
    pd.DataFrame(steps).to_parquet(tmp_path / "data" / "a.parquet")
    columns = {"time": chosen["début"], "label": chosen["ü"]}
    for channels in (None, [chosen["é"]]):
        read = read_annotations(tmp_path, columns=columns, channels=channels)
        (record,) = read.subsets["training"]
        assert (record.signal.channels, record.signal.rate) == (("é",), 10)
        assert record.spans.tolist() == [[0, 10]]
        assert record.signal.read(0, 10)[:, 0].tolist() == [*range(10)]
    frame = pd.DataFrame({"sequence": ["a"], file["début"]: [0.2], "end": [0.5], "label": ["x"]})
    pd.DataFrame({"é": [0.0] * 10}).to_parquet(tmp_path / "data" / "a.parquet")
    for i, name in enumerate(("annotations.parquet", "annotations.jsonl")):
        write = (frame.to_parquet, partial(frame.to_json, orient="records", lines=True))[i]
        write(tmp_path / name)
        read = read_annotations(tmp_path, columns={"start": chosen["début"]}, fps=10)
        assert read.subsets["training"][0].spans.tolist() == [[2, 5]]
        (tmp_path / name).unlink()


def test_several_formats_in_one_folder_are_named(tmp_path):
    recording(tmp_path, "a")
    (tmp_path / "a.txt").write_text("0.5\t1\twalk\n")
    (tmp_path / "a.TextGrid").write_text("")
    with pytest.raises(ValueError, match=r"audacity \(.*a.txt\) and textgrid \(.*a.TextGrid\)"):
        read_annotations(tmp_path, fps=RATE)
    found = read_annotations(tmp_path, fps=RATE, format="audacity")
    assert said(found) == {"a": [(0.5, 1.0, "walk")]}
    message = error_of(tmp_path, format="praat")
    assert "data.format is 'praat'; wanted auto or one of json, table" in message
    WRITERS["csv"](tmp_path / "annotations.csv")
    WRITERS["jsonl"](tmp_path / "annotations.jsonl")
    assert "holds annotations.csv and annotations.jsonl; wanted one" in error_of(tmp_path, fps=RATE)


def test_a_table_without_labels_says_what_is_not_read(tmp_path, caplog):
    recording(tmp_path, "1")
    table = tmp_path / "annotations.csv"
    table.write_text("file,start,end,class,person\n1,0,1,x,ann\n")
    found = read_annotations(tmp_path, fps=RATE, columns={"sequence": "file"})
    assert found.classes == ["span"]
    (line,) = caplog.messages
    assert "there is no column 'label', so all spans have the label 'span'" in line
    assert "not read: 'class', 'person'" in line
    advice = "If your labels are in another column, name it: 'data.columns={sequence: file, label: class}'."
    assert line.endswith(advice)
    caplog.clear()
    table.write_text("sequence,start,end\n1,0,1\n")
    read_annotations(tmp_path, fps=RATE)
    assert not caplog.messages
