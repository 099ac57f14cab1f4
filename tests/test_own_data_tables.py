"""The tables, the rules and the facts in docs/your-own-data.md are those of the code."""

import math
import re
import shlex
import tomllib

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import CONFIGS
from pages import ROOT, blocks, commands, page
from recordings import nights

from spanloc.config.recipe import BUDGETS, choose, levels_for
from spanloc.config.training_facts import TrainingFacts
from spanloc.data import read_annotations
from spanloc.data.annotations.formats import FORMATS
from spanloc.data.signals import open_signal
from spanloc.data.signals.opening import SUFFIXES
from spanloc.decode.decode import Decode, times_of

PAGE = page("your-own-data.md")


def test_the_number_of_steps_follows_the_rule():
    def steps(spans, labels, budget="default"):
        facts = TrainingFacts(
            seconds_per_step=0.1, steps=[300], val_steps=[300], shortest=20, longest=50,
            num_spans=spans, num_classes=labels, one_each=False,
        )  # fmt: skip
        parts = {"data": {"crops_per_epoch": None}, "trainer": {"max_epochs": None}}
        (reason,) = [
            choice.reason
            for choice in choose({"budget": budget, **parts}, facts)
            if choice.place == "trainer.max_epochs"
        ]
        return int(reason.split()[0].replace(",", ""))

    rule = re.search(r"(\d+) × √labels \+ spans / (\d+), at least (\d+) and at most (\d+)", PAGE)
    each, spans_each, least, most = map(int, rule.groups())
    assert steps(10, 1) == least
    assert steps(10**6, 9) == most
    # Whole epochs: up to 20 more.
    assert 0 <= steps(6000, 25) - (each * math.sqrt(25) + 6000 / spans_each) < 20
    factors = re.search(r"`budget=quick` takes ([\d.]+) times as many, `budget=best` (\d+)", PAGE)
    assert [BUDGETS["quick"], BUDGETS["best"]] == [float(text) for text in factors.groups()]


def test_the_tables_name_all_that_there_is():
    cells = [row.split("|")[1:-1] for row in PAGE.split("\n") if row.startswith("| `")]
    named = [set(re.findall(r"`([\w.]+)`", row[0])) for row in cells]
    suffixes = set().union(*(names for names in named if min(names).startswith(".")))
    assert suffixes == set(SUFFIXES)
    assert {name for names in named for name in names if name in FORMATS} == set(FORMATS)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert set(re.findall(r"spanloc\[(\w+)\]", PAGE)) == set(extras) - {
        *("dev", "docs", "release", "export", "hub", "tune"),
        *("joblib", "slurm", "ray", "wandb", "mlflow", "trackio"),
    }
    transforms = {
        path.stem: yaml.safe_load(path.read_text()) for path in CONFIGS.glob("transforms/*")
    }
    shown = {min(names): row[-1] for names, row in zip(named, cells, strict=True)}
    for several in ("none", "generic"):
        del transforms[several]
    assert set(transforms) <= set(shown)
    for name, content in transforms.items():
        for setting, value in re.findall(r"`(\w+)` \(([\d.]+)\)", shown[name]):
            assert content[name][setting] == float(value), name


def test_the_number_of_predictions_of_a_recording_is_that_of_the_page():
    example = (
        r"up to (\d+) predictions.* (\d+) minutes at (\d+) Hz, with a stride of (\d+): about (\d+)"
    )
    most, minutes, rate, stride, about = map(int, re.search(example, PAGE).groups())
    assert most == Decode().max_predictions
    levels = levels_for(10 * rate, stride)  # spans of up to 10 s
    points = sum(60 * minutes * rate / stride / 2**level for level in range(levels))
    assert most * times_of(round(points)) == pytest.approx(about, rel=0.03)


def test_clock_times_are_read_as_shown_and_annotations_count_from_the_first_row(tmp_path):
    (day, second) = re.search(r"`(\S+ \d\d:\d\d:)(\d\d\.\d)`", PAGE).groups()
    rows = "".join(f"{day}{float(second) + i / 10:04.1f},{i}\n" for i in range(300))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("time,x\n" + rows)
    times = {"3.0,00:05": [30, 50], f"{day}03,{day}05": [25, 45], "22:15:03,22:15:05": [25, 45]}
    for text, span in times.items():
        table = f"sequence,start,end,label\na,{text},walk\n"
        (tmp_path / "annotations.csv").write_text(table)
        (record,) = read_annotations(tmp_path).subsets["training"]
        assert record.spans.tolist() == [span]


@pytest.mark.parametrize(("lost", "missing"), [(9, 0), (10, 10)])
def test_short_gaps_are_interpolated_and_steps_beside_an_empty_field_are_missing(
    tmp_path, lost, missing
):
    rows = [f"{i / 10},{i}" for i in range(60) if not 20 <= i < 20 + lost]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["time,x", *rows]))
    values = open_signal(path).read(0, 60)[:, 0]
    assert np.isnan(values).sum() == missing
    # Irregular: row 5 lies between two steps.
    rows[5] = "0.53,"
    path.write_text("\n".join(["time,x", *rows]))
    values = open_signal(path).read(0, 60)[:, 0]
    assert np.isnan(values[:20]).nonzero()[0].tolist() == [5]


def test_rows_for_what_nobody_watched_do_what_annotated_stretches_do(tmp_path):
    (label,) = re.findall(r"`data\.ignore=\[(unwatched)\]`", PAGE)
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "a.npy", np.zeros((300, 2)))
    text = f"sequence,start,end,label\na,2,9,walk\na,12,30,{label}\n"
    (tmp_path / "annotations.csv").write_text(text)
    (record,) = read_annotations(tmp_path, fps=10, ignore=[label]).subsets["training"]
    assert record.spans.tolist() == [[20, 90]]
    assert record.ignored.tolist() == [[120, 300]]


def test_the_files_of_two_sensors_become_one_recording_at_the_times_of_the_first(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER" / "data").mkdir(parents=True)
    times = pd.Series(np.arange(100) / 50)
    for name, own in (("wrist", times), ("ankle", times[:90] + 0.004)):
        table = pd.DataFrame({"time": own, "x": own, "y": 1.0, "z": 2.0})
        table.to_csv(f"monday_{name}.csv", index=False)
    exec(blocks(PAGE, "python")[0], {})
    signal = open_signal(tmp_path / "FOLDER" / "data" / "monday.csv")
    assert signal.channels == tuple(f"{a}_{b}" for b in ("wrist", "ankle") for a in "xyz")
    values = signal.read(0, 100)
    assert values[:90, 3] == pytest.approx(values[:90, 0] + 0.004, abs=1e-5)
    assert np.isnan(values[:, 3]).sum() == 9  # row 90 is 0.016 s after the last one


def test_a_table_of_several_recordings_is_split_by_person(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER" / "data").mkdir(parents=True)
    (tmp_path / "all.csv").write_text("time,x,person\n0,1,anna\n1,2,ben\n2,3,anna\n")
    exec(blocks(PAGE, "python")[1], {})
    assert pd.read_csv("FOLDER/data/anna.csv").x.tolist() == [1, 3]


def test_stages_and_spindles_are_spans_and_artefacts_are_ignored(tmp_path):
    (line,) = [line for line in commands(PAGE) if "artefact" in line]
    settings = [text.removeprefix("data.").split("=") for text in shlex.split(line)[2:]]
    options = {name: yaml.safe_load(value) for name, value in settings}
    nights(tmp_path)
    header = (tmp_path / "annotations.tsv").read_text().split("\n")[0]
    assert any(text.startswith(header) for text in blocks(PAGE, ""))
    found = read_annotations(tmp_path, **options)
    record = found.subsets["training"][0]
    assert (found.classes, record.signal.channels) == (
        ["N2", "spindle"],
        ("EEG Fpz-Cz", "EEG Pz-Oz"),
    )
    assert record.spans.tolist() == [[500, 2000], [950, 1060]]
    assert record.ignored.tolist() == [[2500, 3000]]
