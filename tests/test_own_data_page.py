"""What docs/your-own-data.md says is run: its commands, its Python, its examples and its tables."""

import io
import json
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml
from conftest import CONFIGS, HINTS_OF_LIGHTNING
from pages import BARE, blocks, commands, page
from pages import run as run_line
from predicting import signal, write_csv
from recordings import nights

from spanloc.data import read_annotations
from spanloc.data.sample import sample_folder

PAGE, README = page("your-own-data.md"), page("../README.md")
COMMANDS, (_, _, *PYTHON), PRINTED = commands(PAGE), blocks(PAGE, "python"), blocks(PAGE, "")
SPANS = (
    ((2.0, 5.0, "walk"), (8.0, 10.0, "sit")),
    ((3.0, 6.5, "walk"), (12.0, 13.5, "sit")),
    ((1.0, 4.0, "walk"), (20.0, 23.0, "sit")),
)


def printed(beginning):
    (text,) = [text for text in PRINTED if text.startswith(beginning)]
    return text


def write_table(root, rows, *columns):
    root.mkdir(exist_ok=True)
    lines = [",".join(map(str, row)) for row in (columns, *rows)]
    (root / "annotations.csv").write_text("\n".join(lines))


def write_signals(root, names, *, rate=10):
    axes = [f"{sensor}_{axis}" for sensor in ("acc", "gyr") for axis in "xyz"]
    for i, name in enumerate(names):
        values = signal(i, steps=30 * rate, channels=6)
        write_csv(root / "data" / f"{name}.csv", values, names=axes, rate=rate)


def rows_of(*more, spans=SPANS):
    return [
        (f"rec{i}", start, end, label, f"person{i // 2}")
        for i in range(8)
        for start, end, label in (*spans[i % len(spans)], *more)
    ]


COLUMNS = ("sequence", "start", "end", "label", "subject")


def plain(root):
    write_signals(root, [f"rec{i}" for i in range(8)])
    write_table(root, rows_of(), *COLUMNS)


def in_steps(root):
    plain(root)
    # Steps from 1, the last one inside: the span [2, 5) s at 10 Hz is 21 to 50.
    rows = [(name, int(10 * a) + 1, int(10 * b), *rest) for name, a, b, *rest in rows_of()]
    write_table(root, rows, *COLUMNS)


def other_columns(root):
    plain(root)
    times = [(n, 1000 * a, 1000 * b, *rest) for n, a, b, *rest in rows_of((15, 16, "stroll"))]
    write_table(root, times, "File name", "Start (ms)", "End (ms)", *COLUMNS[3:])


def more_labels(root):
    plain(root)
    write_table(root, rows_of((15.0, 16.0, "moving"), (26.0, 29.0, "sensor off")), *COLUMNS)


def labelled_rows(root):
    plain(root)
    (root / "annotations.csv").unlink()
    for i in range(8):
        file = root / "data" / f"rec{i}.csv"
        table = pd.read_csv(file).assign(activity="")
        for start, end, label in SPANS[i % 3]:
            table.loc[(table.time >= start) & (table.time < end), "activity"] = label
        table.to_csv(file, index=False)


def label_tracks(root):
    plain(root)
    (root / "annotations.csv").unlink()
    for i in range(8):
        lines = [f"{start}\t{end}\t{label}\n" for start, end, label in SPANS[i % 3]]
        (root / "data" / f"rec{i}.txt").write_text("".join(lines))


def sounds(root):
    (root / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(8):
        values = rng.integers(-9000, 9000, 30 * 2000).astype(np.int16)
        soundfile.write(root / "data" / f"rec{i}.wav", values, 2000)
    write_table(root, rows_of(), *COLUMNS)


# The folder that a command of the page is about, by what the command says of it.
FOLDERS = {
    "artefact": nights,
    "data.unit=steps": in_steps,
    "label: activity": labelled_rows,
    "data.columns": other_columns,
    "data.unknown": more_labels,
    "audacity": label_tracks,
    "num_bands": sounds,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}

    def folder(line):
        make = next((make for said, make in FOLDERS.items() if said in line), plain)
        if make not in made:
            made[make] = tmp_path_factory.mktemp(make.__name__)
            make(made[make])
        return made[make]

    return folder


def test_the_page_has_blocks_of_all_kinds():
    counts = [len(blocks(PAGE, kind)) for kind in ("", "sh", "csv", "json", "python")]
    assert all(counts)
    assert PAGE.count("```") == 2 * sum(counts)
    assert {line.split()[0] for line in COMMANDS} == {"spanloc-check", "spanloc-train"}
    assert set(FOLDERS) == {said for said in FOLDERS if any(said in line for line in COMMANDS)}


@pytest.fixture(scope="module")
def ran(cli, folders, tmp_path_factory):
    """Runs a command of the page, once: its folder or its error, and what it printed."""
    done = {}

    def run(line):
        if line not in done:
            said = line.replace("FOLDER", str(folders(line)))
            more = BARE if "-train" in line else ()
            folder, output = tmp_path_factory.mktemp("ran"), io.StringIO()
            with redirect_stdout(output):
                found = run_line(cli, said, *more, "hydra.run.dir=out", folder=folder)
            done[line] = found, output.getvalue().split("\n")
        return done[line]

    return run


@HINTS_OF_LIGHTNING
# Those of the README are run by test_readme.
@pytest.mark.parametrize("line", [line for line in COMMANDS if line not in README])
def test_every_command_runs(ran, line):
    folder, _ = ran(line)
    assert isinstance(folder, Path), folder
    if "-check" in line:
        survey = json.loads((folder / "out" / "check.json").read_text())
        kinds = {f["kind"] for f in survey["findings"] if f["severity"] != "note"}
        assert kinds <= {"few spans"}  # of so few recordings
        return
    config = yaml.safe_load((folder / "out" / "config.yaml").read_text())
    assert (folder / "out" / "best.ckpt").is_file()
    for text in shlex.split(line):
        name, _, value = text.lstrip("+").partition("=")
        if name.startswith("data.") and name != "data.root":
            own = config["data"][name.removeprefix("data.")]
            wanted = yaml.safe_load(value.replace(":", ": "))
            # What options leave open is chosen.
            assert own == wanted or wanted.items() <= own.items(), name


def test_the_same_spans_whatever_the_conventions(folders):
    usual = read_annotations(folders(""))
    counted = {"unit": "steps", "ends": "inclusive", "first_index": 1}
    for line, options in (
        ("data.unit=steps", counted),
        ("audacity", {"format": "audacity"}),
        ("label: activity", {"columns": {"label": "activity"}}),
    ):
        other = read_annotations(folders(line), **options)
        for one, two in zip(*(x.subsets["training"] for x in (usual, other)), strict=True):
            assert one.id == two.id
            torch.testing.assert_close(one.spans, two.spans)


def test_the_table_and_the_json_say_the_same(tmp_path):
    found = {}
    for kind in ("csv", "json"):
        root = tmp_path / kind
        write_signals(root, ["monday", "tuesday", "wednesday"], rate=50)
        text = blocks(PAGE, kind)[0]
        (root / f"annotations.{kind}").write_text(text)
        read = read_annotations(root)
        assert read.classes == ["sit", "walk"]
        found[kind] = [
            (r.id, r.subset, r.subject, r.spans.tolist(), r.labels.tolist())
            for records in read.subsets.values()
            for r in records
        ]
    assert found["csv"] == found["json"]
    assert [len(spans) for *_, spans, _ in found["csv"]] == [2, 0, 1]
    # What nobody looked at.
    (tuesday,) = read.subsets["testing"]
    assert tuesday.ignored.tolist() == [[12 * 50, 30 * 50]]


def test_a_spoilt_sample_gives_the_findings_that_are_shown(cli, tmp_path, capsys):
    root = sample_folder(tmp_path / "spoilt")
    file = root / "annotations.json"
    content = json.loads(file.read_text())
    content["database"]["person1-a"]["annotations"].append(
        {"segment": [29.0, 40.0], "label": "walk"}
    )
    content["database"]["person2-a"]["annotations"][0]["label"] = "wakl"
    file.write_text(json.dumps(content))
    stop = cli("check", f"data.root={root}", "hydra.run.dir=out", folder=tmp_path)
    assert stop.startswith(
        f"spanloc-check: error: {root}: 2 kinds of error, 0 kinds of warning, 0 kinds of note; "
    )
    lines = printed("error: 1 span").replace("FOLDER", str(root)).split("\n")
    assert not set(lines) - set(capsys.readouterr().out.split("\n"))


def test_the_choices_for_the_sample_are_those_that_are_shown(ran):
    _, lines = ran("spanloc-check data.root=sample")
    rows = [[cell.strip() for cell in row.split("│")[1:4]] for row in printed("│ task").split("\n")]
    first = lines.index("Settings that training would choose") + 1
    assert lines[first : first + len(rows)] == [f"{a} = {b}: {c}" for a, b, c in rows]
    assert lines[first + len(rows)].endswith("0 kinds of note.")


def test_what_is_held_out_is_said_as_shown(ran):
    _, lines = ran("spanloc-check data.root=FOLDER")
    assert printed("held out for testing") in lines
    data = yaml.safe_load((CONFIGS / "data" / "annotations.yaml").read_text())
    for name, value in re.findall(r"`data\.(\w+_share)` \(default ([\d.]+)\)", PAGE):
        assert data[name] == float(value)
    for name, value in re.findall(r"^\| `data\.(\w+)` \| `([\w-]+)`", PAGE, re.MULTILINE):
        assert str(data[name]) == value


@HINTS_OF_LIGHTNING
@pytest.mark.filterwarnings("ignore:.*ModelSummary.*", "ignore:.*rank_zero.*")
@pytest.mark.slow  # 8 s; test_readme has one that learns in a plain Trainer
def test_the_python_learns_and_prints_what_it_says(capsys):
    names = {}
    for code in PYTHON:
        exec(code, names)
    output = capsys.readouterr().out
    for code in PYTHON:
        for line in re.findall(r"^print\(.*# (held out for testing.*|\[.*)$", code, re.MULTILINE):
            assert line in output
    (found,) = re.findall(r"^tensor\((.*)\)$", output, re.MULTILINE)
    assert float(found) > 0.8
    (((start, end, _),),) = [names["spans"][names["predictions"].ids[0]]]
    assert names["predictions"].spans[0].tolist() == pytest.approx([start, end], abs=2.0)


def test_the_errors_are_those_that_are_shown(cli, tmp_path):
    without_rate, other_names, unknown = printed("FOLDER/annotations.csv: seq").split("\n")
    rows = [("rec0", 2.0, 5.0, "walk", "training")]
    columns = ("sequence", "start", "end", "label", "subset")

    def stops(root, line):
        stop = cli("train", f"data.root={root}", *BARE, "hydra.run.dir=out", folder=tmp_path)
        assert stop == f"spanloc-train: error: {line.replace('FOLDER', str(root))}"

    root = tmp_path / "without_rate"
    (root / "data").mkdir(parents=True)
    np.save(root / "data" / "rec0.npy", np.zeros((300, 3)))
    write_table(root, rows, *columns)
    stops(root, without_rate)
    root = tmp_path / "other_names"
    write_signals(root, ["rec0"])
    write_table(root, [row[:4] for row in rows], "file", "onset", "offset", "label")
    stops(root, other_names)
    root = tmp_path / "unknown"
    write_signals(root, ["rec0", "rec9"])
    write_table(root, rows, *columns)
    stops(root, unknown)
