"""What the README and the pages that it leads to say is run."""

import re

import pytest
from conftest import CONFIGS, HINTS_OF_LIGHTNING, unchecked
from pages import BARE, ROOT, blocks, page, run

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
    names = {}
    with unchecked():
        exec(block("class Clicks", page("in-python.md")), names)
    assert names["trainer"].callback_metrics["val/mAP@0.50"] > 0.8
    truth = names["Clicks"]().sequence(7).spans[0]
    from spanloc.ops import tiou

    assert tiou(names["predictions"].spans[0], truth) > 0.5


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*")
def test_the_example_on_a_folder_predicts_in_seconds(annotated, capsys):
    exec(block('"FOLDER"', page("in-python.md")).replace("FOLDER", str(annotated)), {})
    printed = capsys.readouterr().out
    assert "('s6',) tensor([[" in printed
    assert re.search(r" \['(sit|walk)'", printed)
    assert "('s7',)" not in printed  # of a batch of two the first is shown


def test_the_example_with_other_names_of_columns_reads_them(tmp_path):
    (call,) = re.findall(r"`(AnnotatedData\(.*columns=.*?\))`", page("in-python.md"))
    (tmp_path / "data").mkdir()
    rows = "".join(f"{i / 10},{i % 7}\n" for i in range(100))
    for name in "abcd":
        (tmp_path / "data" / f"{name}.csv").write_text("time,x\n" + rows)
    table = "".join(f"{name},1,3,walk\n" for name in "abcd")
    (tmp_path / "annotations.csv").write_text("sequence,onset,offset,label\n" + table)
    from spanloc.data import AnnotatedData

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
    exec(block("spanloc.load", README), names := {})
    columns = names["found"].to_pandas().columns
    assert [*columns] == ["sequence", "start", "end", "label", "score"]


@HINTS_OF_LIGHTNING
def test_the_lightning_example_of_the_readme_trains(annotated, tmp_path, monkeypatch):
    code = block("AnnotatedData", README).replace("FOLDER", str(annotated))
    monkeypatch.chdir(tmp_path)
    quiet = "Trainer(accelerator='cpu', enable_progress_bar=False, "
    exec(code.replace("Trainer(", quiet), names := {})
    assert names["task"].classes == ["sit", "walk"]


def test_the_files_of_your_own_data_are_read(tmp_path):
    (recording,) = re.findall(r"```\n(time,.*?)```", README, re.DOTALL)
    (table,) = re.findall(r"```\n(sequence,start.*?)```", README, re.DOTALL)
    from spanloc.data import read_annotations

    (tmp_path / "data").mkdir()
    more = "".join(f"{i / 50:.2f},0,0,0\n" for i in range(2, 1200))
    (tmp_path / "data" / "monday.csv").write_text(recording + more)
    (tmp_path / "annotations.csv").write_text(table)
    (record,) = read_annotations(tmp_path).subsets["training"]
    assert record.spans.tolist() == [[160, 895], [920, 1050]]
