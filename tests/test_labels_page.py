"""What docs/labels.md says is run: its commands, its second annotator, the loop, the learning curve."""

import json
import re
import shlex
import shutil
import sys
from contextlib import chdir
from pathlib import Path

import correction_loop
import numpy as np
import pytest
import yaml
from conftest import CONFIGS, HINTS_OF_LIGHTNING
from pages import BARE, SHORT, blocks, commands, page, run

from spanloc import reports
from spanloc.data import read_annotations
from spanloc.data.sample import sample_folder

_, LOOP, CURVE, TWO = re.split(r"^## ", page("labels.md"), flags=re.MULTILINE)


def script(monkeypatch, name, *arguments):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    __import__(name).main()


@pytest.fixture
def place(tmp_path):
    """FOLDER with labelled recordings, and NEW with two that are not."""
    random = np.random.default_rng(0)
    for folder, names in (("FOLDER", [f"a{i}" for i in range(5)]), ("NEW", ["b0", "b1"])):
        (tmp_path / folder / "data").mkdir(parents=True)
        for name in names:
            values = random.normal(size=(1000, 2)).astype(np.float32)
            np.save(tmp_path / folder / "data" / f"{name}.npy", values)
    rows = [{"segment": [2.0, 6.0], "label": "walk"}, {"segment": [9.0, 12.0], "label": "sit"}]
    entry = {"subset": "training", "duration": 20.0, "fps": 50, "annotations": rows}
    (tmp_path / "FOLDER" / "annotations.json").write_text(
        json.dumps({"database": {f"a{i}": entry for i in range(5)}})
    )
    return tmp_path


def submit(file, to):
    """What a person does in Label Studio: removes all that was predicted, and draws one span."""
    tasks = json.loads(file.read_text())
    value = {"start": 3.0, "end": 7.5, "instant": False, "timeserieslabels": ["turn"]}
    for task in tasks:
        assert "predictions" in task
        task["annotations"] = [{"was_cancelled": False, "result": [{"value": value}]}]
    to.write_text(json.dumps(tasks))


@HINTS_OF_LIGHTNING
def test_the_loop_of_the_page_ends_in_a_training_on_all(cli, place, monkeypatch):
    train, predict, add, check, again = commands(LOOP)
    with chdir(place):
        for number, line in enumerate((train, predict, add, check, again)):
            words = shlex.split(line.replace("RUN", "run0").replace("OUT", "found"))
            if words[0] == "python":
                # The recordings are arrays, which do not contain their rate.
                script(monkeypatch, Path(words[1]).stem, *words[2:], "--fps", 50)
                continue
            command = words[0].removeprefix("spanloc-")
            more = {"train": BARE, "predict": ["device=cpu"], "check": []}[command]
            folder = () if command == "predict" else (f"hydra.run.dir=run{number}",)
            found = cli(command, *words[1:], *more, *folder, folder=place)
            assert isinstance(found, Path), found
            if command == "predict":
                submit(found / "found/predictions.labelstudio.json", place / "NEW" / "export.json")
    content = json.loads((place / "FOLDER" / "annotations.json").read_text())
    assert list(content["database"]) == [*(f"a{i}" for i in range(5)), "b0", "b1"]
    assert content["database"]["b0"] == {
        "subset": "training", "duration": 20.0, "fps": 50.0,
        "annotations": [{"segment": [3.0, 7.5], "label": "turn"}],
    }  # fmt: skip
    assert yaml.safe_load((place / "run4" / "config.yaml").read_text())["module"]["classes"] == [
        "sit", "turn", "walk",
    ]  # fmt: skip
    assert read_annotations(place / "FOLDER").num_channels == 2


def test_a_recording_that_is_there_already_is_not_overwritten(place, monkeypatch):
    file = place / "FOLDER" / "annotations.json"
    before = file.read_text()
    shutil.copy(file, place / "NEW")
    for i in range(5):
        np.save(place / "NEW" / "data" / f"a{i}.npy", np.ones((1000, 2), np.float32))
    with pytest.raises(SystemExit, match=r"annotations.json: sequence 'a0' is there already"):
        script(monkeypatch, "add_corrected", place / "FOLDER", place / "NEW")
    assert file.read_text() == before
    assert not (np.load(place / "FOLDER" / "data" / "a0.npy") == 1).all()
    with pytest.raises(
        SystemExit, match=r"nowhere/annotations.json: .* append the rows of predictions.csv"
    ):
        script(monkeypatch, "add_corrected", place / "nowhere", place / "NEW")


def test_the_script_s_annotator_corrects_to_the_truth():
    def region(start, end, label):
        value = {"start": start, "end": end, "timeserieslabels": [label]}
        return {"id": f"{start}", "value": value}

    drawn = [(0.05, 2.0, "walk"), (4.0, 6.5, "sit"), (8.0, 9.0, "sit"), (20.0, 21.0, "sit")]
    predicted = [region(*span) for span in drawn]
    spans = [(0.0, 2.0, "walk"), (4.0, 6.0, "sit"), (8.0, 9.0, "walk"), (12.0, 13.0, "sit")]
    truth = [{"segment": [a, b], "label": label} for a, b, label in spans]
    task = {"data": {}, "predictions": [{"result": predicted}]}
    work = correction_loop.Counter()
    correction_loop.corrected(task, truth, work)
    assert work == {
        "accepted": 1, "boundaries moved": 1, "label changed": 1, "added": 1, "removed": 1,
    }  # fmt: skip
    (annotation,) = task["annotations"]
    assert [region["origin"] for region in annotation["result"]] == [
        "prediction", "prediction-changed", "prediction-changed", "manual",
    ]  # fmt: skip
    values = [region["value"] for region in annotation["result"]]
    assert [(v["start"], v["end"], *v["timeserieslabels"]) for v in values] == spans
    assert "predictions" not in task


def test_the_preset_sweeps_shares_and_seeds():
    content = yaml.safe_load((CONFIGS / "experiment" / "learning_curve.yaml").read_text())
    params = content["hydra"]["sweeper"]["params"]
    assert params == {"data.train_share": "0.125,0.25,0.5,1.0", "seed": "0,1,2"}
    assert "an eighth, a quarter, a half and all" in CURVE
    assert "three seeds each" in CURVE


@pytest.mark.slow  # 15 s; test_learning_curve has the parts of it
@HINTS_OF_LIGHTNING
def test_the_learning_curve_of_the_page_is_reported(cli, place, capsys):
    train, report = commands(CURVE)
    assert train.split()[:3] == ["spanloc-train", "-m", "experiment=learning_curve"]
    entries = json.loads((place / "FOLDER" / "annotations.json").read_text())["database"]
    for i in range(5, 10):
        shutil.copy(place / "FOLDER" / "data" / "a0.npy", place / "FOLDER" / "data" / f"a{i}.npy")
        entries[f"a{i}"] = entries["a0"]
    (place / "FOLDER" / "annotations.json").write_text(json.dumps({"database": entries}))
    # Fewer runs: what the command sets takes the place of what the preset sweeps.
    fewer = ("data.train_share=0.3,0.45,0.6,1.0", "seed=0")
    assert isinstance(run(cli, train, *SHORT, *fewer, folder=place), Path)
    runs = reports.find_runs([place / "runs" / "learning_curve"], now=0.0)
    assert len(runs) == 4
    counts = [run.metrics["data/train_sequences"] for run in runs]
    assert sorted(set(counts)) == [2, 3, 4, 7]
    assert len({run.steps for run in runs}) == 1
    (curve,) = reports.learning_curves(reports.group_runs(runs))
    assert curve.metric == "test/mAP"
    found = run(cli, report, "hydra.run.dir=out", folder=place)
    assert curve.sentences() in capsys.readouterr().out
    assert (found / "out" / "learning_curve.png").is_file()


def test_the_second_annotator_agrees_as_the_page_says(cli, tmp_path, capsys):
    with chdir(tmp_path):
        sample_folder(Path("runs/sample"))
        (code,) = blocks(TWO, "python")
        exec(code, {})
    (line,) = commands(TWO)
    found = run(cli, line, "hydra.run.dir=out", folder=tmp_path)
    shown = blocks(TWO, "")[-1]
    printed = capsys.readouterr().out.split("\n")
    assert not [line for line in shown.split("\n") if line not in printed]
    scores = reports.ScoreResult.read(found / "out" / "scores.json")
    figures, page = scores.metrics, (found / "out" / "scores.html").read_text()
    for name, text in re.findall(r"^\| (`.*?) \| (.*?) \|", TWO, re.MULTILINE):
        # The figures of the table, rounded as it has them.
        names = re.findall(r"`([^`]+)`", name)
        names = [n if not n[0].isdigit() else f"recall@{n}" for n in names]
        values = [float(value) for value in re.findall(r"[-+]?\d+\.\d+", text)]
        assert [round(figures[n], 2) for n in names] == values
    assert figures["start_bias"] == pytest.approx(0.15, abs=0.02)
    assert {"target": "turn", "prediction": "walk", "count": 6} in scores.confusion
    assert "Confusion of labels" in page
