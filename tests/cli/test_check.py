"""The command spanloc-check: what it prints and writes, and its exit code."""

import json
import re

import numpy as np
import pytest
from recordings import edit

from spanloc.data.sample import sample_folder
from spanloc.data.survey.result import Survey


def check(cli, folder, *arguments):
    return cli("check", *arguments, "hydra.run.dir=out", folder=folder)


def survey(folder):
    return Survey.read(folder / "out" / "check.json")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return sample_folder(tmp_path_factory.mktemp("sample"))


def spoilt(sample, target, change):
    content = json.loads((sample / "annotations.json").read_text())
    (target / "data").mkdir(parents=True)
    for path in (sample / "data").iterdir():
        (target / "data" / path.name).write_bytes(path.read_bytes())
    change(content)
    (target / "annotations.json").write_text(json.dumps(content))
    return target


def test_the_sample_can_be_tried_at_once(cli, tmp_path, capsys):
    assert check(cli, tmp_path, "data.root=sample") == tmp_path
    printed = capsys.readouterr().out
    assert "12 recordings, 6 min in all, 3 channels at 50 Hz; 1,500 steps each" in printed
    assert re.search(r"walk\s*│\s*50 │", printed)
    assert "0 kinds of error, 0 kinds of warning, 0 kinds of note." in printed
    given, all_of_it = (
        json.loads((tmp_path / folder / "annotations.json").read_text())["database"]
        for folder in ("runs/sample", "out")
    )
    assert {k: v["annotations"] for k, v in given.items()} == {
        k: v["annotations"] for k, v in all_of_it.items()
    }
    found = survey(tmp_path)
    assert (found.num_recordings, found.root) == (12, "runs/sample")
    page = (tmp_path / "out" / "check.html").read_text()
    assert page.count("<svg") == 2
    assert "Nothing was found." in page
    assert not re.search(r'(src|href)="?(?!#)', page.replace('xlink:href="#', ""))
    assert not (tmp_path / "out" / "error.txt").exists()


def test_annotations_in_one_file_have_what_training_clips_and_replace_no_file_of_the_data(
    cli, annotated, tmp_path_factory
):
    file = annotated / "annotations.json"
    edit(
        annotated,
        lambda c: c["database"]["s2"]["annotations"].append({"segment": [6, 99], "label": "sit"}),
    )
    settings = (f"data.root={annotated}", "data.bad_spans=clip", "data.fps=10")
    out = check(cli, tmp_path_factory.mktemp("elsewhere"), *settings) / "out"
    written = json.loads((out / "annotations.json").read_text())
    assert written["database"]["s2"]["annotations"][-1] == {"segment": [6.0, 7.0], "label": "sit"}
    before = file.read_text()
    cli("check", *settings, f"hydra.run.dir={annotated}")
    assert file.read_text() == before


def test_a_folder_that_is_called_sample_is_taken_as_it_is(cli, tmp_path):
    (tmp_path / "sample").mkdir()
    assert "sample: 1 kind of error, " in check(cli, tmp_path, "data.root=sample")
    assert not (tmp_path / "runs").exists()


def test_errors_are_all_printed_and_end_in_one_line(cli, sample, tmp_path, capsys):
    def change(content):
        first = content["database"]["person1-a"]
        first["annotations"] += [
            {"segment": [4, 3], "label": "walk"},
            {"segment": [29, 40], "label": "walk"},
            {"segment": [5, 6], "label": "<b>fall</b>"},
        ]
        content["database"]["person3-a"]["subject"] = "person6"

    root = spoilt(sample, tmp_path / "data_here", change)
    array = np.load(root / "data" / "person2-b.npy")
    array[9, 2] = np.nan
    np.save(root / "data" / "person2-b.npy", array)
    stop = check(cli, tmp_path, f"data.root={root}")
    totals, page = (
        "4 kinds of error, 1 kind of warning, 0 kinds of note",
        tmp_path / "out" / "check.html",
    )
    assert stop == f"spanloc-check: error: {root}: {totals}; the page is {page}"
    printed = capsys.readouterr().out
    assert re.search(r"walk\s*│\s*50 │", printed)
    for line in (
        "error: 1 span whose end is before the start",
        "error: 1 span whose label is unknown",
        "error: 1 recording with missing values (NaN, or empty fields)",
        f"  where: {root / 'data' / 'person2-b.npy'}, person2-b, row 9: column 2 is nan",
        "warning: 1 subject in two subsets",
    ):
        assert f"{line}\n" in printed
    assert totals not in printed
    assert "check.html" not in printed
    assert printed.index("error:") < printed.index("warning:")
    found = survey(tmp_path)
    assert [len(found.of(severity)) for severity in ("error", "warning", "note")] == [4, 1, 0]
    page = (tmp_path / "out" / "check.html").read_text()
    assert "1 span whose label is unknown" in page
    assert "<b>fall" not in page


def test_labels_of_any_script_and_markup_are_shown(cli, sample, tmp_path, capsys):
    def change(content):
        names = {"walk": "歩く", "turn": "$x_1$", "sit down": "<i>[red]"}
        content["classes"] = sorted(names.values())
        for fields in content["database"].values():
            for row in fields["annotations"]:
                row["label"] = names[row["label"]]

    root = spoilt(sample, tmp_path / "here", change)
    assert check(cli, tmp_path, f"data.root={root}") == tmp_path
    printed = capsys.readouterr().out
    page = (tmp_path / "out" / "check.html").read_text()
    for name in ("歩く", "$x_1$"):
        assert name in printed
        assert page.count(name) >= 3  # in the table, and in both figures
    assert "<i>[red]" in printed
    assert "<i>" not in page


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "data.root is not set; add data.root=... to the command"),
        (["data.root=nowhere"], "nowhere: no such folder (data.root)"),
        (["data=synthetic"], "data has no root; a check is of a folder"),
        (["data.rot=x"], "there is no setting 'data.rot'"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line(refused, tmp_path, settings, message):
    assert message in check(refused, tmp_path, *settings)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_read_is_a_finding_and_does_not_hide_the_others(
    cli, sample, tmp_path, capsys
):
    def change(content):
        content["database"]["person2-a"]["subset"] = "dev"
        content["database"]["person3-a"]["annotations"][0]["segment"] = [29, 40]

    folder = spoilt(sample, tmp_path / "spoilt", change)
    (folder / "data" / "person1-a.npy").write_bytes(b"nothing")
    check(cli, tmp_path, f"data.root={folder}")
    assert "subset is 'dev'" in capsys.readouterr().out
    found = survey(tmp_path)
    counts = {finding.kind: finding.count for finding in found.of("error")}
    assert counts == {"unusable": 2, "span: past the end": 1}
    assert found.num_recordings == 10


def table(folder, rows, *, steps=500, channels=2):
    (folder / "data").mkdir(parents=True)
    noise = np.random.default_rng(0).normal(size=(steps, channels))
    np.save(folder / "data" / "a.npy", noise.astype(np.float32))
    lines = ["sequence,start,end,label", *rows]
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_every_broken_row_is_listed_and_the_others_are_read(cli, tmp_path, capsys):
    broken = [("a,x,2,walk", "a,1,nan,walk", "a,1", ",1,2,walk")[i % 4] for i in range(200)]
    root = table(tmp_path / "here", [*broken, "a,1,2,walk", "a,9,12,walk", "a,3,4,walk"])
    check(cli, tmp_path, f"data.root={root}", "data.fps=50")
    printed = capsys.readouterr().out
    file = root / "annotations.csv"
    shown = f"""\
error: 200 mistakes in the annotations
  where: {file}, a, line 2: start is 'x'; wanted a number
         {file}, a, line 3: end is 'nan'; wanted a number
         {file}, line 4: 2 fields; the header has 4
         and 197 more, in check.json
  Correct this, then run spanloc-check again: it may find more.
"""
    assert shown in printed
    assert f"{file}, a, line 203: span is [9.0, 12.0]" in printed
    found = survey(tmp_path)
    refused, past = found.findings[:2]
    assert refused.count == len(refused.cases) == 200
    assert [case.row for case in refused.cases] == [f"line {i}" for i in range(2, 202)]
    assert {case.file for case in refused.cases} == {str(file)}
    assert (past.kind, past.count) == ("span: past the end", 1)
    assert found.labels[0].num_spans == 2
    page = (tmp_path / "out" / "check.html").read_text()
    (folded,) = re.findall(r"<details><summary>200 mistakes.*?</details>", page, re.DOTALL)
    assert "the first 100 of 200 cases" in folded
    assert folded.count("<tr>") == 1 + 100
    assert "<td>line 101</td>" in folded
    assert "<td>line 102</td>" not in folded


def test_one_of_each_is_said_in_the_singular(cli, tmp_path, capsys):
    root = table(tmp_path / "here", ["a,1,2,walk", "a,x,2,walk"], channels=1)
    check(cli, tmp_path, f"data.root={root}", "data.fps=50")
    printed = capsys.readouterr().out
    overview = "1 recording, 10 s in all, 1 channel at 50 Hz; 500 steps. 1 span of 1 label.\n"
    assert overview in printed
    assert not re.search(
        r"\b1 (\w+ )?(recordings|channels|spans|labels|mistakes|errors)\b", printed
    )


def test_spans_none_of_which_can_be_used_are_counted(cli, tmp_path, capsys):
    root = table(tmp_path / "here", ["a,1000,2000,walk", "a,3000,4000,sit"])
    check(cli, tmp_path, f"data.root={root}", "data.fps=50")
    assert "500 steps. 2 spans of 2 labels, none of them usable.\n" in capsys.readouterr().out


def test_what_was_not_annotated_is_shaded_and_named(cli, sample, tmp_path, capsys):
    def change(content):
        content["database"]["person1-a"]["annotated"] = [[0, 10]]

    for name, how in (("whole", lambda content: None), ("part", change)):
        root = spoilt(sample, tmp_path / name, how)
        check(cli, tmp_path, f"data.root={root}")
        shaded = name == "part"
        page = (tmp_path / "out" / "check.html").read_text()
        assert ("not annotated or ignored" in page) == shaded
        assert ("#e2e5e9" in page) == shaded
        assert ("Grey: not annotated, or ignored." in page) == shaded
        printed = capsys.readouterr().out
        assert ("outside of the annotated stretches" in printed) == shaded
        assert (" of it ignored or not annotated), " in printed) == shaded
    found = survey(tmp_path)
    (outside,) = (one for one in found.findings if one.kind == "outside of annotated")
    spans = json.loads((root / "annotations.json").read_text())["database"]["person1-a"]
    late = [i for i, row in enumerate(spans["annotations"]) if row["segment"][1] > 10.02]
    assert [case.row for case in outside.cases] == [f"annotations[{i}]" for i in late]
    assert {(case.file, case.sequence) for case in outside.cases} == {
        (str(root / "annotations.json"), "person1-a")
    }


def test_a_folder_without_a_signal_says_so(cli, tmp_path, capsys):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.txt").write_text("1\t2\tx\n")
    check(cli, tmp_path, "data.root=here")
    assert "there is no recording either (.npy, .csv, ...) in" in capsys.readouterr().out
    (tmp_path / "here" / "annotations.xlsx").write_bytes(b"")
    check(cli, tmp_path, "data.root=here")
    assert "annotations.xlsx: a spreadsheet is not read; save it as " in capsys.readouterr().out
    root = table(tmp_path / "gone", ["a,1,2,x", "b,1,2,x"])
    (root / "data" / "a.npy").unlink()
    check(cli, tmp_path, f"data.root={root}", "data.fps=50")
    # That there is no signal is all there is to say: labels are not missing as well.
    (finding,) = survey(tmp_path).findings
    assert [case.sequence for case in finding.cases] == ["a", "b"]


def test_broken_rows_are_listed_although_all_of_the_file_is_refused(cli, tmp_path):
    root = table(tmp_path / "here", ["a,1,2,walk", "a,x,2,walk"])
    check(cli, tmp_path, f"data.root={root}", "data.fps=50", "data.label_map={run:jog}")
    (finding,) = survey(tmp_path).findings
    row, whole = finding.cases
    assert (row.file, row.row) == (str(root / "annotations.csv"), "line 3")
    assert (whole.file, whole.row) == (row.file, "")
    assert whole.text.startswith("label_map: no span has the label 'run'")


def test_a_recording_that_is_left_out_is_counted_among_the_warnings(cli, tmp_path, capsys):
    root = table(tmp_path / "here", ["a,1,2,walk", "a,4,5,walk"])
    (root / "data" / "b.npy").write_bytes((root / "data" / "a.npy").read_bytes())
    assert check(cli, tmp_path, f"data.root={root}", "data.fps=50", "data.val_share=0") == tmp_path
    printed = capsys.readouterr().out
    left_out = f"warning: {root / 'annotations.csv'}: recordings left out, as no row names them: 'b'\n  Check the names"
    assert printed.count("no row names them") == printed.count(left_out) == 1
    assert f"\n0 kinds of error, {len(survey(tmp_path).of('warning'))} kinds of warning" in printed
    assert "left out, as no row names them" in (tmp_path / "out" / "check.html").read_text()
