"""``spanloc-predict``: what it writes, over what inputs, and how it goes on after a mistake."""

import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from predicting import PREDICT, RATE, outputs, signal, spans_of, write_csv
from recordings import edf, exported, said
from rich.console import Console

from spanloc.cli.frame import show
from spanloc.data import read_annotations
from spanloc.data.annotations.written import FORMATS, joint, suffix_of
from spanloc.training.callbacks import pace
from spanloc.training.task import SpanLocalizer

READ = {"csv": "table", "jsonl": "table"}
IDS = ("a", "b.c", "night/d")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Three recordings, one of them in a folder."""
    root = tmp_path_factory.mktemp("recorded")
    for i, name in enumerate(IDS):
        write_csv(root / f"{name}.csv", signal(i, steps=200 + 50 * i))
    return root


@pytest.fixture(scope="module")
def every_format(cli, named_model, recorded):
    """The results of one run in all formats, and the spans that it found."""
    words = (f"format=[{','.join(FORMATS)}]", "min_score=0.0", *PREDICT)
    given = (f"checkpoint={named_model}", f"input={recorded}")
    out = cli("predict", *given, *words, checked=True) / "out"
    return out, spans_of(out / "predictions.json")


@pytest.mark.parametrize("kind", FORMATS)
def test_our_readers_find_the_spans_that_were_written(every_format, recorded, kind, tmp_path):
    out, found = every_format
    assert [len(found[name]) > 3 for name in IDS] == [True] * 3
    # The files of one recording each are looked for in one folder.
    own = {name: name if joint(kind) else Path(name).name for name in IDS}
    for name in IDS:
        file = tmp_path / "data" / f"{own[name]}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(recorded / f"{name}.csv", file)
        if not joint(kind):
            shutil.copy(out / f"{name}{suffix_of(kind)}", file.parent)
    if joint(kind):
        file = tmp_path / f"annotations{suffix_of(kind)}"
        shutil.copy(out / f"predictions{suffix_of(kind)}", file)
        if kind == "labelstudio":
            exported(file)
    tiers = {"tier": "*"} if kind == "textgrid" else {}
    read = said(read_annotations(tmp_path, format=READ.get(kind, kind), **tiers))
    for name in IDS:
        expected = sorted((round(a, 3), round(b, 3), label) for a, b, label, _ in found[name])
        if kind == "edf":  # a start with a duration, each rounded
            expected = [(a, pytest.approx(b, abs=2e-3), label) for a, b, label in expected]
        assert sorted(read[own[name]]) == expected


def test_scores_are_in_the_formats_that_have_them(every_format):
    out, found = every_format
    score = found["a"][0][3]
    for kind in set(FORMATS) - {"audacity", "textgrid", "edf"}:
        name = "predictions" if joint(kind) else "a"
        assert str(score) in (out / f"{name}{suffix_of(kind)}").read_text()


def test_nothing_unfinished_is_left(every_format):
    out, _ = every_format
    singles = [f"{name}{suffix_of(kind)}" for name in IDS for kind in FORMATS if not joint(kind)]
    several = [f"predictions{suffix_of(kind)}" for kind in FORMATS if joint(kind)]
    assert outputs(out) == sorted([*singles, *several])


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ("input=ROOT/b.c.csv", ["b.c"]),
        ("input=ROOT", ["a", "b.c", "night/d"]),
        ("input=ROOT/**/*.csv", ["a", "b.c", "night/d"]),
        ("input=ROOT/[ab]*.csv", ["a", "b.c"]),
        ("input=ROOT/*/d.csv", ["night/d"]),
        ("input=[ROOT/night,ROOT/a.csv,ROOT/night/d.csv]", ["d", "a"]),
    ],
)
def test_files_folders_patterns_and_lists_have_the_ids_that_one_expects(
    cli, named_model, recorded, given, ids
):
    given = given.replace("ROOT", str(recorded))
    out = cli("predict", f"checkpoint={named_model}", given, *PREDICT)
    assert list(spans_of(out / "out" / "predictions.json")) == ids


@pytest.mark.parametrize("name", ["2024", "night (1)", "x=1, y", "1e5"])
def test_names_that_hydra_cannot_read_are_names(cli, named_model, tmp_path, name):
    write_csv(tmp_path / name / "a.csv", signal())
    out = cli("predict", f"checkpoint={named_model}", f"input={name}", *PREDICT, folder=tmp_path)
    assert list(spans_of(out / "out" / "predictions.json")) == ["a"]
    write_csv(tmp_path / "7" / "b.csv", signal())
    shutil.rmtree(tmp_path / "out")
    out = cli("predict", f"checkpoint={named_model}", "input=[7,7_0]", *PREDICT, folder=tmp_path)
    assert out == "spanloc-predict: error: 7_0: no such file or folder (input)"


def test_results_in_the_folder_are_no_recordings(cli, named_model, tmp_path):
    write_csv(tmp_path / "a.csv", signal())
    words = (f"checkpoint={named_model}", "input=.", "format=csv")
    for name in ("out", "other"):
        run = (*words, *PREDICT, f"hydra.run.dir={name}")
        assert cli("predict", *run, folder=tmp_path) == tmp_path
        assert "\nout" not in (tmp_path / name / "predictions.csv").read_text()


def test_a_bad_file_is_named_and_the_others_are_done(cli, named_model, recorded, tmp_path, capsys):
    shutil.copytree(recorded, tmp_path / "in")
    (tmp_path / "in" / "b.c.csv").write_text("time,x,y,z\n0,1,2\n")
    (tmp_path / "in" / "c.npy").write_bytes(b"no array")
    words = (f"checkpoint={named_model}", f"input={tmp_path / 'in'}")
    stop = cli("predict", *words, "joint=false", *PREDICT, folder=tmp_path)
    log = tmp_path / "out" / "predict.log"
    assert stop == f"spanloc-predict: error: 2 problems, named above and in {log}"
    assert outputs(tmp_path / "out") == ["a.json", "error.txt", "night/d.json"]
    assert log.read_text().count(f"{tmp_path / 'in' / 'b.c.csv'}: ") == 1
    assert log.read_text().count(f"{tmp_path / 'in' / 'c.npy'}: not a plain .npy") == 1
    summary = r"in 2 recordings \(\d+ of '\w+', \d+ of '\w+'\); everything is in"
    assert re.search(summary, capsys.readouterr().out)
    assert re.search(summary, log.read_text())


def counting(monkeypatch):
    calls, before = [], SpanLocalizer.predict

    def predict(self, *args, **options):
        calls.append(options["name"])
        return before(self, *args, **options)

    monkeypatch.setattr(SpanLocalizer, "predict", predict)
    return calls


def test_resume_computes_only_what_is_not_done(cli, named_model, recorded, tmp_path, monkeypatch):
    calls = counting(monkeypatch)
    shutil.copytree(recorded, tmp_path / "in")
    words = (f"checkpoint={named_model}", f"input={tmp_path / 'in'}", *PREDICT)
    cli("predict", *words, folder=tmp_path)
    done = tmp_path / "out" / "predict.done"
    first = (tmp_path / "out" / "predictions.json").read_text()
    # As a run leaves it that was killed while it wrote the line of the third.
    lines = done.read_text().splitlines(keepends=True)
    done.write_text("".join(lines[:3]) + lines[3][:20])
    (tmp_path / "out" / "predictions.json").unlink()
    calls.clear()
    assert cli("predict", *words, "resume=true", folder=tmp_path) == tmp_path
    assert calls == ["night/d"]
    assert (tmp_path / "out" / "predictions.json").read_text() == first
    calls.clear()
    write_csv(tmp_path / "in" / "b.c.csv", signal(7, steps=90))
    # Another format needs no new predictions.
    cli("predict", *words, "resume=true", "format=csv", folder=tmp_path)
    assert calls == ["b.c"]
    assert (tmp_path / "out" / "predictions.csv").is_file()
    calls.clear()
    before = done.read_bytes()
    stop = cli("predict", *words, "format=audacity", folder=tmp_path)
    assert "holds the results of an earlier run: resume=true goes on with it; for a new" in stop
    assert (calls, done.read_bytes()) == ([], before)
    assert not (tmp_path / "out" / "a.txt").exists()


def test_resume_refuses_other_settings(cli, named_model, recorded, tmp_path):
    words = (f"checkpoint={named_model}", f"input={recorded / 'a.csv'}", *PREDICT)
    cli("predict", *words, folder=tmp_path)
    stop = cli("predict", *words, "resume=true", "min_score=0.9", folder=tmp_path)
    assert "predict.done: min_score was 0.0 and is 0.9 now; resume goes on" in stop
    stop = cli("predict", *words[:2], "resume=true", folder=tmp_path)
    assert stop.endswith("resume=true goes on in a folder; name it with hydra.run.dir=FOLDER")
    other = tmp_path / "other.ckpt"
    shutil.copy(named_model / "best.ckpt", other)
    os.utime(other, (1, 1))
    stop = cli("predict", f"checkpoint={other}", *words[1:], "resume=true", folder=tmp_path)
    assert "predict.done: checkpoint was [" in stop


def test_a_write_that_fails_leaves_the_earlier_file(
    cli, named_model, recorded, tmp_path, monkeypatch
):
    words = (f"checkpoint={named_model}", f"input={recorded / 'a.csv'}", *PREDICT)
    cli("predict", *words, folder=tmp_path)
    file = tmp_path / "out" / "predictions.json"
    before, replace = file.read_bytes(), os.replace

    def full(source, target):
        if str(target).endswith("predictions.json"):
            raise OSError(28, "No space left on device", str(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    stop = cli("predict", *words, "resume=true", folder=tmp_path)
    assert "No space left on device" in stop
    assert "predictions.json" in stop
    assert file.read_bytes() == before
    assert outputs(tmp_path / "out") == ["error.txt", "predictions.json"]


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb, which writes with pandas
def test_clock_times_are_those_of_the_setting_or_of_the_file(cli, named_model, tmp_path):
    edfio = pytest.importorskip("edfio")
    wfdb = pytest.importorskip("wfdb")
    values, began = signal(), datetime(2024, 5, 31, 22, 15)
    channels = {name: (RATE, values[:, i]) for i, name in enumerate("xyz")}
    about = {"recording": edfio.Recording(startdate=began.date()), "starttime": began.time()}
    edf(tmp_path / "a.edf", channels, limits=(-9, 9), **about)
    # Without a date, as many devices write it.
    edf(tmp_path / "b.edf", channels, limits=(-9, 9))
    wfdb.wrsamp(
        "c", fs=RATE, units=["g"] * 3, sig_name=list("xyz"), p_signal=values, fmt=["32"] * 3,
        base_date=began.date(), base_time=began.time(), write_dir=str(tmp_path),
    )  # fmt: skip
    steps = began.replace(tzinfo=UTC) + np.arange(len(values)) * timedelta(seconds=1 / RATE)
    rows = [
        f"{at:%Y-%m-%d %H:%M:%S.%f},{x},{y},{z}"
        for at, (x, y, z) in zip(steps, values, strict=True)
    ]
    (tmp_path / "d.csv").write_text("\n".join(["time,x,y,z", *rows]))
    words = (f"checkpoint={named_model}", "format=[jsonl,edf]", *PREDICT)

    def times(*more):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert cli("predict", *words, *more, folder=tmp_path) == tmp_path
        lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        return {row["sequence"]: (row["start"], row.get("start_time")) for row in rows}

    found = times("input=[a.edf,b.edf,c.hea,d.csv]")
    for name in "acd":
        seconds, clock = found[name]
        past = (datetime.fromisoformat(clock) - began).total_seconds()
        assert past == pytest.approx(seconds, abs=6e-4)
    assert found["b"][1] is None
    assert edfio.read_edf(tmp_path / "out" / "a.edf").startdate == began.date()
    found = times("input=[a.edf,b.edf]", "start=2020-01-01T00:00:00+02:00")
    assert all(clock.startswith("2020-01-01T00:00:") for _, clock in found.values())
    assert all(clock.endswith("+02:00") for _, clock in found.values())


def test_pictures_and_the_page_need_nothing_else(cli, named_model, recorded, tmp_path):
    words = (f"checkpoint={named_model}", f"input={recorded}", "plot=true", "view=true")
    cli("predict", *words, *PREDICT, folder=tmp_path)
    figures = [f"figures/{name}.png" for name in IDS]
    assert outputs(tmp_path / "out") == [*figures, "predictions.json", "view.html"]
    page = (tmp_path / "out" / "view.html").read_text()
    assert all(f">{name}</option>" in page for name in IDS)
    assert not re.search(r"https?://|src=|url\(|@import", page)


def test_it_runs_where_no_graphics_card_is(cli, named_model, recorded):
    words = (f"checkpoint={named_model}", f"input={recorded / 'a.csv'}", *PREDICT)
    assert isinstance(cli("predict", *words, "device=cpu"), Path)
    wanted = "device is 'cuda:9'; wanted auto, cpu, or one that is there"
    assert cli("predict", *words, "device=cuda:9") == f"spanloc-predict: error: {wanted}"
    assert torch.get_default_device().type == "cpu"


def test_without_a_terminal_there_are_lines_and_in_one_a_bar(monkeypatch, caplog, capsys):
    monkeypatch.setattr(pace.Pace, "due", lambda self: self.elapsed >= 0.05)
    slow = (pace.time.sleep(0.05) or number for number in (1, 2, 3))
    with caplog.at_level("INFO"):
        assert list(show.with_progress(slow, 3, "recordings")) == [1, 2, 3]
    assert [r.message[:17] for r in caplog.records] == ["1 of 3 recordings", "2 of 3 recordings"]
    monkeypatch.setattr(show, "plain_console", lambda: Console(force_terminal=True))
    caplog.clear()
    assert list(show.with_progress([1, 2, 3], 3, "recordings")) == [1, 2, 3]
    assert "3/3" in capsys.readouterr().out
    assert not caplog.records
