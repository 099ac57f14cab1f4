"""What the README and the pages that it leads to say is run."""

import re

import pytest
import torch
from conftest import CONFIGS, HINTS_OF_LIGHTNING, points_model, points_task, unchecked
from pages import BARE, ROOT, blocks, page, run
from pytorch_lightning.callbacks import EMAWeightAveraging

import spanloc
from spanloc.data import AnnotatedData, read_annotations
from spanloc.ops import tiou

README = (ROOT / "README.md").read_text()


def block(word, text):
    (found,) = [code for code in blocks(text, "python") if word in code]
    return found


def test_the_forum_lines_print_what_they_say(capsys):
    code = block("half_open", page("reading-a-report.md"))
    exec(code, {})
    expected = [line[2:] for line in code.splitlines() if line.startswith("# ")]
    assert capsys.readouterr().out.splitlines() == expected


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*", "ignore:.*logging interval.*",
    "ignore:.*ModelSummary.*", "ignore:.*rank_zero.*",
)  # fmt: skip
def test_the_plain_python_example_learns():
    text, names = page("in-python.md"), {}
    with unchecked():
        # A third of its epochs is enough.
        exec(block("class Clicks", text).replace("max_epochs=12", "max_epochs=4"), names)
    assert names["trainer"].callback_metrics["val/mAP@0.50"] > 0.8
    truth = names["Clicks"]().sequence(7).spans[0]
    assert tiou(names["predictions"].spans[0], truth) > 0.5
    with unchecked():
        exec(block("class Mine", text), names)
    assert names["task"].localizer.std[0] > 1.2  # set by hand, and kept


@HINTS_OF_LIGHTNING
def test_the_example_on_a_folder_trains_and_predicts(annotated, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text, names = page("in-python.md"), {}
    exec(block("AnnotatedData(", text).replace("FOLDER", str(annotated)), names)
    table = capsys.readouterr().out.split("sequence")[-1]
    assert len(re.findall(r"^\d+ +s[67] .* (?:sit|walk) ", table, re.MULTILINE)) == 6
    exec(block("SingleHead", text), names)
    options = {"max_epochs": 1, "limit_train_batches": 1, "enable_checkpointing": False}
    trainer = names["Trainer"](**options)
    trainer.fit(names["single"], names["data"])
    assert "val/tiou" in trainer.callback_metrics
    # Averages of a model that is not built, or not normalised, would be wrong.
    for task in (names["SpanLocalizer"](**names["parts"]), points_task(points_model(2))):
        trainer = names["Trainer"](**options, callbacks=[EMAWeightAveraging()], logger=False)
        with pytest.raises(ValueError, match=r"EMAWeightAveraging copies .* task.prepare\(data\)"):
            trainer.fit(task, names["data"])
        task.prepare(names["data"])
        trainer.fit(task, names["data"])


@HINTS_OF_LIGHTNING
def test_the_setup_of_the_page_trains(annotated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = block("spanloc.setup", page("in-python.md")).replace("FOLDER", str(annotated))
    exec(code.replace('=2")', '=1", *short)'), names := {"short": ["data.crops_per_epoch=2"]})
    assert names["trainer"].global_step == 1


@HINTS_OF_LIGHTNING
def test_the_config_of_a_run_trains_to_its_weights_in_python(cli, annotated, tmp_path):
    short = [word for word in BARE if not word.startswith("trainer.max_")]
    options = (f"data.root={annotated}", "data=annotations", "trainer.max_epochs=2")
    run = cli("train", *options, "data.crops_per_epoch=4", *short, folder=tmp_path)
    (run,) = run.glob("runs/default/*")
    exec(block("yaml", page("in-python.md")).replace("RUN", str(run)), names := {})
    expected = torch.load(run / "last.ckpt", weights_only=True)["state_dict"]
    assert names["average"]
    for name, value in names["task"].state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_the_example_with_other_names_of_columns_reads_them(tmp_path):
    (call,) = re.findall(r"`(AnnotatedData\(.*columns=.*?\))`", page("in-python.md"))
    (tmp_path / "data").mkdir()
    rows = "".join(f"{i / 10},{i % 7}\n" for i in range(100))
    for name in "abcd":
        (tmp_path / "data" / f"{name}.csv").write_text("time,x\n" + rows)
    table = "".join(f"{name},1,3,walk\n" for name in "abcd")
    (tmp_path / "annotations.csv").write_text("sequence,onset,offset,label\n" + table)
    data = eval(call.replace("FOLDER", str(tmp_path)), {"AnnotatedData": AnnotatedData})
    data.setup()
    assert data.train_set[0].spans.tolist() == [[10, 30]]


def test_the_metrics_print_what_they_say(capsys):
    code = block("diagnose", page("metrics.md"))
    exec(code, {})
    expected = re.findall(r"^print.*# (.*)$", code, re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == expected
    assert len(expected) == 2


def test_every_choice_that_is_named_exists():
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", page("command-line.md"), re.MULTILINE)
    for group, choices in rows:
        named = set(re.findall(r"`(\w+)`", choices))
        assert named == {path.stem for path in (CONFIGS / group).glob("*.yaml")}
    assert {"data", "task", "span_loss", "experiment"} <= {group for group, _ in rows}


def test_the_layout_is_the_tree():
    listed = set(re.findall(r"^  (\w+(?:/|\.py)) ", page("developing.md"), re.MULTILINE))
    tree = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "spanloc").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    } - {"__init__.py"}
    assert listed == tree


@HINTS_OF_LIGHTNING
def test_the_first_commands_give_predictions(cli, tmp_path, monkeypatch, capsys):
    (lines,) = re.findall(r"## Try it in a few minutes\n\n```sh\n(.*?)\n```", README, re.DOTALL)
    for line in lines.split("\n"):
        found = run(cli, line, *(BARE if "-train" in line else ()), folder=tmp_path)
        assert found == tmp_path, found
    (written,) = tmp_path.glob("runs/predict/*")
    assert (written / "predictions.json").is_file()
    assert len(list((written / "figures").glob("*.png"))) == 12
    monkeypatch.chdir(tmp_path)
    exec(block("runs/sample/data", README), names := {})
    columns = names["found"].to_pandas().columns
    assert [*columns] == ["sequence", "start", "end", "label", "score"]


@HINTS_OF_LIGHTNING
def test_the_lightning_example_of_the_readme_trains(annotated, tmp_path, monkeypatch):
    code = block("spanloc.setup", README).replace("FOLDER", str(annotated))
    monkeypatch.chdir(tmp_path)
    short = [*BARE, "data.crops_per_epoch=4", "trainer.accelerator=cpu"]
    code = code.replace('"budget=quick"', ", ".join(map(repr, short)))
    array = spanloc.setup(f"data.root={annotated}", *short).data.train_set[0].features.T.numpy()
    exec(code.replace("trainer(", "trainer(enable_progress_bar=False, "), names := {"array": array})
    assert names["setup"].task.classes == ["sit", "walk"]
    assert len(names["found"])


def test_the_files_of_your_own_data_are_read(tmp_path):
    (recording,) = re.findall(r"```\n(time,.*?)```", README, re.DOTALL)
    (table,) = re.findall(r"```\n(sequence,start.*?)```", README, re.DOTALL)
    (tmp_path / "data").mkdir()
    more = "".join(f"{i / 50:.2f},0,0,0\n" for i in range(2, 1200))
    (tmp_path / "data" / "monday.csv").write_text(recording + more)
    (tmp_path / "annotations.csv").write_text(table)
    (record,) = read_annotations(tmp_path).subsets["training"]
    assert record.spans.tolist() == [[160, 895], [920, 1050]]
