"""``spanloc-predict``: recordings are never replaced, and one bad one does not cost the others theirs."""

import os
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from predicting import NAMES, PREDICT, RATE, outputs, signal, spans_of, write_csv
from recordings import edf
from test_predict import counting

import spanloc.cli.predict as command
from spanloc.data.annotations.written import Found
from spanloc.inference.journal import Journal
from spanloc.inference.recordings import Recording, find_recordings


@pytest.fixture
def predict(cli, named_model, tmp_path):
    """Runs the command in ``tmp_path``, anew unless it resumes; None, or the line of an error."""

    def run(*words):
        if "resume=true" not in words:
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
        found = cli("predict", f"checkpoint={named_model}", *PREDICT, *words, folder=tmp_path)
        return None if found == tmp_path else found.removeprefix("spanloc-predict: error: ")

    return run


@pytest.mark.parametrize("kind", ["edf", "csv"])
def test_a_recording_is_not_replaced_by_what_was_found_in_it(predict, tmp_path, kind, monkeypatch):
    file = tmp_path / "in" / f"a.{kind}"
    write_csv(file, signal())
    if kind == "edf":
        channels = {name: (RATE, signal()[:, i]) for i, name in enumerate(NAMES)}
        edf(file, channels, limits=(-9, 9))
    before, calls = file.read_bytes(), counting(monkeypatch)
    words = (f"format=[json,{kind}]", "joint=false", "hydra.run.dir=in")
    stop = predict("input=in", *words)
    assert stop == (
        f"{file.relative_to(tmp_path)}: format {kind} of 'a' would replace this recording; name another "
        "folder with hydra.run.dir=FOLDER"
    )
    # Whatever the path is by which it is reached.
    (tmp_path / "link").symlink_to("in")
    assert "would replace this recording" in predict("input=link/*", *words)
    assert file.read_bytes() == before
    assert not calls
    assert not (tmp_path / "in" / "a.json").exists()


@pytest.mark.parametrize("place", ["in/P01", "in"])
def test_files_of_others_are_not_replaced_but_earlier_results_are(
    predict, tmp_path, place, monkeypatch
):
    for name in ("a", "b"):
        write_csv(tmp_path / "in" / "P01" / f"{name}.csv", signal())
    labels = [tmp_path / "in" / "P01" / name for name in ("a.txt", "b.txt", "b.TextGrid")]
    for path in labels:
        path.write_text("1.0\t2.0\tby hand\n")
    calls = counting(monkeypatch)
    words = (f"input={place}", f"hydra.run.dir={place}")
    wanted = (
        f"{labels[0]} exists and is no result of an earlier run in {tmp_path / place}, or was changed since; 3 such "
        "files would be replaced; name another folder with hydra.run.dir=FOLDER"
    )
    assert predict(*words, "format=[json,audacity,textgrid]") == wanted
    assert not calls
    assert not (tmp_path / place / "predictions.json").exists()
    assert predict(*words, "format=[json,raven]", "plot=true", "view=true") is None
    # Its own results may be replaced, but still no others.
    calls.clear()
    again = ("format=[json,raven]", "plot=true", "view=true", "resume=true")
    os.utime(next((tmp_path / place).rglob("a.selections.txt")), (0, 0))  # as by a copy
    assert predict(*words, *again) is None
    assert predict(*words, "format=[audacity,textgrid]", "resume=true") == wanted
    assert not calls
    assert {path.read_text() for path in labels} == {"1.0\t2.0\tby hand\n"}
    # Nor one that was corrected since.
    (corrected,) = (tmp_path / place).rglob("a.selections.txt")
    corrected.write_text("corrected")
    assert f"{corrected} exists and is no result" in predict(*words, *again)
    assert corrected.read_text() == "corrected"


def test_a_file_that_appears_during_the_run_is_not_replaced(predict, tmp_path, monkeypatch):
    for name in ("a", "b"):
        write_csv(tmp_path / "in" / f"{name}.csv", signal())
    real = command._find

    def find(*args):
        (tmp_path / "out" / "b.txt").write_text("by hand")
        return real(*args)

    monkeypatch.setattr(command, "_find", find)
    assert "b.txt has appeared since the run began" in predict("input=in", "format=audacity")
    assert (tmp_path / "out" / "b.txt").read_text() == "by hand"
    assert (tmp_path / "out" / "a.txt").exists()


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["a", "a.selections"], ["format=[audacity,raven]"]),
        (["a", "a.labelstudio"], ["format=[json,labelstudio]", "joint=false"]),
        (["error"], ["format=audacity"]),
    ],
)
def test_two_results_of_one_name_are_refused(predict, tmp_path, ids, words):
    for name in ids:
        write_csv(tmp_path / "in" / f"{name}.csv", signal())
    stop = predict("input=in", *words)
    assert " would hold both " in stop
    assert "\n" not in stop
    assert not (tmp_path / "out").exists()


def test_an_id_that_a_format_cannot_hold_costs_only_itself(predict, tmp_path):
    for name in ("a", "night 1"):
        write_csv(tmp_path / "in" / f"{name}.csv", signal())
    stop = predict("input=in", "format=[rttm,csv]")
    assert "predictions.rttm: id is 'night 1'; wanted no white" in stop
    assert outputs(tmp_path / "out") == ["error.txt", "predictions.csv", "predictions.rttm"]
    lines = (tmp_path / "out" / "predictions.rttm").read_text().splitlines()
    assert {line.split()[1] for line in lines} == {"a"}
    assert "\nnight 1," in (tmp_path / "out" / "predictions.csv").read_text()
    shutil.rmtree(tmp_path / "out")
    assert predict("input=in/night 1.csv", "format=[rttm,csv]") == stop
    assert outputs(tmp_path / "out") == ["error.txt", "predictions.csv"]


def test_a_class_that_a_format_cannot_hold_stops_it_at_once(predict, tmp_path, monkeypatch):
    write_csv(tmp_path / "a.csv", signal())
    calls, load = counting(monkeypatch), command.load_models

    def renamed(*args, **options):
        task = load(*args, **options)
        task.classes = ["sit down", "walk"]
        return task

    monkeypatch.setattr(command, "load_models", renamed)
    stop = predict("input=a.csv", "format=[csv,rttm]")
    assert stop.startswith("format rttm cannot hold the class 'sit down'; wanted no white space")
    assert not calls
    assert predict("input=a.csv", "format=csv") is None


def test_spans_that_rounding_makes_empty_are_left_out(predict, tmp_path, monkeypatch):
    write_csv(tmp_path / "a.csv", signal())
    before = command.SpanLocalizer.predict

    def shrunk(self, *args, **options):
        found = before(self, *args, **options)
        spans = found.spans.clone()
        spans[0] = 2 + spans.new_tensor([0, 2.4e-7])
        return replace(found, spans=spans)

    assert predict("input=a.csv") is None
    every = spans_of(tmp_path / "out" / "predictions.json")["a"]
    monkeypatch.setattr(command.SpanLocalizer, "predict", shrunk)
    assert predict("input=a.csv") is None
    assert len(spans_of(tmp_path / "out" / "predictions.json")["a"]) == len(every) - 1


def test_a_result_that_one_recording_does_not_allow_holds_the_others(
    predict, tmp_path, monkeypatch
):
    for name in "abc":
        write_csv(tmp_path / "in" / f"{name}.csv", signal())
    found = command._find

    def damaged(task, recording, *args):
        one = found(task, recording, *args)
        if recording.id == "b":
            one = one._replace(spans=[(3.0, 9.0, "", 0.5)])
        if recording.id == "c":
            recording.path.write_text("gone\n")
        return one

    monkeypatch.setattr(command, "_find", damaged)
    stop = predict("input=in", "view=true")
    log = tmp_path / "out" / "predict.log"
    assert stop == f"2 problems, named above and in {log}"
    assert "sequence 'b': span 0: label is ''; wanted" in log.read_text()
    assert list(spans_of(tmp_path / "out" / "predictions.json")) == ["a", "c"]
    page = (tmp_path / "out" / "view.html").read_text()
    assert [f">{name}</option>" in page for name in "ac"] == [True, False]


def test_the_page_and_figures_show_the_chosen_channels(predict, tmp_path):
    write_csv(tmp_path / "a.csv", signal(channels=4), names=("p", "spare", "q", "r"))
    assert predict("input=a.csv", "channels=[r,p,q]", "view=true", "plot=true") is None
    page = (tmp_path / "out" / "view.html").read_text()
    assert '["r", "p", "q"]' in page
    assert "spare" not in page


def test_a_span_after_the_last_date_costs_only_clock_times_and_pictures(predict, tmp_path, capsys):
    write_csv(tmp_path / "a.csv", signal())
    stop = predict("input=a.csv", "start=9999-12-31T23:59:50", "plot=true", "view=true")
    log = tmp_path / "out" / "predict.log"
    assert stop == f"2 problems, named above and in {log}"
    assert "a: date value out of range" in log.read_text()
    assert " in 1 recording (" in capsys.readouterr().out
    assert len(spans_of(tmp_path / "out" / "predictions.json")["a"]) > 3


def test_a_torn_line_costs_one_recording(predict, tmp_path, monkeypatch):
    for name in "abc":
        write_csv(tmp_path / "in" / f"{name}.csv", signal())
    assert predict("input=in") is None
    done, calls = tmp_path / "out" / "predict.done", counting(monkeypatch)
    first, a, b, c, file, _ = done.read_text().splitlines(keepends=True)
    c += file
    for torn in (first + a + b[:30] + "\n" + c, first + a + "\0" * 9 + "\n[]\n{}\n" + c):
        done.write_text(torn)
        calls.clear()
        assert predict("input=in", "resume=true") is None
        assert calls == ["b"]
    done.write_text(first[:9] + "\n" + a + file)
    calls.clear()
    assert predict("input=in", "resume=true") is None
    assert calls == ["a", "b", "c"]


def test_a_new_line_begins_after_one_that_was_cut_off(tmp_path):
    paths = {name: tmp_path / f"{name}.csv" for name in "ab"}
    for path in paths.values():
        path.write_text("x\n")
    journal = Journal(tmp_path / "done", {})
    with (tmp_path / "done").open("a") as file:
        file.write('{"id": "b", "fi')
    journal.add(Recording("a", paths["a"]), Found("a", 1.0, [(0.0, 0.5, "sit", 0.25)]))
    again = Journal(tmp_path / "done", {}, resume=True)
    assert again.found(Recording("a", paths["a"])).spans == [(0.0, 0.5, "sit", 0.25)]
    assert again.found(Recording("b", paths["b"])) is None


def test_a_wfdb_record_has_changed_when_its_signals_have(tmp_path):
    (tmp_path / "a.hea").write_text("# about\na 2 10 9\na.dat 16 200\na.dat 16 200\n# b.dat\n")
    (tmp_path / "a.dat").write_bytes(bytes(36))
    for path in (tmp_path / "a.hea", tmp_path / "a"):
        recording = Recording("a", path)
        (tmp_path / "done").unlink(missing_ok=True)
        Journal(tmp_path / "done", {}).add(recording, Found("a", 0.9, []))
        assert Journal(tmp_path / "done", {}, resume=True).found(recording) is not None
        os.utime(tmp_path / "a.dat", (1, len(str(path))))
        assert Journal(tmp_path / "done", {}, resume=True).found(recording) is None


def test_the_decoding_is_set_and_is_one_of_what_resume_goes_by(predict, tmp_path):
    write_csv(tmp_path / "a.csv", signal())
    assert predict("input=a.csv") is None
    every = spans_of(tmp_path / "out" / "predictions.json")["a"]
    assert predict("input=a.csv", "decode.exclusive=true", "decode.max_per_sequence=3") is None
    spans = sorted(spans_of(tmp_path / "out" / "predictions.json")["a"])
    assert 1 <= len(spans) <= 3 < len(every)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    stop = predict("input=a.csv", "resume=true")
    assert "predict.done: decode was {'exclusive': True, 'max_per_sequence': 3} and is None" in stop
    assert (
        predict("input=a.csv", "decode.voting=2")
        == "decode.voting is 2; wanted a number in (0, 1], or None"
    )
    assert "no setting 'decode.vote'" in predict("input=a.csv", "decode.vote=1")


def test_a_pattern_finds_each_file_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x/a", "y/b"):
        path = tmp_path / "pp" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, signal())
    assert [one.id for one in find_recordings(["pp/*/../x/*.npy"])] == ["x/a"]
    assert [one.id for one in find_recordings(["pp/**/*.npy", "pp/x/../y/b.npy"])] == ["x/a", "y/b"]
    shutil.copytree("pp/x", "qq")
    with pytest.raises(ValueError, match=r"qq/a.npy lies outside pp; give a pattern from there on"):
        find_recordings(["pp/*/../../qq/*.npy"])
