"""What ``spanloc-check`` counts among its findings, and what it does not say wrongly."""

import numpy as np
import pytest
from surveyed import Folder

from spanloc.cli.check import _HEADINGS
from spanloc.data.survey.result import Survey
from spanloc.reports.check_page import overview


def write(folder, count, header, row):
    """Recordings in a folder, each with four spans in the rows of a table."""
    (folder / "data").mkdir(parents=True)
    lines = [header]
    for i in range(count):
        np.save(folder / "data" / f"r{i}.npy", np.random.default_rng(i).normal(size=(90, 2)))
        about = {"id": f"r{i}", "subject": "abcdefgh"[i]}
        lines += [row.format(start=2 * k, end=2 * k + 1, **about) for k in range(4)]
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def findings(cli, tmp_path):
    """The findings of a folder of four recordings."""

    def of(row="{id},{start},{end},walk,{subject}", *settings):
        write(tmp_path, 4, "sequence,start,end,label,subject", row)
        cli("check", "data.root=.", *settings, "hydra.run.dir=out", folder=tmp_path)
        return {one.kind: one for one in Survey.read(tmp_path / "out" / "check.json").findings}

    return of


def test_training_on_one_subject_is_a_note_and_notes_are_apart_from_choices(
    findings, capsys, tmp_path
):
    found = findings("{id},{start},{end},walk,{subject}", "data.fps=10", "data.val_share=0.5")
    assert found["one subject"].text.startswith("only one subject to train on")
    assert found["few spans"].cases[0].text == "'walk': 4 spans"  # of 16 in all
    printed = capsys.readouterr().out
    assert printed.count("only one subject to train on") == 1
    assert "; no two spans overlap.\n" in printed
    done = printed.index("What training would do with the data\n")
    held_out, chosen = (
        printed.index("held out for"),
        printed.index("Settings that training would choose\n"),
    )
    assert done < held_out < chosen < printed.index("\ntask = ")
    assert "1 kind of note.\n" in printed
    assert "are chosen after" not in printed
    page = (tmp_path / "out" / "check.html").read_text()
    done, chosen = (page.index(f"<h2>{head}</h2>") for head in _HEADINGS)
    assert done < page.index("<p>held out for") < chosen < page.index("<p>task = ")


def test_what_would_stop_training_is_an_error(findings, capsys):
    found = findings("{id},{start},{end},walk,one", "data.fps=10", "data.crop_seconds=0.1")
    assert found["training"].text.startswith("training would stop: data.crop_seconds is 0.1: no cr")
    printed = capsys.readouterr().out
    assert "\nerror: training would stop: " in printed
    assert "\nTraining, validation and test recordings are chosen after the errors" in printed


@pytest.mark.parametrize("words", [("experiment=wrist",), ("data=wrist", "data.test_share=0.25")])
def test_settings_may_come_from_a_file_of_training_and_the_split_is_shown(cli, tmp_path, words):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "data").mkdir()
    (tmp_path / "mine" / "data" / "wrist.yaml").write_text(
        "defaults: [annotations]\nroot: here\nfps: 10\ncolumns: {start: Beginn}\n"
    )
    (tmp_path / "mine" / "experiment" / "wrist.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /data: annotations\n  - override /task: detection\n"
        "data: {root: here, fps: 10, columns: {start: Beginn}}\nbudget: quick\n"
    )
    write(tmp_path / "here", 8, "sequence,Beginn,end,label", "{id},{start},{end},walk")
    words = ("--config-dir=mine", *words, "hydra.run.dir=out")
    assert cli("check", *words, folder=tmp_path) == tmp_path
    found = Survey.read(tmp_path / "out" / "check.json")
    parts = [(part.name, part.num_recordings, part.num_spans) for part in found.parts]
    assert parts == [("training", 5, 20), ("validation", 1, 4), ("testing", 2, 8)]
    assert found.labels[0].subsets == {"training": 20, "validation": 4, "testing": 8}


def test_spans_that_are_broken_are_not_missing(findings):
    found = findings("{id},{start},x{end},walk,{subject}", "data.fps=10")
    assert set(found) == {"refused"}


def test_recordings_without_a_rate_are_one_finding(findings, capsys):
    found = findings()
    assert set(found) == {"no rate"}
    assert [case.sequence for case in found["no rate"].cases] == ["r0", "r1", "r2", "r3"]
    printed = capsys.readouterr().out
    assert "error: 4 recordings whose rate is not known\n" in printed
    assert "  Set data.fps (steps per second); for features" in printed
    assert ": no recording could be used, so nothing was counted.\n" in printed


def test_columns_of_other_names_are_said_with_the_setting_that_reads_them(
    findings, cli, tmp_path, capsys
):
    row = "{id},{start},{end},walk,{subject}"
    findings(row, "data.fps=10")
    table = tmp_path / "annotations.csv"
    text = table.read_text().replace(
        "sequence,start,end,label,", "recording,begin_s,end_s,behaviour,"
    )
    table.write_text(text)
    capsys.readouterr()
    cli("check", "data.root=.", "data.fps=10", "hydra.run.dir=two", folder=tmp_path)
    printed = capsys.readouterr().out
    assert ": the annotations could not be read, so nothing was counted.\n" in printed
    columns = "sequence: recording, start: begin_s, end: end_s"
    assert f"set 'data.columns={{{columns}, label: behaviour}}'" in printed
    cli(
        "check",
        "data.root=.",
        "data.fps=10",
        f"data.columns={{{columns}}}",
        "hydra.run.dir=three",
        folder=tmp_path,
    )
    printed = capsys.readouterr().out
    assert (
        "so all spans have the label 'span'; not read: 'behaviour'\n  If your labels are" in printed
    )
    assert f"name it: 'data.columns={{{columns}, label: behaviour}}'.\n" in printed


def test_nearly_equal_rates_are_a_range_and_spans_at_the_same_time_are_counted(tmp_path):
    found = Folder()
    for name, fps in zip(found.database, (10, 10, 10.1, 9.9), strict=True):
        found.database[name]["fps"] = fps
    found.add("s", 0.1, 0.5, "b")
    text = overview(found.survey(tmp_path))
    assert "at about 10 Hz (9.9 to 10.1); " in text
    assert text.endswith("; up to 2 spans at the same time.")
