"""What docs/predicting.md says is run: its commands, its Python and its errors."""

import re
import shlex
import sys

import numpy as np
import pytest
import stream
from pages import ROOT, blocks, commands, page
from predicting import outputs, signal, write_csv

from spanloc.data.annotations.written import FORMATS, joint, suffix_of
from spanloc.data.signals import SUFFIXES

PAGE = page("predicting.md")
LINES, PYTHON, PRINTED = commands(PAGE), blocks(PAGE, "python"), blocks(PAGE, "")
# That of spanloc-evaluate is run by tests/cli/test_cli.py, on data with annotations.
COMMANDS = [line for line in LINES if not line.startswith(("python", "spanloc-evaluate"))]
WRITES = {
    "view=true": ["view.html", "figures/monday.png"],
    "[csv,audacity]": ["predictions.csv", "monday.txt", "night1/evening.txt"],
    "format=raven": ["monday.selections.txt"],
    "format=csv": ["predictions.csv"],
}


@pytest.fixture
def folder(tmp_path):
    write_csv(tmp_path / "in" / "monday.csv", signal())
    write_csv(tmp_path / "in" / "night1" / "evening.csv", signal(1))
    return tmp_path / "in"


def command(line, model, folder):
    words = shlex.split(line.replace("RUN", str(model)).replace("FOLDER", str(folder)))
    assert words.pop(0) == "spanloc-predict"
    # The model of the tests is not sure of anything.
    return [*words, "min_score=0.0"]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_runs(cli, named_model, folder, tmp_path, line, capsys):
    if "tuesday" in line:
        np.save(folder / "tuesday.npy", signal())
    if "renamed" in line:
        write_csv(folder / "renamed.csv", signal(), names=("ax", "ay", "az"))
    found = cli("predict", *command(line, named_model, folder), folder=tmp_path)
    assert found == tmp_path
    out = tmp_path / "OUT"
    if "hydra.run.dir" not in line:
        (out,) = (tmp_path / "runs" / "predict").iterdir()
    wanted = [files for said, files in WRITES.items() if said in line]
    assert set(wanted[0] if wanted else ["predictions.json"]) <= set(outputs(out))
    last = capsys.readouterr().out.splitlines()[-1]
    shown = re.escape(PRINTED[0].split("/home")[0]).replace("recordings", "recordings?")
    pattern = re.sub(r"\d+", r"\\d+", re.sub("walk|sit", r"\\w+", shown))
    assert re.fullmatch(pattern + re.escape(str(out)), last)


def test_clock_times_are_as_they_are_shown(cli, named_model, folder, tmp_path):
    (line,) = [line for line in COMMANDS if "start=" in line]
    cli("predict", *command(line, named_model, folder), "hydra.run.dir=out", folder=tmp_path)
    header, row, *_ = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    (shown,) = [text for text in PRINTED if text.startswith("sequence,")]
    shown_header, shown_row = shown.splitlines()
    assert header == shown_header

    def shape(text):
        return re.sub(r"\d+\.\d+", "0.0", re.sub(r"T\d\d:\d\d:\d\d\.\d{3}(?=,|$)", "T", text))

    assert re.sub("sit|walk", "", shape(row)) == re.sub("sit|walk", "", shape(shown_row))


def test_the_lines_are_those_that_are_shown(cli, named_model, tmp_path, capsys):
    def predict(name, root=tmp_path / "in"):
        words = (f"checkpoint={named_model}", f"input={root / name}", "hydra.run.dir=out")
        return cli("predict", *words, folder=tmp_path)

    lacking, number = next(text for text in PRINTED if "lacks" in text).split("\n")
    write_csv(tmp_path / "in" / "short.csv", signal(channels=2), names=("x", "y"))
    np.save(tmp_path / "in" / "short.npy", signal(channels=2))
    for line in (lacking, number):
        name = line.split(":")[0].removeprefix("FOLDER/")
        wanted = line.replace("FOLDER", str(tmp_path / "in"))
        assert predict(name) == f"spanloc-predict: error: {wanted}"
    write_csv(tmp_path / "in" / "monday.csv", signal(), rate=20)
    assert predict("monday.csv") == tmp_path
    (said,) = [text for text in PRINTED if "resampled" in text]
    assert said in capsys.readouterr().out


def test_the_python_runs(named_model, folder, capsys):
    names = {}
    for code in PYTHON:
        exec(code.replace("RUN", str(named_model)).replace("FOLDER", str(folder)), names)
    assert "sequence" in capsys.readouterr().out
    assert names["found"].spans.max() <= 20


def test_a_file_is_read_as_if_live(named_model, folder, monkeypatch, capsys):
    (line,) = (line for line in LINES if line.startswith("python"))
    line = line.replace("RUN", str(named_model)).replace("FOLDER", str(folder))
    _, script, *words = shlex.split(line)
    assert (ROOT / script).is_file()
    monkeypatch.setattr(sys, "argv", [script, *words, "--min-score", "0.001"])
    stream.main()
    first, *rows, last = capsys.readouterr().out.splitlines()
    assert re.match(r"You get a span at most \d+\.\d s after it ends", first)
    assert rows
    assert all(re.match(r"at +\d+\.\d\d s: .* s  (sit|walk)  0\.\d\d$", row) for row in rows)
    assert re.match(r"20\.0 s of recording in .* x real time$", last)
    # In another order, the channels are found by their names.
    write_csv(folder / "monday.csv", signal()[:, ::-1], names=("z", "y", "x"))
    stream.main()
    assert capsys.readouterr().out.splitlines()[1:-1] == rows
    write_csv(folder / "monday.csv", signal(), rate=20)
    with pytest.raises(SystemExit, match="error: rate is 20; the model was trained on 10"):
        stream.main()


def test_the_table_has_all_formats_and_their_files():
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)`", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == list(FORMATS)
    for name, file in rows:
        assert file == f"{'predictions' if joint(name) else '<id>'}{suffix_of(name)}"
    assert all(f"`{suffix}`" in PAGE for suffix in SUFFIXES if suffix not in (".hea", ".hdf5"))
    for picture in re.findall(r"\]\(([\w.-]+\.png)\)", PAGE):
        assert (ROOT / "docs" / picture).is_file()
